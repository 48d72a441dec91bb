"""What the attacks are after: a DuckDB file with canaries, files beside it, a second database, a canary web server,
and a served platform where a restricted caller may see a part of the first."""

import shutil
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import duckdb

from core.context import Principal
from core.dispatch import Call
from engine.identity.roles import BUILT_IN
from headwater.build import Platform
from headwater.settings import read_settings
from tests.faces.served import Served, served
from tests.faces.world import FREE

TIMEOUT_S = 2
CANARY = "CANARY"
ADMIN = Principal("admin", "default", frozenset({"admin"}), BUILT_IN["admin"])
SCHEMA = """
CREATE TABLE orders (id INTEGER, region VARCHAR, amount DECIMAL(10,2), note VARCHAR);
INSERT INTO orders VALUES (1, 'EU', 10, 'eu-1'), (2, 'EU', 20, 'eu-2'), (3, 'US', 30, 'CANARY-ROW-US-3'),
    (4, 'US', 40, 'CANARY-ROW-US-4');
CREATE TABLE customers (id INTEGER, name VARCHAR, ssn VARCHAR);
INSERT INTO customers VALUES (1, 'ann', 'CANARY-SSN-1'), (2, 'bob', 'CANARY-SSN-2');
CREATE SCHEMA hr;
CREATE TABLE hr.salaries (id INTEGER, emp VARCHAR, note VARCHAR);
INSERT INTO hr.salaries VALUES (1, 'ann', 'CANARY-SALARY-9000');
CREATE TABLE kv (k INTEGER PRIMARY KEY, v VARCHAR);
INSERT INTO kv VALUES (1, 'one');
CREATE TABLE scratch (t VARCHAR);
CREATE SEQUENCE seq;
CREATE VIEW eu_orders AS SELECT * FROM orders WHERE region = 'EU';
CREATE VIEW all_orders_view AS SELECT * FROM orders;
CREATE VIEW all_salaries_view AS SELECT * FROM hr.salaries;
"""
# What the restricted caller may see of it, as a database of its own.
RESTRICTED = """
DELETE FROM orders WHERE region <> 'EU';
DROP VIEW all_orders_view; DROP VIEW all_salaries_view; DROP SCHEMA hr CASCADE;
"""
SSN = {
    "hidden": "ALTER TABLE customers DROP COLUMN ssn",
    "masked": "UPDATE customers SET ssn = '***'",
    "aggregate": "ALTER TABLE customers DROP COLUMN ssn",
}
CALLERS = tuple(SSN)
CONTROL = "SELECT id, region, note FROM orders ORDER BY id"
CONTROL_ROWS = [{"id": 1, "region": "EU", "note": "eu-1"}, {"id": 2, "region": "EU", "note": "eu-2"}]


@dataclass
class Web:
    """A server that notes who asks it for something."""

    port: int
    hits: list[str] = field(default_factory=list)


@dataclass
class Lair:
    """Everything at hand while the platform runs."""

    house: Served
    folder: Path
    web: Web
    home: Path

    def fill(self, sql: str) -> str:
        """A statement of the corpus with its placeholders filled in."""
        values = {
            "{SECRET}": str(self.folder / "secrets" / "canary"),
            "{DIR}": str(self.folder),
            "{OTHER}": str(self.folder / "other.duckdb"),
            "{HTTP}": f"http://127.0.0.1:{self.web.port}",
            "{PORT}": str(self.web.port),
            "{HOSTNAME}": socket.gethostname(),
        }
        for name, value in values.items():
            sql = sql.replace(name, value)
        return sql

    def token(self, caller: str) -> str:
        return self.house.tokens[caller]


def make_files(folder: Path) -> None:
    folder.mkdir()
    with duckdb.connect(str(folder / "wh.duckdb")) as database:
        database.execute(SCHEMA)
    with duckdb.connect(str(folder / "other.duckdb")) as database:
        database.execute("CREATE TABLE private AS SELECT 'CANARY-OTHERDB-5' AS x")
    (folder / "w").mkdir()
    (folder / "imp").mkdir()
    (folder / "imp" / "schema.sql").write_text("CREATE TABLE imported (i INTEGER);\n")
    (folder / "imp" / "load.sql").write_text("")
    secrets = folder / "secrets"
    secrets.mkdir()
    secret = "CANARY-FILE-7f3a"
    (secrets / "canary").write_text(f"{secret}\n")
    (secrets / "canary.csv").write_text(f"a,b\n{secret},1\n")
    (secrets / "canary.hdr").write_text(f"{secret},b\n1,2\n")
    (secrets / "canary.json").write_text(f'{{"a": "{secret}"}}\n')
    with duckdb.connect() as database:
        database.execute(f"COPY (SELECT '{secret}' AS a) TO '{secrets}/canary.parquet' (FORMAT parquet)")


