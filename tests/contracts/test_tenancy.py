"""Every row, file, cache and metric says whose it is."""

import inspect
import re
from pathlib import Path

from engine.results.kept import KeptResults
from engine.sql.cache import Answers
from engine.sql.plans import Plans
from engine.store.tables import metadata
from engine.telemetry.metrics import Metrics
from engine.tenancy.belongings import KEPT, Folders, shown_columns, tables_of

ROOT = Path(__file__).parents[2]

WITHOUT_TENANT = {
    "signing_key": "keys of the platform, which sign for every tenant",
}
"""Tables whose rows belong to nobody, and why."""

FOUND_BY_ID_ALONE = {
    "client": "signing in names a client and no tenant",
    "token": "a token is found by its hash",
    "one_time_link": "a link is found by its hash",
    "oauth_app": "an app names itself before anybody has signed in",
    "oauth_code": "a code is found by its hash",
    "oauth_device": "a device is found by the hash of its code",
    "passkey": "whoever signs in with one says who they are by its id",
    "bucket": "its name begins with the tenant",
}
"""Tables whose key does not begin with the tenant, and why."""


def test_every_row_has_its_tenant() -> None:
    without = {table.name for table in metadata.sorted_tables if "tenant_id" not in table.c}
    assert without == WITHOUT_TENANT.keys()
    for table in metadata.sorted_tables:
        if table.name not in WITHOUT_TENANT:
            assert not table.c.tenant_id.nullable, table.name


def test_every_key_begins_with_the_tenant() -> None:
    first = {table.name: next(iter(table.primary_key.columns)).name for table in metadata.sorted_tables}
    others = {name for name, column in first.items() if column != "tenant_id"}
    assert others == WITHOUT_TENANT.keys() | FOUND_BY_ID_ALONE.keys()


def test_a_purge_deletes_from_every_table_but_those_that_it_says_it_keeps() -> None:
    emptied = {table.name for table in tables_of(but=KEPT)}
    assert emptied == {table.name for table in metadata.sorted_tables} - {*KEPT} - WITHOUT_TENANT.keys()


def test_an_archive_holds_no_column_that_is_sealed_or_secret() -> None:
    shown = {f"{table.name}.{column.name}" for table in tables_of() for column in shown_columns(table)}
    told = {name for name in shown if re.search(r"secret|hash|password|wrapped|\.token$", name)}
    assert told - {name for name in told if name.startswith(("password.", "token."))} == set()


def test_folders_of_a_tenant_are_named_after_it() -> None:
    folders = Folders(Path("home")).of("acme")
    assert len(folders) >= 5 and {folder.name for folder in folders} == {"acme"}


def test_caches_take_the_tenant_or_what_holds_it() -> None:
    for kept in (Answers.get, Answers.put, KeptResults.load, KeptResults.keep):
        names = set(inspect.signature(kept).parameters)
        assert names & {"tenant", "by", "principal"}, kept.__qualname__
    assert "view" in inspect.signature(Plans.prepare).parameters  # whose key holds tenant, rules and connection


def test_calls_are_counted_by_tenant_and_logged_with_the_request() -> None:
    metrics = Metrics()
    assert "tenant" in metrics._calls._labelnames
    assert "request_id" in (ROOT / "engine/telemetry/logs.py").read_text()


def test_nothing_reads_a_table_of_tenants_without_naming_the_tenant() -> None:
    """Not a proof: a module with statements over the store's tables that never says `tenant` is looked at again."""
    crossing = []
    for path in sorted((ROOT / "engine").rglob("*.py")):
        text = path.read_text()
        if "engine.store.tables" in text and "select(" in text and "tenant" not in text and path.name != "rows.py":
            crossing.append(path.relative_to(ROOT).as_posix())
    assert crossing == []
