import asyncio
import base64
import csv
import gzip
import io
import json
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from core.errors import Conflict, InvalidArgument, NotFound, Unauthorized
from tests.fixtures_results import Shop, shop, shop_template

__all__ = ["shop", "shop_template"]

ITEMS = "SELECT id, name FROM item ORDER BY id"


async def export(shop: Shop, **arguments: Any) -> Any:
    return await shop.call("create_export", job_id=await shop.run(ITEMS), **arguments)


async def test_an_export_is_a_file_behind_a_link(shop: Shop) -> None:
    made = await export(shop)
    assert (made.status, made.format, made.compression, made.signed_url) == ("succeeded", "CSV", "GZIP", None)
    found = await shop.call("get_export", export_id=made.id)
    assert found.expires_at > found.completed_at >= found.created_at
    link = await shop.call("download_export", export_id=made.id)
    answer = await shop.get(link.signed_url)
    assert answer.status_code == 200
    assert list(csv.reader(io.StringIO(gzip.decompress(answer.content).decode()))) == [
        ["id", "name"],
        *(["1", "a"], ["2", ""], ["3", ""], ["4", "=1+1"], ["5", 'ö"\n,']),
    ]
    assert answer.headers["content-disposition"].startswith(f'attachment; filename="export-{made.id}.csv.gz"')
    assert answer.headers["content-type"] == "application/gzip"
    assert int(answer.headers["content-length"]) == link.size_bytes == made.size_bytes
    assert "no-store" in answer.headers["cache-control"]
    assert answer.headers["x-content-type-options"] == "nosniff"


async def test_exports_are_listed_without_links(shop: Shop) -> None:
    made = [await export(shop)]
    made.append(await shop.call("create_export", job_id=made[0].query_job_id, format="PARQUET"))
    listed = await shop.call("list_exports", job_id=made[0].query_job_id)
    assert [item.id for item in listed.exports] == [made[1].id, made[0].id]
    job = await shop.call("get_query_job", job_id=made[0].query_job_id)
    assert [item.id for item in job.exports] == [made[1].id, made[0].id]
    assert {item.signed_url for item in (*listed.exports, *job.exports)} == {None}


async def test_a_pair_that_does_not_exist_is_refused_with_those_that_do(shop: Shop) -> None:
    job_id = await shop.run(ITEMS)
    with pytest.raises(Conflict) as refused:
        await shop.call("create_export", job_id=job_id, format="AVRO", compression="GZIP")
    assert "DEFLATE, NONE" in refused.value.hint
    with pytest.raises(InvalidArgument):
        await shop.call("create_export", job_id=job_id, format="XLSX")
    [failed] = (await shop.call("list_exports", job_id=job_id)).exports
    assert (failed.status, failed.error_message) == ("failed", refused.value.message)
    with pytest.raises(NotFound):
        await shop.call("download_export", export_id=failed.id)


async def test_formulas_are_defused_where_asked(shop: Shop) -> None:
    made = await export(shop, compression="NONE", spreadsheet_safe=True)
    answer = await shop.get((await shop.call("download_export", export_id=made.id)).signed_url)
    assert '4,"\'=1+1"' in answer.text


async def test_a_part_of_a_file_is_sent_on_its_own(shop: Shop) -> None:
    made = await export(shop, format="JSON", compression="NONE")
    url = (await shop.call("download_export", export_id=made.id)).signed_url
    whole = (await shop.get(url)).content
    size = len(whole)
    for header, start, end in (("0-9", 0, 10), ("5-", 5, size), ("-7", size - 7, size), (f"3-{10 * size}", 3, size)):
        part = await shop.get(url, range=f"bytes={header}")
        assert (part.status_code, part.content) == (206, whole[start:end])
        assert part.headers["content-range"] == f"bytes {start}-{end - 1}/{size}"
    beyond = await shop.get(url, range=f"bytes={size}-")
    assert (beyond.status_code, beyond.headers["content-range"]) == (416, f"bytes */{size}")
    for odd in ("bytes=1-2,4-5", "bytes=-", "lines=1-2", "bytes=x-2"):
        assert (await shop.get(url, range=odd)).content == whole
    head = await shop.get(url, "HEAD")
    assert (head.status_code, head.content, head.headers["content-length"]) == (200, b"", str(size))


async def test_a_result_is_downloaded_without_an_export(shop: Shop) -> None:
    job_id = await shop.run(ITEMS)
    link = await shop.call("download_query_result", job_id=job_id, format="JSON")
    answer = await shop.get(link.signed_url)
    assert [json.loads(line)["id"] for line in answer.text.splitlines()] == [1, 2, 3, 4, 5]
    assert f"result-{job_id}.jsonl" in answer.headers["content-disposition"]
    edited = await shop.get(link.signed_url.replace("/JSON?", "/CSV?"))
    assert edited.status_code == 404


