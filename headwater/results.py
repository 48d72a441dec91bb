"""The wiring of results: where rows of query jobs and exports lie, and who may read them."""

from dataclasses import dataclass
from functools import partial

from core.settings import Settings
from engine.identity.identity import Identity
from engine.identity.seals import TenantSeals
from engine.identity.vault import Vault
from engine.queries import SavedQueries
from engine.quotas.quotas import Quotas
from engine.results.bucket import BucketObjects
from engine.results.content import Contents
from engine.results.exports import Exports
from engine.results.folder import FolderObjects
from engine.results.links import Links
from engine.results.listing import OwnJobs
from engine.results.objects import Objects
from engine.results.shelf import Shelf
from engine.results.sight import Look
from engine.results.stored import StoredResults
from engine.sql.background import QueryJobs, Runner
from engine.sql.run import SqlService
from engine.store.db import Store
from engine.tenancy.retention import RESULTS, Retention

FOLDER = "results-store"
DAY_S = 24 * 3600.0
ANY_ADDRESS = ("0.0.0.0", "::", "")  # noqa: S104


@dataclass(frozen=True, slots=True)
class Reading:
    """The parts that run queries and know who may see what."""

    look: Look
    identity: Identity
    sql: SqlService
    quotas: Quotas
    saved: SavedQueries
    retention: Retention


def build_results(settings: Settings, store: Store, vault: Vault, reading: Reading) -> QueryJobs:
    """Everything around results; a bucket is first spoken to when something is written or read."""
    seals, wanted = TenantSeals(store, vault), settings.results

    async def keep_s(tenant: str) -> float:
        return await reading.retention.keep_s(tenant, RESULTS) or wanted.keep_days * DAY_S

    shelf = Shelf(
        store=store,
        objects=open_objects(settings),
        seal=partial(seals.seal, "query results"),
        unseal=partial(seals.open, "query results"),
        look=reading.look,
        keep_s=keep_s,
        max_bytes=wanted.max_mb * 2**20,
    )
    links = Links(vault.purpose_key("download links"), base=public_address(settings))
    stored = StoredResults(shelf)
    exports = Exports(shelf, stored, links, is_presigned=wanted.presigned and bool(wanted.url.get_secret_value()))
    return QueryJobs(
        Runner(reading.sql, reading.quotas, reading.saved.get),
        results=stored,
        own=OwnJobs(store),
        exports=exports,
        contents=Contents(links=links, exports=exports, principal_of=reading.identity.principal_of),
    )


def open_objects(settings: Settings) -> Objects:
    """The bucket that the settings name, else a folder of the home."""
    url = settings.results.url.get_secret_value()
    if not url:
        return FolderObjects(settings.home / FOLDER)
    return BucketObjects(url, {name: value.get_secret_value() for name, value in settings.results.options.items()})


def public_address(settings: Settings) -> str:
    """What links begin with: the public URL, else the address of REST where that is known beforehand."""
    server = settings.server
    if server.public_url:
        return server.public_url
    if not server.rest_port or server.host in ANY_ADDRESS:
        return ""
    host = f"[{server.host}]" if ":" in server.host else server.host
    return f"{'https' if server.tls_cert else 'http'}://{host}:{server.rest_port}"
