"""pyiceberg's own REST client as the judge: everything that it does with tables, against a real server."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pytest
from pyiceberg.catalog.rest import RestCatalog
from pyiceberg.exceptions import (
    CommitFailedException,
    ForbiddenError,
    NamespaceNotEmptyError,
    NoSuchNamespaceError,
    NoSuchTableError,
    TableAlreadyExistsError,
)
from pyiceberg.types import StringType

from tests.api.iceberg.conftest import ask
from tests.faces.served import Served

if TYPE_CHECKING:
    from pyiceberg.table import Table

ROWS = pa.table({"id": pa.array(range(10), pa.int64()), "name": [f"n{n}" for n in range(10)]})


def opened(lab: Served, **who: Any) -> RestCatalog:
    return RestCatalog("hw", uri=f"{lab.url('rest')}/iceberg", **(who or {"token": lab.tokens["admin"]}))


@pytest.fixture(scope="module")
def catalog(lab: Served) -> Iterator[RestCatalog]:
    made = opened(lab)
    made.create_namespace("py", {"owner": "ada"})
    yield made
    made.close()


def made(catalog: RestCatalog, name: str) -> "Table":
    table: Table = catalog.create_table(f"py.{name}", schema=ROWS.schema)
    table.append(ROWS)
    return table


def test_rows_that_a_client_writes_are_at_once_those_of_our_sql(lab: Served, catalog: RestCatalog) -> None:
    table = made(catalog, "life")
    assert ask(lab, "SELECT count(*) FROM py.life") == [[10]]
    table.overwrite(ROWS.slice(0, 5))
    table.delete("id < 2")
    with table.update_schema() as update:
        update.add_column("note", StringType())
        update.rename_column("name", "label")
    assert ask(lab, "SELECT id, label, note FROM py.life ORDER BY id LIMIT 1") == [[2, "n2", None]]
    assert catalog.load_table("py.life").scan().to_arrow().num_rows == 3


def test_a_client_lists_makes_renames_and_drops(catalog: RestCatalog) -> None:
    made(catalog, "old")
    with pytest.raises(TableAlreadyExistsError):
        catalog.create_table("py.OLD", schema=ROWS.schema)
    catalog.rename_table("py.old", "py.new")
    assert ("py", "new") in catalog.list_tables("py")
    assert not catalog.table_exists("py.old")
    catalog.drop_table("py.new")
    with pytest.raises(NoSuchTableError):
        catalog.load_table("py.new")


def test_namespaces_have_properties_and_are_dropped_when_empty(catalog: RestCatalog) -> None:
    catalog.create_namespace(("deep", "down"), {"k": "v"})
    assert catalog.list_namespaces("deep") == [("deep", "down")]
    catalog.update_namespace_properties(("deep", "down"), {"k"}, {"x": "y"})
    assert catalog.load_namespace_properties(("deep", "down")) == {"x": "y"}
    with pytest.raises(NamespaceNotEmptyError):
        catalog.drop_namespace("deep")
    catalog.drop_namespace(("deep", "down"))
    assert not catalog.namespace_exists("deep")
    with pytest.raises(NoSuchNamespaceError):
        catalog.list_tables("deep")


def test_a_lost_commit_is_tried_again_and_nothing_is_lost(catalog: RestCatalog) -> None:
    first = made(catalog, "race")
    second = catalog.load_table("py.race")
    first.append(ROWS)
    second.append(ROWS)
    assert catalog.load_table("py.race").scan().to_arrow().num_rows == 30


def test_a_commit_that_cannot_be_tried_again_fails(catalog: RestCatalog) -> None:
    first = made(catalog, "evolving")
    second = catalog.load_table("py.evolving")
    with first.update_schema() as update:
        update.add_column("a", StringType())
    with pytest.raises(CommitFailedException), second.update_schema() as update:
        update.add_column("b", StringType())


def test_a_table_is_made_with_its_rows_in_one_commit(lab: Served, catalog: RestCatalog) -> None:
    with catalog.create_table_transaction("py.whole", schema=ROWS.schema) as transaction:
        transaction.append(ROWS)
        assert not catalog.table_exists("py.whole")
    assert ask(lab, "SELECT count(*) FROM py.whole") == [[10]]


def test_client_credentials_give_a_token_as_the_protocol_has_it(lab: Served) -> None:
    with pytest.warns(DeprecationWarning):
        client = opened(lab, credential=f"{lab.tokens['id']}:{lab.tokens['secret']}")
    assert client.properties["prefix"] == "default"
    assert ("shop",) in client.list_namespaces()


def test_tables_with_policies_that_bind_the_caller_are_not_handed_out(lab: Served, catalog: RestCatalog) -> None:
    bound = opened(lab, token=lab.tokens["editor"])
    assert bound.list_tables("shop") == [("shop", "items")]
    with pytest.raises(ForbiddenError):
        bound.load_table("shop.people")
    with pytest.raises(NoSuchTableError):
        bound.load_table("shop.secrets")
    assert catalog.load_table("shop.secrets").scan().to_arrow().num_rows == 3


def test_each_kind_of_commit_has_a_permission_of_its_own(lab: Served, catalog: RestCatalog) -> None:
    made(catalog, "guarded")
    viewer, editor = (opened(lab, token=lab.tokens[role]).load_table("py.guarded") for role in ("viewer", "editor"))
    with pytest.raises(ForbiddenError):
        viewer.append(ROWS)
    editor.append(ROWS)
    with pytest.raises(ForbiddenError), editor.update_schema() as update:
        update.add_column("x", StringType())
    with pytest.raises(ForbiddenError):
        opened(lab, token=lab.tokens["auditor"]).load_table("py.guarded")


def test_another_tenant_sees_its_own_lakehouse(lab: Served, catalog: RestCatalog) -> None:
    stranger = opened(lab, token=lab.tokens["other"])
    assert ("py",) not in stranger.list_namespaces()
    with pytest.raises(NoSuchTableError):
        stranger.load_table("shop.items")
