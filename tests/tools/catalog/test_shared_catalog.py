"""A lakehouse whose catalog is in PostgreSQL: set, used by two servers at once, and never a way out of its folder."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import psycopg
import pyarrow as pa
import pytest

from core.context import Principal
from core.dispatch import Call
from core.errors import Conflict, NotFound, PlatformError, Unauthorized, Unavailable
from engine.identity.roles import BUILT_IN
from engine.lake.shared import masked_url, parse_url
from headwater.build import Platform, build
from tests.faces.world import settings_of
from tests.fixtures_postgres import PostgresServer, postgres, postgres_database, postgres_url
from tests.settled import settle

__all__ = ["postgres", "postgres_database", "postgres_url"]

ADMIN = Principal("admin", "default", frozenset({"admin"}), BUILT_IN["admin"])
ROWS = pa.table({"id": [1, 2, 3]})


@asynccontextmanager
async def server(home: Path, roots: Path, *hosts: str) -> AsyncIterator[Platform]:
    """A platform of its own, which may reach these private hosts."""
    home.mkdir()
    plain = settings_of(home)
    query = plain.query.model_copy(update={"allowed_roots": [roots]})
    egress = plain.egress.model_copy(update={"allowed_private_hosts": list(hosts)})
    platform = await build(plain.model_copy(update={"query": query, "egress": egress}))
    yield platform
    await platform.close()


async def call(platform: Platform, tool: str, by: Principal = ADMIN, **arguments: Any) -> Any:
    return await platform.dispatcher.call(Call(tool, arguments, face="test", request_id="r1", principal=by))


async def count(platform: Platform, sql: str = "SELECT count(*) AS n FROM db.events", **more: Any) -> int:
    answer = await call(platform, "execute_query", sql=sql, **more)
    return int(answer.data.records()[0]["n"])


@pytest.fixture
def roots(tmp_path: Path) -> Path:
    (tmp_path / "roots").mkdir()
    return tmp_path / "roots"


async def test_two_servers_share_tables_and_see_each_others_commits(
    tmp_path: Path, roots: Path, postgres: PostgresServer, postgres_url: str
) -> None:
    host = postgres_url.partition("host=")[2]
    asked: dict[str, Any] = {"catalog_type": "sql", "uri": postgres_url, "warehouse": str(roots / "lake")}
    async with server(tmp_path / "a", roots, host) as here, server(tmp_path / "b", roots, host) as there:
        for platform in (here, there):
            shown = await call(platform, "set_catalog_config", **asked)
            assert (shown.uri, shown.warehouse) == (masked_url(postgres_url), str(roots / "lake"))
        assert (await call(here, "list_lakehouse_tables")).tables == []
        lake = here.engine.lake
        lake.create_namespace("default", "db")
        lake.commit_now("default", lambda it: it.create_table("db.events", schema=ROWS.schema).append(ROWS))
        assert await count(here) == 3 and await count(there) == 3
        first = (await lake.open("db.events", by=ADMIN)).metadata.snapshot_id
        there.engine.lake.commit_now("default", lambda it: it.load_table("db.events").append(ROWS))
        assert await count(here) == 6 and await count(here, as_of=str(first)) == 3
        assert (await call(here, "list_lakehouse_tables")).namespaces == ["db"]
        assert not (roots / "lake" / "catalog.db").exists()
        # Another tenant cannot take the folder, and it is still its tenant's after a change.
        other = Principal("eve", "other", frozenset({"admin"}), BUILT_IN["admin"])
        await settle(here, other)
        await call(here, "set_catalog_config")
        with pytest.raises((Conflict, PlatformError)):
            await call(here, "set_catalog_config", other, warehouse=str(roots / "lake"))
        await call(here, "set_catalog_config", **asked)
        assert await count(here) == 6


async def test_what_the_database_says_leads_to_no_file_outside_the_folder(
    tmp_path: Path, roots: Path, postgres_url: str
) -> None:
    host = postgres_url.partition("host=")[2]
    async with server(tmp_path / "a", roots, host) as here:
        lake = here.engine.lake
        lake.create_namespace("default", "own")
        lake.commit_now("default", lambda it: it.create_table("own.canary", schema=ROWS.schema).append(ROWS))
        secret = lake.locations("default")["own.canary"]
        await call(here, "set_catalog_config", uri=postgres_url, warehouse=str(roots / "lake"))
        lake.create_namespace("default", "db")
        lake.commit_now("default", lambda it: it.create_table("db.events", schema=ROWS.schema).append(ROWS))
        metadata = json.loads(Path(lake.locations("default")["db.events"].removeprefix("file://")).read_text())
        forged = roots / "lake" / "forged.metadata.json"
        forged.write_text(json.dumps({**metadata, "location": str(tmp_path / "elsewhere")}))
        (roots / "lake" / "link.json").symlink_to(secret.removeprefix("file://"))
        found = [secret, str(forged), str(roots / "lake" / "link.json"), "s3://bucket/x.json", "http://127.0.0.1/x"]
        with psycopg.connect(postgres_url, autocommit=True) as database:
            for number, location in enumerate(found):
                database.execute(
                    "INSERT INTO iceberg_tables (catalog_name, table_namespace, table_name, metadata_location, "
                    "iceberg_type) VALUES ('headwater', 'db', %s, %s, 'TABLE')",
                    (f"t{number}", location),
                )
        assert (await call(here, "list_lakehouse_tables")).tables == ["db.events"]
        for number in range(len(found)):
            with pytest.raises(PlatformError):
                await count(here, f"SELECT count(*) AS n FROM db.t{number}")
            with pytest.raises(NotFound):
                await call(here, "get_table", table=f"db.t{number}")
        for number in (0, 1, 2):
            with pytest.raises(Unauthorized, match="outside"):
                lake.commit_now("default", lambda it, n=number: it.load_table(f"db.t{n}").append(ROWS))  # type: ignore[misc]
        assert not (tmp_path / "elsewhere").exists()


async def test_only_databases_that_the_operator_allows_are_reached_and_passwords_stay_sealed(
    tmp_path: Path, roots: Path, postgres_url: str
) -> None:
    async with server(tmp_path / "a", roots) as here:
        for uri in (
            "postgresql://u:p@127.0.0.1/x",
            "postgresql://u:p@10.0.0.1/x",
            "postgresql://u:p@[::1]/x",
            postgres_url,
        ):
            with pytest.raises(Unauthorized, match="private"):
                await call(here, "set_catalog_config", uri=uri)
        wrong = [
            "http://catalog",
            "sqlite:////etc/x.db",
            "postgresql://h",
            "mysql://h/d",
            "postgresql://h:x/d",
            "x" * 99,
        ]
        wrong += [
            f"postgresql://u@h/d?{option}" for option in ("hostaddr=10.0.0.1", "service=x", "passfile=/x", "host=b")
        ]
        for uri in wrong:
            with pytest.raises(Conflict):
                await call(here, "set_catalog_config", uri=uri)
        with pytest.raises(Conflict, match="sql"):
            await call(here, "set_catalog_config", catalog_type="hadoop", uri=postgres_url)
        with pytest.raises(Unauthorized):
            await call(here, "set_catalog_config", replace(ADMIN, permissions=frozenset()), uri=postgres_url)
        assert not (await call(here, "get_catalog_config")).configured


async def test_a_masked_password_goes_back_to_its_own_address_alone(
    tmp_path: Path, roots: Path, postgres: PostgresServer, postgres_url: str
) -> None:
    host, given = postgres_url.partition("host=")[2], postgres_url.replace("postgres@", "postgres:qzqz@")
    async with server(tmp_path / "a", roots, host) as here:
        shown = (await call(here, "set_catalog_config", uri=given)).uri
        assert "qzqz" not in shown and "***" in shown
        assert (await call(here, "set_catalog_config", uri=shown)).uri == shown
        assert here.engine.lake.is_far("default") and _url(here) == given
        moved = shown.replace("postgres:", "root:")
        with pytest.raises(Unavailable):  # tried with `***`, not with the password of another address
            await call(here, "set_catalog_config", uri=moved)
        stored = (tmp_path / "a" / "headwater.db").read_bytes() + (tmp_path / "a" / "headwater.db-wal").read_bytes()
        assert b"qzqz" not in stored
        postgres.cut_off(parse_url(given).database or "")
        with pytest.raises(Unavailable) as error:
            await call(here, "list_lakehouse_tables")
        assert "qzqz" not in f"{error.value.message}{error.value.hint}"
        postgres.let_in(parse_url(given).database or "")
    assert masked_url("postgresql://u:p%40ss@h:1/d") == "postgresql://u:***@h:1/d"


def _url(platform: Platform) -> str:
    return platform.engine.lake.site("default").uri
