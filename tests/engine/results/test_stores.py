"""The places where objects lie: a folder, and a bucket of S3, behave alike."""

import asyncio
import hashlib
import hmac
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, quote, urlencode, urlsplit

import pytest

from core.errors import Conflict, NotFound, Unavailable
from engine.results.bucket import BucketObjects
from engine.results.folder import FolderObjects
from engine.results.objects import Found, Objects, Upload
from tests.fixtures_results import opened_shop, shop_template

__all__ = ["shop_template"]

KEY, SECRET = "test-key", "test-secret"


@pytest.fixture(scope="session")
def s3() -> Iterator[str]:
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    yield "http://{}:{}".format(*server.get_host_and_port())
    server.stop()


@pytest.fixture(params=["folder", pytest.param("bucket", marks=pytest.mark.slow)])
async def objects(request: pytest.FixtureRequest, tmp_path: Path) -> Objects:
    if request.param == "folder":
        return FolderObjects(tmp_path / "store")
    return await bucket(request.getfixturevalue("s3"), f"b{abs(hash(tmp_path)) % 10**9}")


async def bucket(endpoint: str, name: str) -> BucketObjects:
    import httpx

    async with httpx.AsyncClient() as client:
        await client.put(f"{endpoint}/{name}")
    options = {"endpoint": endpoint, "region": "us-east-1", "access_key_id": KEY, "secret_access_key": SECRET}
    return BucketObjects(f"s3://{name}/prefix", options)


async def listed(objects: Objects, prefix: str = "results/") -> list[Found]:
    return sorted([item async for item in objects.list(prefix)], key=lambda item: item.path)


async def test_what_is_written_is_read_by_range_and_listed(objects: Objects) -> None:
    async with Upload(objects, "results/acme/j1/1.arrows") as upload:
        for piece in (b"abc", b"d" * 9_000_000, b"xyz"):
            await upload.write(piece)
    assert upload.size_bytes == 9_000_006
    assert await objects.read("results/acme/j1/1.arrows", 1, 5) == b"bcdd"
    assert await objects.read("results/acme/j1/1.arrows", 9_000_003, 9_000_006) == b"xyz"
    assert await listed(objects) == [Found("results/acme/j1/1.arrows")]
    assert await listed(objects, "exports/") == []
    await objects.delete(Found("results/acme/j1/1.arrows"))
    await objects.delete(Found("results/acme/j1/1.arrows"))
    assert await listed(objects) == []
    with pytest.raises(NotFound):
        await objects.read("results/acme/j1/1.arrows", 0, 1)


async def test_a_write_that_fails_leaves_nothing(objects: Objects) -> None:
    with pytest.raises(ValueError, match="enough"):
        async with Upload(objects, "results/acme/j1/1.arrows") as upload:
            await upload.write(b"x" * 9_000_000)
            raise ValueError("enough")
    assert await listed(objects) == []


async def test_a_write_that_is_cancelled_leaves_nothing(objects: Objects) -> None:
    has_begun = asyncio.Event()

    async def work() -> None:
        async with Upload(objects, "results/acme/j1/1.arrows") as upload:
            await upload.write(b"x" * 6_000_000)
            has_begun.set()
            await asyncio.sleep(60)

    task = asyncio.create_task(work())
    await has_begun.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await listed(objects) == []


async def test_a_folder_is_closed_to_others(tmp_path: Path) -> None:
    async with Upload(FolderObjects(tmp_path / "store"), "results/acme/j1/1.arrows") as upload:
        await upload.write(b"x")
    path = tmp_path / "store/results/acme/j1/1.arrows"
    assert (path.stat().st_mode & 0o777, (tmp_path / "store").stat().st_mode & 0o777) == (0o600, 0o700)


async def test_a_folder_that_cannot_be_used_is_unavailable(tmp_path: Path) -> None:
    (tmp_path / "store").write_text("a file where the folder should be")
    with pytest.raises(Unavailable):
        async with Upload(FolderObjects(tmp_path / "store"), "results/acme/j1/1.arrows") as upload:
            await upload.write(b"x")


FULL = """
import asyncio, resource, sys
from pathlib import Path
from core.errors import Conflict
from engine.results.folder import FolderObjects
from engine.results.objects import Upload

async def main():
    resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, 1_000_000))
    async with Upload(FolderObjects(Path(sys.argv[1])), "results/acme/j1/1.arrows") as upload:
        for _ in range(10):
            await upload.write(b"x" * 300_000)

try:
    asyncio.run(main())
except Conflict as error:
    print(error.message)
"""


async def test_a_folder_that_takes_no_more_says_so_and_keeps_nothing(tmp_path: Path) -> None:
    said = await asyncio.to_thread(
        subprocess.run,
        [sys.executable, "-c", FULL, str(tmp_path / "store")],
        capture_output=True,
        text=True,
        check=False,
        cwd=Path(__file__).parents[3],
    )
    assert (said.stdout, said.stderr) == ("The store of results takes no more.\n", "")
    assert [path for path in (tmp_path / "store").rglob("*") if path.is_file()] == []


