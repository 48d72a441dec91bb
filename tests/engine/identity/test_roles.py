"""Roles and permissions."""

import pytest

from engine.identity.roles import ALIASES, BUILT_IN, PERMISSIONS, main_role, permissions_of

TABLE = """
catalog.read, assets.read, datasets.read, projects.read, semantic.read, agents.read | x x x x x x x
query.run, query.export, agents.run | x x - x x x x
records.write, queries.manage, assets.manage, datasets.manage, projects.manage, semantic.edit | - x - x x x x
pipelines.read, jobs.read | - - x x x x x
audit.read, tenant.read | - - x - - x x
tables.maintain, tables.evolve, pipelines.edit, pipelines.run | - - - x x x x
approvals.comment, evals.run, notebooks.use | - - - x x x x
pipelines.lead, approvals.read, catalog.manage | - - - - x x x
approvals.decide, agents.manage, users.manage, policies.manage, tenant.manage | - - - - - x x
platform.tenants, platform.operate | - - - - - - x
"""


def test_the_built_in_roles_are_those_of_the_table() -> None:
    found: dict[str, set[str]] = {role: set() for role in BUILT_IN}
    for line in TABLE.strip().splitlines():
        names, _, marks = line.partition("|")
        for role, mark in zip(BUILT_IN, marks.split(), strict=True):
            if mark == "x":
                found[role] |= set(names.strip().split(", "))
    assert {role: frozenset(held) for role, held in found.items()} == BUILT_IN


@pytest.mark.parametrize(("alias", "role"), ALIASES.items())
def test_an_alias_is_the_role(alias: str, role: str) -> None:
    assert permissions_of([alias], {}) == BUILT_IN[role]


def test_an_unknown_role_allows_nothing() -> None:
    assert permissions_of(["owner", "", "ADMIN"], {}) == frozenset()


def test_a_tenants_own_role_neither_replaces_a_built_in_one_nor_leaves_the_tenant() -> None:
    own = {"viewer": PERMISSIONS, "analyst": frozenset({"query.run", "platform.tenants", "made.up"})}
    assert permissions_of(["viewer"], own) == BUILT_IN["viewer"]
    assert permissions_of(["analyst"], own) == {"query.run"}


@pytest.mark.parametrize(
    ("held", "shown"),
    [
        (["viewer"], "Dataset user"),
        (["viewer", "editor"], "Dataset editor"),
        (["admin"], "Org admin"),
        (["auditor"], "auditor"),
        (["analyst"], "analyst"),
        (["analyst", "viewer"], "Dataset user"),
        ([], ""),
    ],
)
def test_one_role_is_shown_in_the_documents_spelling(held: list[str], shown: str) -> None:
    assert main_role(held) == shown
