"""Attacks by a tenant's administrator who chooses where the lakehouse lies, and by the catalog server that it names."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar

import pytest

from core.errors import Conflict, InvalidArgument, PlatformError, Unauthorized, Unavailable
from tests.fixtures_results import Shop, opened_shop, shop, shop_template

__all__ = ["shop", "shop_template"]

SECRET = "qzqz-secret"
S3 = {"s3.region": "us-east-1", "s3.access-key-id": "kk", "s3.secret-access-key": SECRET}
REST = {"catalog_type": "rest", "warehouse": "s3://lakes/acme"}
GLUE = {"glue.region": "us-east-1", "glue.access-key-id": "k", "glue.secret-access-key": SECRET}

HOSTS = [
    "http://127.0.0.1:9",
    "https://127.0.0.1",
    "https://localhost",
    "https://169.254.169.254",
    "https://[::1]",
    "https://[::ffff:10.0.0.1]",
    "https://2130706433",
    "https://0x7f.1",
    "https://10.0.0.1",
    "https://user:pass@example.com",
    "http://example.com",
    "https://example.com:22",
    "https://nowhere.invalid",
    "file:///etc/passwd",
    "gopher://example.com",
]


async def attempt(shop: Shop, **config: Any) -> PlatformError:
    """What is said of a configuration that is not taken."""
    with pytest.raises((Unauthorized, Conflict, Unavailable, InvalidArgument)) as refused:
        await shop.call("set_catalog_config", by="cora", **config)
    assert SECRET not in f"{refused.value.message}{refused.value.hint}{refused.value.__cause__}"
    assert not (await shop.call("get_catalog_config", by="cora")).configured
    error: PlatformError = refused.value
    return error


GCS = {"gcs.hmac-key-id": "k", "gcs.hmac-secret": SECRET}


async def test_no_host_is_called_that_the_operator_does_not_allow(shop: Shop) -> None:
    for url in HOSTS:
        for config in (
            {"warehouse": "s3://lakes/acme", "extra_props": {**S3, "s3.endpoint": url}},
            {"warehouse": "gs://lakes/acme", "extra_props": {**GCS, "gcs.endpoint": url}},
            {**REST, "uri": url, "extra_props": {**S3, "token": SECRET}},
            {**REST, "uri": "https://8.8.8.8", "extra_props": {**S3, "credential": SECRET, "oauth2-server-uri": url}},
            {**REST, "catalog_type": "glue", "extra_props": {**S3, **GLUE, "glue.endpoint": url}},
        ):
            error = await attempt(shop, **config)
            assert isinstance(error, Unauthorized | Conflict), (url, config, error)


async def test_hive_needs_a_plain_address_and_an_allowed_host(shop: Shop) -> None:
    for uri in ("thrift://127.0.0.1:9083", "thrift://u@example.com:1", "http://example.com", "thrift://a:1/path", ""):
        await attempt(shop, catalog_type="hive", uri=uri, warehouse="s3://lakes/acme", extra_props=S3)


PLACES = [
        "file:///etc", "/etc", "/", "file:///proc/self", "s3://lakes/../other", "s3://lakes/a/../../b", "s3://", "s3:///x",
        "s3://lakes/a?x=1", "s3://lakes/a#b", "s3://lakes/a*", "s3://la kes/a", "s3://user:pw@lakes/a", "http://lakes/a",
        "hdfs://lakes/a", "s3://lakes//a", "abfss://c@account.dfs.core.windows.net/x",
    ]  # fmt: skip


async def test_places_outside_of_what_is_allowed_are_refused(shop: Shop) -> None:
    for warehouse in PLACES:
        azure = {"adls.account-name": "acct", "adls.account-key": SECRET}
        await attempt(shop, warehouse=warehouse, extra_props={**S3, **azure})
        await attempt(shop, **{**REST, "warehouse": warehouse}, uri="https://example.com", extra_props={**S3, **azure})


async def test_the_home_and_other_tenants_tables_are_no_warehouse(shop: Shop) -> None:
    home = shop.platform.settings.home
    for folder in (home, home / "warehouse", home / "warehouse" / "other", home.parent):
        await attempt(shop, **{**REST, "warehouse": str(folder)}, uri="https://example.com")


KEYS: list[dict[str, str]] = [
        {}, {"s3.region": "us-east-1"}, {**S3, "s3.region": ""}, {**S3, "s3.anonymous": "true"},
        {**S3, "s3.secret-access-key": "a'b\n"}, {"s3.anonymous": "yes", "s3.region": "x"},
    ]  # fmt: skip


async def test_the_servers_own_credentials_are_never_used(shop: Shop) -> None:
    for props in KEYS:
        await attempt(shop, warehouse="s3://lakes/acme", extra_props=props)
    for place, keys in (("gs://lakes/acme", {}), ("abfss://lakes/acme", {"adls.account-name": "acct"})):
        await attempt(shop, warehouse=place, extra_props=keys)
    await attempt(shop, catalog_type="glue", warehouse="s3://lakes/acme", extra_props=S3)
    signed = {**S3, "rest.sigv4-enabled": "true"}
    await attempt(shop, **REST, uri="https://example.com", extra_props=signed)


NAMES = ["py-io-impl", "auth", "ssl", "header.x", "s3.proxy-uri", "s3.role-arn", "client.profile-name", "s3.signer",
             "py-catalog-impl", "headwater.storage", "uri", "io-impl", "botocore_session"]  # fmt: skip


async def test_properties_that_name_code_or_other_places_are_refused(shop: Shop) -> None:
    for name in NAMES:
        error = await attempt(shop, **REST, uri="https://example.com", extra_props={**S3, name: "x"})
        assert isinstance(error, Conflict) and name in error.message


class _Catalog(BaseHTTPRequestHandler):
    """A catalog server that means no good."""

    seen: ClassVar[list[str]] = []
    answers: ClassVar[dict[str, Any]] = {}

    def do_GET(self) -> None:
        self.seen.append(f"{self.path} {self.headers.get('authorization', '')}")
        answer = next((found for path, found in self.answers.items() if self.path.partition("?")[0] == path), None)
        if isinstance(answer, str):
            self.send_response(302)
            self.send_header("location", answer)
            self.end_headers()
            return
        self.send_response(200 if answer is not None else 404)
        self.send_header("content-type", "application/json")
        self.end_headers()
        body = answer if isinstance(answer, bytes) else json.dumps(answer if answer is not None else {}).encode()
        self.wfile.write(body)

    def do_POST(self) -> None:
        self.seen.append(f"POST {self.path}")
        self.do_GET()

    def log_message(self, *_: Any) -> None:
        return None


@pytest.fixture
def evil() -> Iterator[str]:
    empty: dict[str, Any] = {"defaults": {}, "overrides": {}}
    _Catalog.seen, _Catalog.answers = [], {"/v1/config": empty, "/v1/namespaces": {"namespaces": []}}
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Catalog)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


async def test_a_catalog_server_leads_nowhere(shop_template: Path, tmp_path: Path, evil: str) -> None:
    (tmp_path / "data" / "lake").mkdir(parents=True)
    inner = tmp_path / "elsewhere.metadata.json"
    inner.write_text("{}")
    async with opened_shop(shop_template, tmp_path, egress={"allowed_private_hosts": [evil]}) as shop:
        config: dict[str, Any] = {
            "catalog_type": "rest",
            "uri": f"http://{evil}",
            "warehouse": str(tmp_path / "data" / "lake"),
            "extra_props": {"token": SECRET},
        }
        overrides = {
            "uri": "https://localhost/stolen",
            "oauth2-server-uri": "https://localhost/stolen",
            "py-io-impl": "os.system",
            "s3.endpoint": "https://localhost",
            "rest.sigv4-enabled": "true",
            "prefix": "pre",
        }
        _Catalog.answers["/v1/config"] = {"defaults": overrides, "overrides": overrides}
        _Catalog.answers["/v1/pre/namespaces"] = {
            "namespaces": [["db"], ["a.b"], ["x/y"], ["../up"], ["headwater_trash"]]
        }
        _Catalog.answers["/v1/pre/namespaces/db/tables"] = {
            "identifiers": [{"namespace": ["db"], "name": name} for name in ("t", "..", "a/b")]
        }
        _Catalog.answers["/v1/pre/namespaces/db/tables/t"] = _table(f"file://{inner}")
        await shop.call("set_catalog_config", by="cora", **config)
        assert (await shop.call("list_lakehouse_tables", by="cora")).tables == []
        assert all(SECRET in line for line in _Catalog.seen)  # it was told what is its own
        shown = await shop.call("list_lakehouse_tables", by="cora")
        assert "db" in shown.namespaces and not {"a.b", "x/y", "../up"} & set(shown.namespaces)


async def test_a_catalog_that_redirects_or_talks_nonsense_is_unavailable(
    shop_template: Path, tmp_path: Path, evil: str
) -> None:
    (tmp_path / "data" / "lake").mkdir(parents=True)
    async with opened_shop(shop_template, tmp_path, egress={"allowed_private_hosts": [evil]}) as shop:
        config: dict[str, Any] = {
            "catalog_type": "rest",
            "uri": f"http://{evil}",
            "warehouse": str(tmp_path / "data" / "lake"),
        }
        for answer in ("https://169.254.169.254/latest", b"{", b"[]", b"\xff" * 10, {"overrides": 3}):
            _Catalog.answers["/v1/config"] = answer
            error = await attempt(shop, **config, extra_props={"token": SECRET})
            assert isinstance(error, Unavailable) and error.hint


async def test_a_catalog_that_goes_away_shows_nobody_elses_tables(
    shop_template: Path, tmp_path: Path, evil: str
) -> None:
    (tmp_path / "data" / "lake").mkdir(parents=True)
    async with opened_shop(shop_template, tmp_path, egress={"allowed_private_hosts": [evil]}) as shop:
        config: dict[str, Any] = {
            "catalog_type": "rest",
            "uri": f"http://{evil}",
            "warehouse": str(tmp_path / "data" / "lake"),
        }
        await shop.call("set_catalog_config", by="cora", **config, extra_props={"token": SECRET})
        assert (await shop.call("list_lakehouse_tables", by="cora")).tables == []
        shop.platform.engine.lake.commit_now("default", lambda catalog: None)  # so that it is asked anew
        _Catalog.answers = {}
        steps: tuple[tuple[str, dict[str, Any]], ...] = (
            ("list_lakehouse_tables", {}),
            ("get_table", {"table": "db.t"}),
        )
        for tool, asked in steps:
            with pytest.raises(PlatformError) as error:
                await shop.call(tool, by="cora", **asked)
            assert error.value.code in ("UNAVAILABLE", "NOT_FOUND") and SECRET not in str(error.value)
        assert (await shop.call("list_lakehouse_tables", by="olga")).tables == []


async def test_masked_secrets_go_nowhere_new(shop_template: Path, tmp_path: Path, evil: str) -> None:
    lake = tmp_path / "data" / "lake"
    lake.mkdir(parents=True)
    async with opened_shop(shop_template, tmp_path, egress={"allowed_private_hosts": ["127.0.0.1"]}) as shop:
        config: dict[str, Any] = {"catalog_type": "rest", "uri": f"http://{evil}", "warehouse": str(lake)}
        shown = await shop.call("set_catalog_config", by="cora", **config, extra_props={"token": SECRET})
        assert shown.extra_props == {"token": "***"}
        again: dict[str, Any] = {**config, "extra_props": {"token": "***"}}
        await shop.call("set_catalog_config", by="cora", **again)
        before = len(_Catalog.seen)
        changes: tuple[dict[str, Any], ...] = (
            {"uri": f"http://{evil}/other"},
            {"extra_props": {"token": "***", "scope": "x"}},
            {"extra_props": {"token": "***", "credential": "***"}},
            {"catalog_type": "sql", "uri": None},
        )
        for change in changes:
            with pytest.raises(Conflict, match="secrets again"):
                await shop.call("set_catalog_config", by="cora", **{**again, **change})
        assert len(_Catalog.seen) == before
        assert SECRET.encode() not in (shop.platform.settings.home / "headwater.db").read_bytes()


def _table(location: str) -> dict[str, Any]:
    return {
        "metadata-location": location,
        "metadata": {
            "format-version": 2, "table-uuid": "9c12d441-03fe-4693-9a96-a0705ddf69c1", "location": "file:///etc",
            "last-sequence-number": 0, "last-updated-ms": 1, "last-column-id": 1, "current-schema-id": 0,
            "schemas": [{"type": "struct", "schema-id": 0, "fields": []}], "default-spec-id": 0,
            "partition-specs": [{"spec-id": 0, "fields": []}], "last-partition-id": 999,
            "default-sort-order-id": 0, "sort-orders": [{"order-id": 0, "fields": []}],
        },
        "config": {"py-io-impl": "os.system", "s3.endpoint": "https://localhost", "token": "x"},
    }  # fmt: skip