async def test_a_store_that_fails_stops_whoever_writes_to_it() -> None:
    class Broken(FolderObjects):
        async def put(self, path: str, chunks: AsyncIterator[bytes]) -> None:
            await anext(chunks)
            raise Conflict("full")

    with pytest.raises(Conflict, match="full"):
        async with Upload(Broken(Path("unused")), "results/a/b/1.arrows") as upload:
            for _ in range(100):
                await upload.write(b"x")


@pytest.mark.slow
async def test_a_bucket_that_is_not_there_is_unavailable(s3: str) -> None:
    gone = BucketObjects("s3://no-such-bucket", {"endpoint": s3, "access_key_id": KEY, "secret_access_key": SECRET})
    with pytest.raises(Unavailable) as refused:
        async with Upload(gone, "results/a/b/1.arrows") as upload:
            await upload.write(b"x")
    assert "127.0.0.1" not in refused.value.message + refused.value.hint


@pytest.mark.slow
async def test_an_upload_that_fails_is_aborted(s3: str) -> None:
    import httpx

    objects = await bucket(s3, "aborted")
    with pytest.raises(ValueError, match="enough"):
        async with Upload(objects, "results/a/b/1.arrows") as upload:
            await upload.write(b"x" * 20_000_000)
            raise ValueError("enough")
    async with httpx.AsyncClient() as client:
        assert "<Upload>" not in (await client.get(f"{s3}/aborted?uploads")).text


@pytest.mark.slow
async def test_a_bucket_signs_urls_for_a_while(s3: str) -> None:
    """moto takes any signature, so it is computed again here, by the rules of SigV4."""
    objects = await bucket(s3, "signed")
    async with Upload(objects, "exports/a/e/1.csv") as upload:
        await upload.write(b"a,b\n")
    url = await objects.sign("exports/a/e/1.csv", 300)
    assert url is not None
    parts = urlsplit(url)
    query = dict(parse_qsl(parts.query, keep_blank_values=True))
    assert query["X-Amz-Expires"] == "300"
    signature = query.pop("X-Amz-Signature")
    assert signature == sigv4(parts.path, parts.netloc, query)
    assert signature != sigv4(parts.path, parts.netloc, {**query, "X-Amz-Expires": "301"})
    assert signature != sigv4(parts.path.replace("/e/", "/f/"), parts.netloc, query)
    assert objects.uri("exports/a/e/1.csv") == "s3://signed/prefix/exports/a/e/1.csv"
    assert timedelta(seconds=int(query["X-Amz-Expires"])) <= timedelta(minutes=5)


@pytest.mark.slow
@pytest.mark.parametrize("presigned", [False, True])
async def test_results_and_exports_lie_in_a_bucket(
    s3: str, shop_template: Path, tmp_path: Path, presigned: bool
) -> None:
    import httpx

    name = f"exports-{presigned}".lower()
    await bucket(s3, name)
    options = {"endpoint": s3, "region": "us-east-1", "access_key_id": KEY, "secret_access_key": SECRET}
    wanted = {"url": f"s3://{name}/p", "options": options, "presigned": presigned}
    async with opened_shop(shop_template, tmp_path, results=wanted) as shop:
        job_id = await shop.run("SELECT id FROM item ORDER BY id")
        assert (await shop.call("get_query_job_results", job_id=job_id)).total_rows == 5
        made = await shop.call("create_export", job_id=job_id, compression="NONE")
        assert made.gcs_path == f"s3://{name}/p/exports/default/{made.id}/1.csv"
        url = (await shop.call("download_export", export_id=made.id)).signed_url
        async with httpx.AsyncClient() as client:
            stored = (await client.get(f"{s3}/{name}/p/exports/default/{made.id}/1.csv")).content
            downloaded = (await (client.get(url) if presigned else shop.get(url))).content
        assert downloaded == b'"id"\n1\n2\n3\n4\n5\n'
        assert (stored == downloaded) == url.startswith(s3) == presigned
        assert await shop.platform.engine.query_jobs.sweep() == 0
        assert shop.stored() == []


def sigv4(path: str, host: str, query: dict[str, Any]) -> str:
    canonical_query = urlencode(sorted(query.items()), quote_via=quote, safe="-_.~")
    request = f"GET\n{path}\n{canonical_query}\nhost:{host}\n\n{query['X-Amz-SignedHeaders']}\nUNSIGNED-PAYLOAD"
    scope = query["X-Amz-Credential"].partition("/")[2]
    digest = hashlib.sha256(request.encode()).hexdigest()
    text = f"AWS4-HMAC-SHA256\n{query['X-Amz-Date']}\n{scope}\n{digest}"
    key = b"AWS4" + SECRET.encode()
    for part in scope.split("/"):
        key = hmac.digest(key, part.encode(), "sha256")
    return hmac.new(key, text.encode(), "sha256").hexdigest()
