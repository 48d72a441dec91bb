"""insert_records, update_records and delete_records on SQLite and PostgreSQL, by a credential that writes."""

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
import pytest

from core.dispatch import Call
from core.errors import Conflict, QueryUnauthorized, Timeout, Unauthorized
from headwater.build import build
from tests.faces.world import settings_of
from tests.fixtures_postgres import PostgresServer
from tests.tools.admin.policy_desk import ADMIN, PolicyDesk
from tests.tools.records.test_write import EDI, HOSTILE, one

SETUP = """
CREATE TABLE team (id INTEGER PRIMARY KEY, label TEXT NOT NULL UNIQUE);
INSERT INTO team VALUES (1, 'red'), (2, 'blue');
CREATE TABLE person (
    id INTEGER PRIMARY KEY, name TEXT NOT NULL, region TEXT DEFAULT 'eu', age INTEGER CHECK (age >= 0), born DATE,
    team_id INTEGER REFERENCES team (id), secret TEXT DEFAULT 'canary', "odd ""name" TEXT);
INSERT INTO person (id, name, region, age, secret) VALUES
    (1, 'Ada', 'eu', 36, 'canary-1'), (2, 'Bob', 'eu', 20, 'canary-2'), (3, 'Cyd', 'us', 50, 'canary-3');
CREATE VIEW adults AS SELECT * FROM person WHERE age > 17;"""


@dataclass
class Shop:
    """A database behind the connection `shop`, and a look into it past all rules."""

    desk: PolicyDesk
    kind: str
    url: str
    look: Callable[[str], list[tuple[Any, ...]]]

    def call(self, tool: str, by: Any = ADMIN, *, table: str = "person", **arguments: Any) -> Awaitable[Any]:
        return self.desk.call(f"{tool}_records", by, connection_id="shop", table=table, **arguments)

    async def policy(self, **rule: Any) -> None:
        more = {"connection_id": "shop", "table": "person", "except_for": {"roles": ["admin"]}}
        await self.desk.call("create_policy", **{**more, **rule})


@pytest.fixture(params=["sqlite", "postgresql"])
async def shop(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Shop]:
    home, data, kind = tmp_path / "home", tmp_path / "data", request.param
    home.mkdir()
    data.mkdir()
    options, look, hosts = _sqlite(data) if kind == "sqlite" else _postgres(request)
    url = "" if kind == "sqlite" else f"postgresql://postgres@/{options['database']}?host={options['host']}"
    query = {"allowed_roots": [str(data)], "writable_roots": [str(data)]}
    platform = await build(settings_of(home, query=query, egress={"allowed_private_hosts": hosts}))
    await platform.engine.identity.directory.create_user("default", user_id="edi", roles=["editor"])
    desk = PolicyDesk(platform)
    await desk.call("create_connection", connection_id="shop", name="Shop", kind=kind, options=options)
    yield Shop(desk, kind, url, look)
    await platform.close()


def _sqlite(data: Path) -> tuple[dict[str, str], Callable[[str], list[tuple[Any, ...]]], list[str]]:
    with sqlite3.connect(data / "shop.db") as database:
        database.executescript(SETUP)

    def look(sql: str) -> list[tuple[Any, ...]]:
        with sqlite3.connect(data / "shop.db") as database:
            return database.execute(sql).fetchall()

    return {"path": str(data / "shop.db"), "allow_writes": "true"}, look, []


def _postgres(
    request: pytest.FixtureRequest,
) -> tuple[dict[str, str], Callable[[str], list[tuple[Any, ...]]], list[str]]:
    server: PostgresServer = request.getfixturevalue("postgres")
    name: str = request.getfixturevalue("postgres_database")

    def look(sql: str) -> list[tuple[Any, ...]]:
        with psycopg.connect(server.url(name), autocommit=True) as database:
            found = database.execute(sql.encode())
            return found.fetchall() if found.description else []

    look(SETUP)
    for role, rights in (("reads", "SELECT"), ("writes", "SELECT, INSERT, UPDATE, DELETE")):
        look(f"DO $$ BEGIN CREATE ROLE {role} LOGIN; EXCEPTION WHEN duplicate_object THEN NULL; END $$")
        look(f"GRANT {rights} ON ALL TABLES IN SCHEMA public TO {role}")
    folder = str(server._folder)
    options = {"host": folder, "database": name, "user": "reads", "write_user": "writes", "sslmode": "disable"}
    return options, look, [folder]