async def test_an_edited_or_old_link_opens_nothing(shop: Shop) -> None:
    made, other = await export(shop), await export(shop)
    url = (await shop.call("download_export", export_id=made.id)).signed_url
    path, query = urlsplit(url).path, {name: found[0] for name, found in parse_qs(urlsplit(url).query).items()}
    stranger = base64.urlsafe_b64encode(json.dumps(["other", "olga", "user", ""]).encode()).decode().rstrip("=")
    changed = [
        {**query, "expires": str(int(query["expires"]) + 1)},
        {**query, "expires": "9" * 30},
        {**query, "expires": "-1"},
        {**query, "by": stranger},
        {**query, "by": "%00"},
        {**query, "signature": query["signature"][:-1] + ("0" if query["signature"][-1] != "0" else "1")},
        {**query, "signature": query["signature"].upper()},
        {**query, "signature": "ö"},
        *({key: value for key, value in query.items() if key != name} for name in query),
    ]
    answers = [await shop.get(path + "?" + "&".join(f"{k}={v}" for k, v in item.items())) for item in changed]
    answers.append(await shop.get(url.replace(made.id, other.id)))
    answers.append(await shop.get(url.replace(made.id, f"../{made.id}")))
    answers.append(await shop.get(url + "&expires=99999999999"))
    links = shop.platform.engine.query_jobs.exports._links
    links._clock = lambda: float(query["expires"])
    answers.append(await shop.get(url))
    assert {answer.status_code for answer in answers} == {404}
    assert {answer.json()["error"]["code"] for answer in answers} == {"NOT_FOUND"}
    assert all(made.id not in answer.text for answer in answers)


async def test_a_link_dies_with_its_owners_rights(shop: Shop) -> None:
    made = await export(shop)
    url = (await shop.call("download_export", export_id=made.id)).signed_url
    result = (await shop.call("download_query_result", job_id=made.query_job_id)).signed_url
    await shop.give("ada", "auditor")
    assert [(await shop.get(link)).status_code for link in (url, result)] == [403, 403]
    await shop.give("ada", "editor")
    await shop.platform.engine.catalog.connections.delete("default", "shop")
    assert [(await shop.get(link)).status_code for link in (url, result)] == [409, 409]
    await shop.platform.engine.identity.directory.deactivate_user("default", "ada")
    await shop.give("ada", "editor")
    assert [(await shop.get(link)).status_code for link in (url, result)] == [404, 404]


async def test_downloads_stand_in_the_audit(shop: Shop) -> None:
    made = await export(shop)
    url = (await shop.call("download_export", export_id=made.id)).signed_url
    await shop.get(url)
    await shop.get(url[:-1])
    audit = shop.platform.engine.audit
    while audit.backlog:
        await asyncio.sleep(0.01)
    records = [
        entry.record
        for tenant in ("default", "")
        for entry in await audit.read(tenant, limit=1000)
        if entry.record is not None and entry.record.face == "download"
    ]
    assert [(record.subject, record.tool, record.code) for record in records] == [
        ("ada", "download_export", "OK"),
        ("", "download_export", "UNAUTHENTICATED"),
    ]
    assert f"export:{made.id}" in records[0].resources


async def test_exports_are_their_owners_alone(shop: Shop) -> None:
    made = await export(shop)
    for by in ("cora", "olga"):
        for tool in ("get_export", "download_export"):
            with pytest.raises(NotFound):
                await shop.call(tool, by=by, export_id=made.id)
    for wrong in ("no-such-id", made.query_job_id, "../" + made.id):
        for tool in ("get_export", "download_export"):
            with pytest.raises(NotFound):
                await shop.call(tool, export_id=wrong)
    await shop.give("cora", "auditor")
    for tool, name in (("create_export", "job_id"), ("get_export", "export_id"), ("list_exports", "job_id")):
        asked: Any = {name: "x"}
        with pytest.raises(Unauthorized):
            await shop.call(tool, by="cora", **asked)


async def test_downloads_are_documented_with_the_refusals_they_give(shop: Shop) -> None:
    document = (await shop.get("/openapi.json")).json()
    paths = {path: item["get"] for path, item in document["paths"].items() if "/content" in path and "get" in item}
    assert len(paths) == 3
    for path, operation in paths.items():
        url = path.replace("{format}", "CSV").format(export_id="none", job_id="none")
        assert operation["security"] == []
        for query in ("", "?by=x&expires=1&signature=y", "?by=x&expires=never&signature=y"):
            answer = await shop.get(url + query)
            assert (answer.status_code, answer.json()["error"]["code"]) == (404, "NOT_FOUND")
        assert {"200", "206", "403", "404", "409", "416"} <= set(operation["responses"])
        assert "x-request-id" in answer.headers
        assert (await shop.get(url, "POST")).status_code == 405
