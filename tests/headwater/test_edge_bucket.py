"""A lakehouse in a bucket, read in the data plane with network: its tables, and nothing beside them."""

import asyncio
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pyarrow as pa
import pytest

from core.errors import PlatformError, Unauthorized, Unavailable
from engine.connectors.connector import ConnectionSpec, Connector
from engine.connectors.places import Places
from engine.connectors.pool import Connectors
from engine.lake.sites import Site
from engine.lake.warehouse import TABLE_DEFAULTS, Lake
from headwater.edge.edges import Edges
from headwater.settings import read_settings
from tests.headwater.edge_world import rows
from tests.tools.catalog.lakehouses import S3_KEYS, SECRET, make_bucket, moto

pytestmark = pytest.mark.slow
ORDERS = pa.table({"id": [1, 2, 3]})
SPEC = ConnectionSpec("acme", "lakehouse", "lakehouse", "lakehouse", {})


def fill(catalog: Any) -> None:
    catalog.create_namespace("shop")
    catalog.create_table("shop.orders", schema=ORDERS.schema, properties=TABLE_DEFAULTS).append(ORDERS)


async def read(connector: Connector, sql: str) -> Any:
    return await rows(connector, sql)


async def test_a_lakehouse_in_a_bucket_is_read_and_nothing_beside_it(tmp_path: Path) -> None:
    with moto() as endpoint:
        make_bucket(endpoint, "lakes")
        httpx.put(f"{endpoint}/lakes/other/secret.csv", content=b"a\n1\n").raise_for_status()
        home, host = tmp_path / "home", endpoint.removeprefix("http://")
        home.mkdir()
        settings = read_settings(home, egress={"allowed_private_hosts": [host]}, query={"memory_mb": 256})
        places = Places(home=home, roots=[], private_hosts=[host])
        keys = tuple(sorted({**S3_KEYS, "s3.endpoint": endpoint}.items()))
        site = Site("s3://lakes/acme", home / "warehouse" / "acme", properties=keys)
        edges, lake = Edges(settings), Lake(home / "warehouse", site_of=lambda tenant: site, gate=places)
        made = Connectors(
            lake=lake, places=places, settings=settings.query, temp_directory=home / "tmp", wrap=edges.wrap(lake)
        )
        try:
            await asyncio.to_thread(lake.commit_now, "acme", fill)
            found = await made.get(SPEC)
            source = (await found.sources(["shop.orders"]))["shop.orders"]
            assert await read(found, f"SELECT sum(id) AS n FROM {source}") == [{"n": 6}]
            for place in (
                "s3://lakes/other/secret.csv",
                "s3://lakes/acme/../other/secret.csv",
                "s3://lakes/acme/shop/../../other/secret.csv",
                "S3://lakes/other/secret.csv",
                f"{endpoint}/lakes/other/secret.csv",
                "/etc/hostname",
                str(home / "root.key"),
            ):
                for call in ("read_csv", "read_text", "read_blob", "glob"):
                    with pytest.raises(PlatformError):
                        assert await read(found, f"SELECT * FROM {call}('{place}')") == []
                        raise Unavailable("glob finds nothing: as good as a refusal")
            with pytest.raises(PlatformError):
                await read(found, "CREATE SECRET x (TYPE s3, KEY_ID 'a', SECRET 'b')")
            shown = str(await read(found, "SELECT * FROM duckdb_secrets()"))
            assert SECRET not in shown
        finally:
            await made.close()
            await edges.close()
            lake.close()


def fill_more(catalog: Any) -> None:
    for name in ("shop.items", "vault.gold"):
        catalog.create_namespace_if_not_exists(name.split(".")[0])
        catalog.create_table(name, schema=ORDERS.schema, properties=TABLE_DEFAULTS).append(ORDERS)


@pytest.mark.parametrize("is_isolated", [True, False])
async def test_a_dataset_in_a_bucket_is_shared_and_nothing_beside_it(tmp_path: Path, is_isolated: bool) -> None:
    share = ConnectionSpec("guest", "share_1", "share", "share", {"owner": "acme", "namespace": "shop"})
    with moto() as endpoint:
        lakes = f"shared-{is_isolated}".lower()
        make_bucket(endpoint, lakes)
        httpx.put(f"{endpoint}/{lakes}/acme/secret.csv", content=b"a\n1\n").raise_for_status()
        home, host = tmp_path / "home", endpoint.removeprefix("http://")
        home.mkdir()
        settings = read_settings(home, egress={"allowed_private_hosts": [host]}, query={"memory_mb": 256})
        places = Places(home=home, roots=[], private_hosts=[host])
        keys = tuple(sorted({**S3_KEYS, "s3.endpoint": endpoint}.items()))
        site = Site(f"s3://{lakes}/acme", home / "warehouse" / "acme", properties=keys)
        edges, lake = Edges(settings), Lake(home / "warehouse", site_of=lambda tenant: site, gate=places)
        wrap = edges.wrap(lake) if is_isolated else None
        made = Connectors(lake=lake, places=places, settings=settings.query, temp_directory=home / "tmp", wrap=wrap)
        try:
            await asyncio.to_thread(lake.commit_now, "acme", fill)
            await asyncio.to_thread(lake.commit_now, "acme", fill_more)
            found = await made.get(share)
            assert sorted(item.name for item in await found.schema()) == ["shop.items", "shop.orders"]
            sources = await found.sources(["shop.orders", "shop.items", "vault.gold"])
            assert sorted(sources) == ["shop.items", "shop.orders"]
            for source in sources.values():
                assert await read(found, f"SELECT sum(id) AS n FROM {source}") == [{"n": 6}]
            hidden = lake.locations("acme")["vault.gold"]
            orders = lake.locations("acme")["shop.orders"].rpartition("/metadata/")[0]
            for call in (
                f"iceberg_scan('{hidden}')",
                f"read_csv('s3://{lakes}/acme/secret.csv')",
                f"read_csv('{orders}/../../secret.csv')",
                f"glob('s3://{lakes}/acme/*')",
            ):
                with pytest.raises(PlatformError):
                    assert await read(found, f"SELECT * FROM {call}") == []
                    raise Unavailable("glob finds nothing: as good as a refusal")
            assert SECRET not in str(await read(found, "SELECT * FROM duckdb_secrets()"))
        finally:
            await made.close()
            await edges.close()
            lake.close()


async def test_the_data_plane_looks_at_the_buckets_address_itself(tmp_path: Path) -> None:
    """A serving process that was led astray cannot have it call what the operator does not allow."""
    home = tmp_path / "home"
    home.mkdir()
    settings = read_settings(home, query={"memory_mb": 256})
    lake = Lake(home / "warehouse", gate=Places(home=home, roots=[]))
    edges = Edges(settings)
    wrap = edges.wrap(lake)
    try:
        for endpoint in ("http://127.0.0.1:9", "https://169.254.169.254", "https://localhost", "http://example.com"):
            keys = tuple(sorted({**S3_KEYS, "s3.endpoint": endpoint}.items()))
            site = Site("s3://lakes/acme", home, properties=keys)
            lake._site_of = lambda tenant, site=site: site  # type: ignore[misc]
            plain = Connectors(
                lake=lake, places=Places(home=home, roots=[]), settings=settings.query, temp_directory=home / "tmp"
            )
            found = wrap(replace(SPEC), plain.build(SPEC))
            with pytest.raises((Unauthorized, Unavailable), match="called"):
                await read(found, "SELECT * FROM iceberg_scan('s3://lakes/acme/x.metadata.json')")
    finally:
        await edges.close()
