import hashlib
from typing import Any

import httpx
import pytest

from core.errors import Conflict, InvalidArgument, NotFound, QuotaExceeded, Unauthorized
from headwater.faces import rest_face
from tests.fixtures_results import Shop, shop, shop_template

__all__ = ["shop", "shop_template"]

DATA = bytes(range(256)) * 40


async def put(shop: Shop, upload_id: str, data: Any, *, by: str = "ada", **headers: str) -> httpx.Response:
    identity = shop.platform.engine.identity
    token = await identity.mint(subject=by, tenant="other" if by == "olga" else "default")
    transport = httpx.ASGITransport(rest_face(shop.platform), raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client:
        sent = {"authorization": f"Bearer {token}", **{key.replace("_", "-"): value for key, value in headers.items()}}
        return await client.put(f"/v1/uploads/{upload_id}", content=data, headers=sent)


def part(start: int, end: int, total: int = len(DATA)) -> str:
    return f"bytes {start}-{end - 1}/{total}"


async def test_a_file_comes_whole(shop: Shop) -> None:
    digest = hashlib.sha256(DATA).hexdigest()
    made = await shop.call("create_upload", name="a.csv", size_bytes=len(DATA), sha256=digest)
    assert (made.status, made.url) == ("open", f"/v1/uploads/{made.upload_id}")
    answer = await put(shop, made.upload_id, DATA)
    assert (answer.status_code, answer.json()["status"]) == (200, "complete")
    found, path = await shop.platform.engine.uploads.source(await shop.who("ada"), made.upload_id)
    assert path.read_bytes() == DATA and path.stat().st_mode & 0o777 == 0o600
    again = await put(shop, made.upload_id, DATA)
    assert again.status_code == 409 and found.is_complete


async def test_a_file_comes_in_parts_that_can_be_resumed(shop: Shop) -> None:
    made = await shop.call("create_upload", name="a.csv", size_bytes=len(DATA))
    first = await put(shop, made.upload_id, DATA[:1000], content_range=part(0, 1000))
    assert (first.json()["received_bytes"], first.headers["upload-offset"]) == (1000, "1000")
    for start in (0, 999, 1001):
        wrong = await put(shop, made.upload_id, DATA[start:2000], content_range=part(start, 2000))
        assert wrong.status_code == 409 and "1000" in wrong.json()["error"]["message"]
    short = await put(shop, made.upload_id, DATA[1000:1500], content_range=part(1000, 2000))
    assert short.status_code == 409
    assert (await shop.call("get_upload", upload_id=made.upload_id)).received_bytes == 1500
    rest = await put(shop, made.upload_id, DATA[1500:], content_range=part(1500, len(DATA)))
    assert rest.json()["status"] == "complete"


async def test_wrong_bytes_and_ranges_are_refused(shop: Shop) -> None:
    made = await shop.call("create_upload", name="a", size_bytes=10, sha256="0" * 64)
    for header in ("bytes 5-1/10", "bytes 0-10/10", "bytes 0-9/*", "lines 0-9/10", "bytes 0-9/11"):
        assert (await put(shop, made.upload_id, b"x" * 10, content_range=header)).status_code == 409
    assert (await put(shop, made.upload_id, b"x" * 11)).status_code == 409
    other = await shop.call("create_upload", name="a", size_bytes=10, sha256="0" * 64)
    assert (await put(shop, other.upload_id, b"x" * 10)).status_code == 409
    assert (await shop.call("get_upload", upload_id=other.upload_id)).received_bytes == 0


async def test_bodies_that_are_too_large_are_told_how_to_come_in_parts(shop: Shop) -> None:
    made = await shop.call("create_upload", name="a", size_bytes=10)
    answer = await put(shop, made.upload_id, b"x" * 10, content_length=str(2**40))
    error = answer.json()["error"]
    assert (answer.status_code, error["code"]) == (413, "INVALID_ARGUMENT") and "parts" in error["hint"]
    assert (await shop.call("get_upload", upload_id=made.upload_id)).received_bytes == 0


async def test_uploads_belong_to_their_owner(shop: Shop) -> None:
    made = await shop.call("create_upload", name="a", size_bytes=10)
    for stranger in ("olga", "cora"):
        with pytest.raises(NotFound):
            await shop.call("get_upload", by=stranger, upload_id=made.upload_id)
        assert (await put(shop, made.upload_id, b"x" * 10, by=stranger)).status_code == 404
    await shop.give("ada", "viewer")
    with pytest.raises(Unauthorized):
        await shop.call("create_upload", name="a", size_bytes=10)
    assert (await put(shop, made.upload_id, b"x" * 10)).status_code == 403


async def test_uploads_are_capped_and_expire(shop: Shop) -> None:
    uploads = shop.platform.engine.uploads
    uploads._max_bytes = 100
    with pytest.raises(Conflict):
        await shop.call("create_upload", name="a", size_bytes=101)
    made = [await shop.call("create_upload", name="a", size_bytes=100) for _ in range(4)]
    with pytest.raises(QuotaExceeded):
        await shop.call("create_upload", name="a", size_bytes=1)
    await put(shop, made[0].upload_id, b"x" * 100)
    now = uploads._clock()
    uploads._clock = lambda: now + 3 * 24 * 3600
    with pytest.raises(NotFound):
        await shop.call("get_upload", upload_id=made[0].upload_id)
    assert await uploads.sweep() == 4
    assert not [path for path in uploads._folder.rglob("*") if path.is_file()]


async def test_names_that_are_paths_are_refused(shop: Shop) -> None:
    for name in ("", "a/b", "..\\x", "a\n", "x" * 256):
        with pytest.raises(InvalidArgument):
            await shop.call("create_upload", name=name, size_bytes=1)


async def test_the_path_tells_of_its_methods_and_odd_ids_of_imports_are_none(shop: Shop) -> None:
    token = await shop.platform.engine.identity.mint(subject="ada")
    transport = httpx.ASGITransport(rest_face(shop.platform), raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client:
        told = await client.options("/v1/uploads/up_1")
        assert told.headers["allow"] == "GET, HEAD, OPTIONS, PUT"
        headers = {"authorization": f"Bearer {token}"}
        sent = await client.put(f"/v1/uploads/{'0' * 65}", content=b"x", headers=headers)
        assert (sent.status_code, sent.json()["error"]["code"]) == (404, "NOT_FOUND")
        for job_id in ("0" * 65, "job_unknown"):
            answer = await client.get(f"/v1/import-jobs/{job_id}/rejects", headers=headers)
            assert (answer.status_code, answer.json()["error"]["code"]) == (404, "NOT_FOUND")
