"""Places where a lakehouse can lie, each real: files on disk, PostgreSQL, buckets of moto, another Headwater, Glue."""

import contextlib
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from headwater.build import Platform
from headwater.settings import read_settings
from tests.faces.served import served
from tests.faces.world import FREE
from tests.fixtures_postgres import postgres_server
from tests.fixtures_results import Shop, opened_shop

SECRET = "qzqz-secret"  # looked for in everything that is shown
S3_KEYS = {"s3.region": "us-east-1", "s3.access-key-id": "kk", "s3.secret-access-key": SECRET}
GCS_KEYS = {"gcs.hmac-key-id": "kk", "gcs.hmac-secret": SECRET}


@dataclass
class Place:
    """What set_catalog_config is told, and the hosts that the operator must allow for it."""

    config: dict[str, Any] = field(default_factory=dict)
    hosts: list[str] = field(default_factory=list)


@contextlib.contextmanager
def moto() -> Iterator[str]:
    """The address of a server that is S3 and Glue."""
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    try:
        yield "http://{}:{}".format(*server.get_host_and_port())
    finally:
        server.stop()


def make_bucket(endpoint: str, name: str) -> None:
    httpx.put(f"{endpoint}/{name}").raise_for_status()


@contextlib.contextmanager
def sqlite(data: Path) -> Iterator[Place]:
    yield Place({"warehouse": str(data / "lake")})


@contextlib.contextmanager
def postgres(data: Path) -> Iterator[Place]:
    server = postgres_server()
    name = server.create()
    url = server.url(name)
    yield Place({"warehouse": str(data / "lake"), "uri": url}, [url.partition("host=")[2]])
    server.drop(name)


@contextlib.contextmanager
def s3(data: Path) -> Iterator[Place]:
    with moto() as endpoint:
        make_bucket(endpoint, "lakes")
        yield Place(
            {"warehouse": "s3://lakes/acme", "extra_props": {"s3.endpoint": endpoint, **S3_KEYS}},
            [endpoint.removeprefix("http://")],
        )


@contextlib.contextmanager
def gcs(data: Path) -> Iterator[Place]:
    """Google's buckets speak S3's protocol to HMAC keys; here moto does."""
    with moto() as endpoint:
        make_bucket(endpoint, "lakes")
        yield Place(
            {"warehouse": "gs://lakes/acme", "extra_props": {"gcs.endpoint": endpoint, **GCS_KEYS}},
            [endpoint.removeprefix("http://")],
        )


@contextlib.contextmanager
def postgres_s3(data: Path) -> Iterator[Place]:
    with postgres(data) as catalog, s3(data) as bucket:
        yield Place({**catalog.config, **bucket.config}, [*catalog.hosts, *bucket.hosts])


@contextlib.contextmanager
def glue(data: Path) -> Iterator[Place]:
    keys = {"glue.region": "us-east-1", "glue.access-key-id": "kk", "glue.secret-access-key": SECRET}
    with s3(data) as bucket:
        endpoint = bucket.config["extra_props"]["s3.endpoint"]
        props = {**bucket.config["extra_props"], **keys, "glue.endpoint": endpoint}
        yield Place({**bucket.config, "catalog_type": "glue", "extra_props": props}, bucket.hosts)


@contextlib.contextmanager
def rest(data: Path) -> Iterator[Place]:
    """Another Headwater's /iceberg/v1, whose files lie on the same disk; the client fetches its own tokens."""
    home = data / "upstream"

    async def prepare(platform: Platform) -> dict[str, str]:
        client = await platform.engine.identity.directory.create_client("default", name="robot", roles=["admin"])
        return {"credential": f"{client.client_id}:{client.client_secret}"}

    with served(read_settings(home, server=FREE), prepare) as upstream:
        config = {
            "catalog_type": "rest",
            "uri": f"{upstream.url('rest')}/iceberg",
            "warehouse": str(home / "warehouse" / "default"),
            "extra_props": {"credential": upstream.tokens["credential"], "warehouse": "default"},
        }
        yield Place(config, [upstream.url("rest").removeprefix("http://")])


PLACES = {each.__name__: each for each in (sqlite, postgres, s3, gcs, postgres_s3, glue, rest)}


@contextlib.asynccontextmanager
async def house(template: Path, folder: Path, kind: str) -> AsyncIterator[tuple[Shop, Place]]:
    """A platform whose lakehouse lies in a place of that kind."""
    data = folder / "data"
    data.mkdir()
    with PLACES[kind](data) as place:
        async with opened_shop(template, folder, egress={"allowed_private_hosts": place.hosts}) as shop:
            await shop.call("set_catalog_config", by="cora", **place.config)
            yield shop, place