async def test_what_is_written_is_counted_and_read_at_once(shop: Shop) -> None:
    new = [{"id": 4, "name": "Dan", "age": 1.0}, {"id": "5", "name": "Eve", "region": None, "born": "2001-02-03"}]
    assert (await shop.call("insert", records=new, dry_run=True)).inserted == 2
    done = await shop.call("insert", records=new)
    assert (done.affected, done.inserted, done.snapshot_id) == (2, 2, None)
    assert shop.look("SELECT id, region, age FROM person WHERE id > 3 ORDER BY id") == [(4, "eu", 1), (5, None, None)]
    old: dict[str, Any] = {"filters": one("age", [20, 40], "between"), "values": {"age": 7, 'odd "name': HOSTILE}}
    assert (await shop.call("update", **old, dry_run=True)).updated == 2
    assert shop.look("SELECT count(*) FROM person WHERE age = 7") == [(0,)]
    assert (await shop.call("update", **old)).updated == 2
    page = await shop.desk.call("get_records", connection_id="shop", table="person", filters=one("age", 7))
    assert [(row["id"], row['odd "name']) for row in page.data.records()] == [(1, HOSTILE), (2, HOSTILE)]
    assert (await shop.call("delete", filters=one("name", "%a%", "like"), dry_run=True)).deleted >= 1
    assert (await shop.call("delete", filters=one("id", [4, 5, 9], "in"))).deleted == 2
    assert (await shop.call("delete", filters=one("name", "x' OR '1'='1"))).deleted == 0
    assert shop.look("SELECT id FROM person ORDER BY id") == [(1,), (2,), (3,)]


async def test_upserts(shop: Shop) -> None:
    async def put(records: list[dict[str, Any]], **how: Any) -> tuple[int, int, int]:
        found = await shop.call("insert", records=records, **how)
        return found.inserted, found.updated, found.skipped

    both = [{"id": 1, "name": "Ann"}, {"id": 9, "name": "New"}]
    assert await put(both, on_conflict="update") == (1, 1, 0)
    assert shop.look("SELECT name, age FROM person WHERE id = 1") == [("Ann", 36)]
    assert await put([{"id": 1, "name": "no"}, {"id": 10, "name": "yes"}], on_conflict="ignore") == (1, 0, 1)
    with pytest.raises(Conflict, match="no key of the table"):
        await put([{"id": 1, "name": "x"}], on_conflict="update", key_columns=["name"])
    with pytest.raises(Conflict, match="same key"):
        await put([{"id": 20, "name": "a"}, {"id": 20, "name": "b"}], on_conflict="update")


async def test_broken_rules_are_told_without_the_databases_words_and_nothing_is_written(shop: Shop) -> None:
    await shop.policy(name="s", kind="column", columns=["secret"], privacy="hidden")
    wrong: list[tuple[str, dict[str, Any], str]] = [
        ("insert", {"records": [{"id": 8, "name": "a"}, {"id": 3, "name": "b"}]}, "same key is there already"),
        ("insert", {"records": [{"id": 8, "name": "a"}, {"name": None}]}, "may not be null"),
        ("insert", {"records": [{"id": 8, "age": 5}]}, "may not be null has no value"),
        ("insert", {"records": [{"id": 8, "name": "a", "team_id": 77}]}, "refers to one that is not there"),
        ("insert", {"records": [{"id": 8, "name": "a", "age": -1}]}, "rule of the table"),
        ("insert", {"records": [{"id": "x", "name": 5, "born": "soon"}]}, r"records\[0\].id must be a number"),
        ("insert", {"records": [{"id": 2**70, "name": "a"}]}, "fit"),
        ("update", {"filters": one("id", 1), "values": {"id": 2}}, "same key is there already"),
        ("update", {"filters": one("id", 1), "values": {"age": "old"}}, "values.age must be a number"),
        ("update", {"filters": one("id", 1), "values": {"name": None}}, "may not be null"),
        ("insert", {"table": "adults", "records": [{"id": 8, "name": "a"}]}, "A view is not written"),
    ]
    before = shop.look("SELECT * FROM person ORDER BY id")
    for tool, arguments, said in wrong:
        with pytest.raises(Conflict, match=said) as refused:
            await shop.call(tool, EDI, **arguments)
        assert "canary" not in str(refused.value) and "Cyd" not in str(refused.value)
    assert shop.look("SELECT * FROM person ORDER BY id") == before


