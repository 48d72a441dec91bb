"""`lab`: a whole server with a lakehouse, people of two tenants, and clients that we did not write."""

from collections.abc import Iterator
from typing import Any

import pytest

from core.dispatch import Call
from engine.lake.warehouse import TABLE_DEFAULTS
from headwater.build import Platform
from headwater.settings import read_settings
from tests.faces.served import Served, served
from tests.faces.world import FREE


@pytest.fixture(scope="package")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    settings = read_settings(tmp_path_factory.mktemp("home"), server=FREE)

    async def fill(platform: Platform) -> dict[str, str]:
        identity = platform.engine.identity
        directory = identity.directory
        client = await directory.create_client("default", name="robot", roles=["admin"])
        await directory.create_tenant("Other", tenant_id="other", tier="enterprise")
        await directory.create_user("other", user_id="olga", roles=["admin"])
        tokens = {role: await identity.mint(role=role) for role in ("viewer", "editor", "auditor", "data_engineer")}
        tokens |= {"id": client.client_id, "secret": client.client_secret}
        tokens["admin"] = await identity.mint(role="admin")
        tokens["other"] = await identity.mint(subject="olga", tenant="other")
        _fill_shop(platform)
        return tokens

    with served(settings, fill) as running:
        bind(running, "secrets", ["viewer", "editor"], columns=["*"], privacy="hidden")
        bind(running, "people", ["viewer", "editor"], columns=["name"], privacy="hidden")
        yield running


def _fill_shop(platform: Platform) -> None:
    import pyarrow as pa

    people = pa.table({"id": pa.array([1, 2, 3], pa.int64()), "name": ["Ada", "Bob", "Cy"]})

    def work(catalog: Any) -> None:
        catalog.create_namespace_if_not_exists("shop")
        for name in ("people", "secrets", "items"):
            catalog.create_table(f"shop.{name}", schema=people.schema, properties=TABLE_DEFAULTS).append(people)

    platform.engine.lake.commit_now("default", work)


def bind(lab: Served, table: str, roles: list[str], **rule: Any) -> None:
    """A policy about a table of the shop that binds some roles."""
    asked = {
        "name": f"about {table}",
        "kind": "column",
        "table": f"shop.{table}",
        "applies_to": {"roles": roles},
        **rule,
    }
    tell(lab, "create_policy", asked)


def tell(lab: Served, tool: str, arguments: dict[str, Any], *, role: str = "admin") -> Any:
    """Call a tool of the platform itself."""
    call = Call(tool, arguments, "test", "r1", token=lab.tokens[role], form="json")
    return lab.run(lab.platform.dispatcher.call(call))


def ask(lab: Served, sql: str, *, role: str = "admin") -> list[list[Any]]:
    """Rows of Headwater's own SQL."""
    rows = tell(lab, "execute_query", {"sql": sql}, role=role).model_dump()["data"]
    return [list(row.values()) for row in rows]
