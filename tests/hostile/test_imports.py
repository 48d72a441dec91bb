"""Files made to hurt: each is refused in clear words, and the table is as it was."""

import gzip
import json
import struct
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from core.errors import Conflict
from engine.transfer import sources
from engine.transfer.sources import open_source
from tests.fixtures_results import Shop, shop, shop_template
from tests.tools.projects.files import ROWS, encoded, load, make_table, parquet, rows

__all__ = ["shop", "shop_template"]

GOOD = encoded(ROWS, "PARQUET")
FILES: dict[str, bytes] = {
    "truncated.parquet": GOOD[: len(GOOD) // 2],
    "no_footer.parquet": GOOD[:-8],
    "lying_footer.parquet": GOOD[:-8] + struct.pack("<I", 2**31) + b"PAR1",
    "empty.parquet": b"",
    "text.parquet": b"id,name\n1,a\n",
    "truncated.avro": encoded(ROWS, "AVRO")[:120],
    "truncated.arrow": encoded(ROWS, "ARROW")[:400],
    "noise.arrow": b"ARROW1\0\0" + bytes(range(256)) * 20,
    "truncated.csv.gz": gzip.compress(b"id\n" + b"1\n" * 100_000)[:100],
    "not_gzip.csv.gz": b"\x1f\x8b" + b"x" * 100,
    "zipped.csv": b"PK\x03\x04" + b"x" * 100,
    "empty.csv": b"",
    "long_line.csv": b"id,name\n1," + b"x" * 30_000_000 + b"\n2,y\n",
    "open_quote.csv": b'id,name\n1,"' + b"x" * 10_000_000,
    "many_names.csv": b"a,A,b\n1,2,3\n",
    "binary.csv": bytes(range(256)) * 100,
    "latin.csv": "id,name\n1,caf\xe9\n".encode("latin-1"),
    "deep.json": b'{"a":' * 5_000 + b"1" + b"}" * 5_000,
    "huge_object.json": b'{"a":"' + b"x" * 20_000_000 + b'"}',
    "not.json": b"hello",
}


@pytest.mark.slow
@pytest.mark.parametrize("name", FILES)
async def test_a_hostile_file_changes_nothing(shop: Shop, name: str) -> None:
    table_id = await make_table(shop, schema=[{"name": "id", "type": "bigint"}])
    await load(shop, table_id, "a.csv", b"id\n1\n")
    with pytest.raises(Conflict) as refused:
        await load(shop, table_id, name, FILES[name], schema_evolution="add_columns")
    assert "/" not in refused.value.message and len(refused.value.message) < 400
    assert rows(shop) == [{"id": 1}]
    folder = shop.platform.engine.lake.tenant_folder("default") / "sales"
    assert len(list(folder.rglob("*.parquet"))) == 1


async def test_a_bomb_is_put_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sources, "FREE_BYTES", 2**20)
    bomb = tmp_path / "bomb"
    bomb.write_bytes(gzip.compress(b"0\n" * 2**22))
    for name, limit in (("a.csv", 2**40), ("a.csv", 2**20)):
        with pytest.raises(Conflict, match="bounds"):
            open_source(bomb, name, None, spool=tmp_path / "spool", max_bytes=limit)
    assert (tmp_path / "spool").stat().st_size < 2**23


def test_what_a_file_is_not_is_said(tmp_path: Path) -> None:
    path = tmp_path / "a"
    asked: list[tuple[bytes, str, Any]] = [
        (b"PAR1", "a.csv", "CSV"),
        (b"id\n", "a.parquet", None),
        (b"id\n", "a", None),
        (b"BZh9", "a.csv", None),
    ]
    for data, name, kind in asked:
        path.write_bytes(data)
        with pytest.raises(Conflict):
            open_source(path, name, kind, spool=tmp_path / "spool", max_bytes=2**20)


async def test_names_and_values_stay_data(shop: Shop) -> None:
    table_id = await make_table(shop)
    evil = 'a"); DROP TABLE t; --'
    data = json.dumps({evil: "'; SELECT 1", "b'c": "x"}).encode() + b"\n"
    await load(shop, table_id, "a.jsonl", data)
    assert rows(shop) == [{evil: "'; SELECT 1", "b'c": "x"}]
    await load(
        shop,
        table_id,
        "a.parquet",
        parquet(pa.table({evil: ["y"], "b'c": [None]}, schema=pa.schema({evil: pa.string(), "b'c": pa.string()}))),
    )
    assert len(rows(shop)) == 2