async def test_policies_hold_for_what_is_touched_and_for_what_is_written(shop: Shop) -> None:
    await shop.policy(name="own", kind="row_filter", filter="region = principal.region")
    await shop.policy(name="mail", kind="column", columns=["secret"], mask={"kind": "null"})
    assert (await shop.call("update", EDI, filters=one("id", 0, "gt"), values={"age": 1})).updated == 2
    assert (await shop.call("delete", EDI, filters=one("id", [2, 3], "in"))).deleted == 1
    # The default of `region` counts, as the database has made the record.
    assert (await shop.call("insert", EDI, records=[{"id": 6, "name": "F"}])).inserted == 1
    refusals: list[tuple[str, dict[str, Any]]] = [
        ("insert", {"records": [{"id": 7, "name": "G", "region": "us"}]}),
        ("insert", {"records": [{"id": 7, "name": "G"}, {"id": 8, "name": "H", "region": None}]}),
        ("insert", {"records": [{"id": 3, "name": "mine"}], "on_conflict": "update"}),
        ("update", {"filters": one("id", 1), "values": {"region": "us"}}),
        ("update", {"filters": one("secret", "canary-1"), "values": {"age": 2}}),
        ("update", {"filters": one("id", 1), "values": {"secret": "x"}}),
    ]
    for tool, arguments in refusals:
        with pytest.raises(QueryUnauthorized):
            await shop.call(tool, EDI, **arguments)
    rows = shop.look("SELECT id, name, region, age, secret FROM person ORDER BY id")
    assert rows == [
        *[(1, "Ada", "eu", 1, "canary-1"), (3, "Cyd", "us", 50, "canary-3"), (6, "F", "eu", None, "canary")]
    ]


async def test_ten_thousand_hostile_records(shop: Shop) -> None:
    many = [{"id": number, "name": f"{HOSTILE}{number}", "age": 1} for number in range(100, 10_100)]
    many[5] = {"id": 105, "name": "x" * 2**20, "region": "us"}
    assert (await shop.call("insert", records=many)).inserted == 10_000
    assert shop.look("SELECT count(*), max(length(name)) FROM person") == [(10_003, 2**20)]
    assert (await shop.call("update", filters=one("id", 99, "gt"), values={"name": HOSTILE})).updated == 10_000
    for column in (HOSTILE, 'id" = 1 OR "id', "secret.x", "rowid", "ctid", "xmax"):
        with pytest.raises(QueryUnauthorized):
            await shop.call("delete", filters=one(column, "1"))
        with pytest.raises(QueryUnauthorized):
            await shop.call("insert", records=[{column: 1}])
    assert (await shop.call("delete", filters=one("name", HOSTILE))).deleted == 10_000


async def test_a_connection_writes_only_with_a_credential_of_its_own(shop: Shop) -> None:
    stored = await shop.desk.call("get_connection", connection_id="shop")
    reading = {name: value for name, value in stored.options.items() if name not in ("allow_writes", "write_user")}
    await shop.desk.call("update_connection", connection_id="shop", options=reading)
    for tool, more in (("insert", {"records": [{"id": 8}]}), ("delete", {"filters": one("id", 1)})):
        with pytest.raises(Conflict, match="only reads"):
            await shop.call(tool, **more)
    if shop.kind == "postgresql":  # the role that reads is never used, and the one that writes has its own rights
        await shop.desk.call("update_connection", connection_id="shop", options={**reading, "write_user": "reads"})
        with pytest.raises(Conflict, match="may not do that"):
            await shop.call("delete", filters=one("id", 1))
    assert shop.look("SELECT count(*) FROM person") == [(3,)]


async def test_plans_are_explained(shop: Shop) -> None:
    found = await shop.desk.call("explain_query", connection_id="shop", sql="SELECT name FROM person WHERE id = 1")
    assert "person" in found.plan


async def test_two_writers_change_one_record_one_after_the_other(shop: Shop) -> None:
    async def move(number: int) -> int:
        values = {"age": 100 + number}
        return int((await shop.call("update", filters=[*one("id", 1), *one("age", 36)], values=values)).updated)

    assert sorted(await asyncio.gather(*map(move, range(5)))) == [0, 0, 0, 0, 1]


async def test_a_call_that_waits_too_long_writes_nothing(shop: Shop) -> None:
    if shop.kind == "sqlite":
        pytest.skip("SQLite waits for five seconds, whatever the caller has left")
    arguments = {"connection_id": "shop", "table": "person", "filters": one("id", 1), "values": {"age": 5}}
    with psycopg.connect(shop.url) as other:
        other.execute("UPDATE person SET age = 9 WHERE id = 1")
        with pytest.raises((Timeout, Conflict)):
            await shop.desk.platform.dispatcher.call(
                Call("update_records", arguments, "test", "r1", principal=ADMIN, timeout_s=0.5)
            )
    assert shop.look("SELECT age FROM person WHERE id = 1") == [(9,)]


async def test_the_operator_says_which_files_are_written(tmp_path: Path) -> None:
    home, data = tmp_path / "home", tmp_path / "data"
    home.mkdir()
    data.mkdir()
    options, look, _ = _sqlite(data)
    platform = await build(settings_of(home, query={"allowed_roots": [str(data)]}))
    desk = PolicyDesk(platform)
    await desk.call("create_connection", connection_id="shop", name="Shop", kind="sqlite", options=options)
    with pytest.raises(Unauthorized, match="outside the folders that connections may write"):
        await desk.call("delete_records", connection_id="shop", table="person", filters=one("id", 1))
    assert look("SELECT count(*) FROM person") == [(3,)]
    await platform.close()
