"""The REST face over lakehouses that lie elsewhere: a PostgreSQL catalog, a bucket; pyiceberg and DuckDB as judges."""

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pytest
from pyiceberg.exceptions import BadRequestError

from engine.connectors.duck import extension_path
from engine.lake.buckets import duck_secret, read_bucket
from headwater.build import Platform
from headwater.settings import read_settings
from tests.api.iceberg.conftest import ask, tell
from tests.api.iceberg.test_duckdb import MERGE, attach, rows
from tests.api.iceberg.test_pyiceberg import opened
from tests.faces.served import Served, served
from tests.faces.world import FREE
from tests.tools.catalog.lakehouses import PLACES, Place

if TYPE_CHECKING:
    import duckdb

ROWS = pa.table({"id": pa.array(range(10), pa.int64()), "name": [f"n{n}" for n in range(10)]})
pytestmark = pytest.mark.slow


@contextlib.contextmanager
def serving(folder: Path, kind: str) -> Iterator[tuple[Served, Place]]:
    data = folder / "data"
    data.mkdir()

    async def prepare(platform: Platform) -> dict[str, str]:
        identity = platform.engine.identity
        client = await identity.directory.create_client("default", name="robot", roles=["admin"])
        tokens = {"id": client.client_id, "secret": client.client_secret}
        return {**tokens, "admin": await identity.mint(role="admin"), "viewer": await identity.mint(role="viewer")}

    with PLACES[kind](data) as place:
        allowed = {"query": {"allowed_roots": [str(data)]}, "egress": {"allowed_private_hosts": place.hosts}}
        with served(read_settings(folder / "home", server=FREE, **allowed), prepare) as lab:
            tell(lab, "set_catalog_config", place.config)
            yield lab, place


def keys(place: Place) -> dict[str, Any]:
    """What a client needs of its own to read the files."""
    return dict(place.config.get("extra_props", {}))


def duck(lab: Served, place: Place) -> "duckdb.DuckDBPyConnection":
    import duckdb

    connection = duckdb.connect(config={"autoinstall_known_extensions": "false"})
    for name in ("avro", "httpfs", "iceberg"):
        connection.execute(f"LOAD '{extension_path(name)}'")
    if place.config["warehouse"].startswith("s3://"):
        connection.execute(duck_secret(read_bucket(place.config["warehouse"], keys(place))))
    attach(connection, lab, f"CLIENT_ID '{lab.tokens['id']}', CLIENT_SECRET '{lab.tokens['secret']}'")
    return connection


@pytest.mark.parametrize("kind", ["postgres", "s3", "postgres_s3"])
def test_pyiceberg_and_duckdb_use_tables_wherever_they_lie(tmp_path: Path, kind: str) -> None:
    with serving(tmp_path, kind) as (lab, place):
        catalog = opened(lab, token=lab.tokens["admin"], **keys(place))
        catalog.create_namespace("dd")
        table = catalog.create_table("dd.events", schema=ROWS.schema)
        table.append(ROWS)
        stale = catalog.load_table("dd.events")
        table.delete("id < 2")
        assert ask(lab, "SELECT count(*), sum(id) FROM dd.events") == [[8, 44]]
        stale.append(ROWS)  # a lost commit, which pyiceberg tries again
        assert ask(lab, "SELECT count(*) FROM dd.events") == [[18]]
        with duck(lab, place) as connection:
            connection.execute("CREATE TABLE hw.dd.made (id BIGINT, name VARCHAR)")
            connection.execute("INSERT INTO hw.dd.made VALUES (1, 'a'), (2, 'b'), (3, 'c')")
            connection.execute("UPDATE hw.dd.made SET name = 'z' WHERE id = 3")
            connection.execute("DELETE FROM hw.dd.made WHERE id = 2")
            connection.execute(MERGE)
            wanted = [[1, "m"], [3, "z"], [9, "new"]]
            assert rows(connection, "SELECT id, name FROM hw.dd.made ORDER BY id") == wanted
        assert ask(lab, "SELECT id, name FROM dd.made ORDER BY id") == wanted
        found = catalog.load_table("dd.made").scan().to_arrow().sort_by("id").to_pylist()
        assert [list(row.values()) for row in found] == wanted
        with pytest.raises(BadRequestError):
            catalog.create_table("dd.elsewhere", schema=ROWS.schema, location="s3://other/place")
        catalog.drop_table("dd.events")
        assert catalog.list_tables("dd") == [("dd", "made")]
