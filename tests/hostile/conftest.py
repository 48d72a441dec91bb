"""One server for everything hostile over the wire: every role, another tenant, dead sources, an external issuer."""

import json
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from engine.identity.roles import BUILT_IN
from engine.lake.warehouse import TABLE_DEFAULTS
from headwater.build import Platform
from headwater.settings import read_settings
from tests.faces.served import Served, served
from tests.faces.world import FREE
from tests.hostile.forged_tokens import EXTERNAL_ISSUER, ExternalKey, prepare
from tests.hostile.wire import ROW_VALUE, SECRET, Doors, closed_port

if TYPE_CHECKING:
    from pyiceberg.catalog.sql import SqlCatalog


@pytest.fixture(scope="package")
def outside() -> ExternalKey:
    return ExternalKey()


@pytest.fixture(scope="package")
def keys_url(outside: ExternalKey) -> Iterator[str]:
    """Where the external issuer shows its keys."""

    class Keys(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(outside.jwks())

        def log_message(self, *words: object) -> None:
            return None

    with ThreadingHTTPServer(("127.0.0.1", 0), Keys) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/keys"
        server.shutdown()
        thread.join()


@pytest.fixture(scope="package")
def house(tmp_path_factory: pytest.TempPathFactory, keys_url: str) -> Iterator[Served]:
    home, data = tmp_path_factory.mktemp("home"), tmp_path_factory.mktemp("data")
    issuer = {"issuer": EXTERNAL_ISSUER, "jwks_uri": keys_url, "tenant": "default"}
    rules = {"role_claim": "groups", "roles": {"staff": "viewer"}}
    (home / "issuers.yml").write_text(json.dumps({"issuers": [{**issuer, **rules}]}))
    settings = read_settings(
        home,
        server=FREE,
        query={"allowed_roots": [data]},
        egress={"allowed_private_hosts": ["127.0.0.1"]},
        jobs={"lease_s": 5},
    )

    async def fill(platform: Platform) -> dict[str, str]:
        identity = platform.engine.identity
        await prepare(identity, platform.engine.store, platform.engine.vault)
        await add_connections(platform, data)
        fill_lakehouse(platform)
        tokens = {role: await identity.mint(role=role) for role in BUILT_IN}
        await identity.directory.create_user("default", user_id="roleless", roles=[])
        await identity.directory.create_user("default", user_id="mallory", roles=["admin"])
        tokens["roleless"] = await identity.mint(subject="roleless")
        tokens["mallory"] = await identity.mint(subject="mallory")
        tokens["other"] = await identity.mint(subject="other_user", tenant="other")
        return tokens

    with served(settings, fill) as running:
        (data / "gone.sqlite").unlink()
        (data / "broken.sqlite").write_bytes(b"this is no database" * 100)
        yield running


@pytest.fixture(scope="package")
def doors(house: Served) -> Iterator[Doors]:
    opened = Doors.of(house)
    yield opened
    opened.close()


async def add_connections(platform: Platform, data: Path) -> None:
    connections = platform.engine.catalog.connections
    for name in ("side", "gone", "broken"):
        with closing(sqlite3.connect(data / f"{name}.sqlite")) as database:
            database.execute("CREATE TABLE people (id INTEGER PRIMARY KEY, name TEXT)")
            database.execute("INSERT INTO people VALUES (1, ?)", (ROW_VALUE,))
            database.commit()
        options = {"path": str(data / f"{name}.sqlite")}
        await connections.create("default", name=name, kind="sqlite", options=options, connection_id=name)
    dead = {"host": "127.0.0.1", "port": str(closed_port()), "database": "d", "user": "u", "password": SECRET}
    await connections.create("default", name="dead", kind="postgresql", options=dead, connection_id="dead")
    options = {"path": str(data / "side.sqlite")}
    await connections.create("other", name="theirs", kind="sqlite", options=options, connection_id="theirs")


def fill_lakehouse(platform: Platform) -> None:
    import pyarrow as pa

    people = pa.table({"id": pa.array(range(500), pa.int64()), "name": [f"{ROW_VALUE} {n}" for n in range(500)]})

    def work(catalog: "SqlCatalog") -> None:
        catalog.create_namespace_if_not_exists("shop")
        for name in ("customers", "orders", "returns"):
            catalog.create_table(f"shop.{name}", schema=people.schema, properties=TABLE_DEFAULTS).append(people)

    platform.engine.lake.commit_now("default", work)
    platform.engine.lake.commit_now("other", lambda catalog: catalog.create_namespace("theirs_only"))