@contextmanager
def restricted_copy(folder: Path, caller: str, scratch: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    """A physical copy of what the caller may see: what an answer may come from, and nothing else."""
    path = scratch / f"copy-{caller}.duckdb"
    shutil.copy(folder / "wh.duckdb", path)
    with duckdb.connect(str(path), config={"threads": "1", "memory_limit": "256MB"}) as database:
        database.execute("DROP VIEW IF EXISTS eu_orders")
        database.execute(RESTRICTED)
        database.execute(SSN[caller])
        database.execute("CREATE VIEW eu_orders AS SELECT * FROM orders WHERE region = 'EU'")
        database.execute("SET enable_external_access = false")
        yield database


@contextmanager
def web_server() -> Iterator[Web]:
    web = Web(0)

    class Pages(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            web.hits.append(self.path)
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b"CANARY-HTTP,1\n")

        do_HEAD = do_PUT = do_POST = do_GET

        def log_message(self, *words: object) -> None:
            return None

    with ThreadingHTTPServer(("127.0.0.1", 0), Pages) as server:
        web.port = server.server_port
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield web
        finally:
            server.shutdown()
            thread.join()


@contextmanager
def lair(base: Path) -> Iterator[Lair]:
    """The served platform over the files, below `base`."""
    folder, home = base / "dir", base / "home"
    make_files(folder)
    settings = read_settings(
        home,
        server=FREE,
        query={"allowed_roots": [folder], "timeout_s": TIMEOUT_S, "memory_mb": 256, "threads": 1, "max_mb": 8},
        limits={},
    )

    async def fill(platform: Platform) -> dict[str, str]:
        return await prepare(platform, folder)

    with web_server() as web, served(settings, fill) as house:
        yield Lair(house, folder, web, home)


async def prepare(platform: Platform, folder: Path) -> dict[str, str]:
    """The connection, three restricted callers, and the policies that restrict them."""
    identity, connections = platform.engine.identity, platform.engine.catalog.connections
    options = {"path": str(folder / "wh.duckdb")}
    await connections.create("default", name="wh", kind="duckdb", options=options, connection_id="wh")
    tokens = {"admin": await identity.mint(role="admin")}
    for caller in CALLERS:
        await identity.directory.create_user("default", user_id=caller, roles=["viewer"], attributes={"region": "EU"})
        tokens[caller] = await identity.mint(subject=caller)
    for policy in policies():
        call = Call(tool="create_policy", arguments=policy, face="test", request_id="prepare", principal=ADMIN)
        await platform.dispatcher.call(call)
    return tokens


def policies() -> list[dict[str, Any]]:
    """Rows of their own region; no salaries, nor the views that would show them; and each caller's own rule for ssn."""
    everyone = {"roles": ["viewer"]}
    table: dict[str, Any] = {"connection_id": "wh", "kind": "column", "columns": ["*"], "privacy": "hidden"}
    ssn: dict[str, Any] = {"connection_id": "wh", "kind": "column", "table": "customers", "columns": ["ssn"]}
    rows = {"connection_id": "wh", "kind": "row_filter", "table": "orders", "filter": "region = principal.region"}
    return [
        {**rows, "name": "own region", "applies_to": everyone},
        *(
            {**table, "table": name, "name": f"no {name}", "applies_to": everyone}
            for name in ("hr.salaries", "all_orders_view", "all_salaries_view")
        ),
        {**ssn, "name": "ssn hidden", "privacy": "hidden", "applies_to": {"users": ["hidden"]}},
        {
            **ssn,
            "name": "ssn masked",
            "privacy": "masked",
            "mask": {"kind": "constant", "value": "***"},
            "applies_to": {"users": ["masked"]},
        },
        {
            **ssn,
            "name": "ssn in aggregates",
            "privacy": "aggregate_only",
            "min_group_size": 2,
            "applies_to": {"users": ["aggregate"]},
        },
    ]
