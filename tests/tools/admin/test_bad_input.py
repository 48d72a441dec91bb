"""What cannot be is refused by name on every tool of administrators, projects, approvals and agents; nothing changes.

The tools are found by themselves, so that a new one is asked too."""

import hashlib
from collections.abc import Iterator
from typing import Any, get_args

from sqlalchemy import select

from core.errors import PlatformError
from core.pages import Paged, Window
from core.portable import plain_type
from core.tool import Tool
from engine.store.tables import metadata
from headwater.local import registry
from tests.faces.arguments import sample
from tests.faces.world import IDS
from tests.fixtures_town import Town, town

__all__ = ["town"]

DOMAINS = ("admin", "projects", "approvals", "agents", "semantic")
MEGABYTE = "x" * 1_000_000
NOT_IDS: list[Any] = [7, True, [], {}, ["a"], "", "a/b", "../x", "a\x00b", "\u0430dmin", "x" * 65, "' OR 1=1 --"]
COUNTED = ("audit", "usage", "bucket", "limit_window", "slot", "idempotency", "run", "query")


def tools() -> list[Tool]:
    return [tool for tool in registry() if tool.domain in DOMAINS and not tool.mcp_only]


def texts(tool: Tool) -> Iterator[str]:
    """The fields that take a text, or a list of them."""
    for name, info in tool.request.model_fields.items():
        kinds = {plain_type(info.annotation), *get_args(plain_type(info.annotation)), *get_args(info.annotation)}
        if str in kinds:
            yield name


def arguments_of(tool: Tool) -> dict[str, Any]:
    return sample(tool, IDS, "/nowhere")


async def code_of(town: Town, tool: Tool, arguments: dict[str, Any], by: str = "root") -> tuple[str, str]:
    try:
        await town.call(tool.name, by, **arguments)
    except PlatformError as error:
        return error.code, f"{error.message} {error.hint}"
    return "OK", ""


async def fingerprint(town: Town) -> str:
    """Everything in the store but what is counted or kept about calls themselves."""

    def work(connection: Any) -> str:
        found = hashlib.sha256()
        for table in metadata.sorted_tables:
            if not table.name.startswith(COUNTED):
                for row in sorted(map(repr, connection.execute(select(table)).all())):
                    found.update(f"{table.name}{row}".encode())
        return found.hexdigest()

    return await town.platform.engine.store.read(work)


async def test_a_megabyte_is_too_long_for_any_name_or_description(town: Town) -> None:
    before, asked = await fingerprint(town), 0
    for tool in tools():
        for name in texts(tool):
            code, told = await code_of(town, tool, {**arguments_of(tool), name: MEGABYTE})
            assert code in ("INVALID_ARGUMENT", "NOT_FOUND"), (tool.name, name, code)
            assert name in told or code == "NOT_FOUND", (tool.name, name, told)
            assert len(told) < 3000, (tool.name, name)
            asked += 1
    assert asked > 130 and await fingerprint(town) == before


async def test_ids_of_the_wrong_kind_name_nothing(town: Town) -> None:
    before, asked = await fingerprint(town), 0
    for tool in tools():
        for name in tool.references:
            for value in NOT_IDS:
                if value == "" and not tool.request.model_fields[name].is_required():
                    continue  # as if it were left out
                code, told = await code_of(town, tool, {**arguments_of(tool), name: value})
                assert code in ("INVALID_ARGUMENT", "NOT_FOUND"), (tool.name, name, value, code, told)
                asked += 1
    assert asked > 500 and await fingerprint(town) == before


async def test_a_page_token_opens_no_page_of_another_tenant_or_listing(town: Town) -> None:
    pages = town.platform.engine.pages
    listings = [tool for tool in tools() if issubclass(tool.request, Paged)]
    assert len(listings) > 10
    for tool in listings:
        given = {
            name: value for name, value in arguments_of(tool).items() if tool.request.model_fields[name].is_required()
        }
        request = tool.request.model_validate({**given, "page_size": 1})
        assert isinstance(request, Paged)
        for stranger, of in (("root", "olga"), ("root", "cora")):
            token = pages.next_token(tool.name, request, await town.who(of), Window(0, 1), 9)
            code, _ = await code_of(town, tool, {**given, "page_size": 1, "page_token": token}, stranger)
            assert code in ("INVALID_ARGUMENT", "NOT_FOUND"), (tool.name, of)
        token = pages.next_token("another_listing", request, await town.who("root"), Window(0, 1), 9)
        for wrong in (token, "junk", "eyJsYXN0X2lkIjogMTAwfQ==", MEGABYTE):
            code, _ = await code_of(town, tool, {**given, "page_size": 1, "page_token": wrong})
            assert code in ("INVALID_ARGUMENT", "NOT_FOUND"), tool.name


THINGS: dict[str, Any] = {
    "user_id": "ada",
    "tenant_id": "default",
    "client_id": "robot",
    "role": "analyst",
    "project_id": "shop",
    "agent_id": "seller",
    "policy_id": "pii",
    "dataset_id": "",
    "tier": "pro",
    "roles": ["viewer"],
    "permissions": ["query.run"],
    "rules": [],
    "email": "ada@example.org",
    "name": "Somebody",
    "prompt_version": 1,
}


async def test_a_stale_update_is_a_conflict_wherever_there_is_a_version(town: Town) -> None:
    await town.call("create_client", name="Robot", client_id="robot")
    await town.call("create_role", role="analyst", permissions=["query.run"])
    await town.call("create_project", name="Shop", project_id="shop")
    await town.call("create_agent", name="Seller", agent_id="seller", system_prompt="You sell.")
    await town.call("create_policy", name="pii", policy_id="pii", kind="column", tag="pii", privacy="hidden")
    dataset = await town.call("create_dataset", name="big", project_id="shop")
    before, asked = await fingerprint(town), []
    for tool in tools():
        if "expected_version" not in tool.request.model_fields:
            continue
        fields = tool.request.model_fields
        given = {
            name: value
            for name, value in THINGS.items()
            if name in fields and (fields[name].is_required() or name in tool.references)
        }
        given |= {"dataset_id": dataset.id} if "dataset_id" in fields else {}
        code, told = await code_of(town, tool, {**given, "expected_version": 999})
        assert code == "CONFLICT", (tool.name, code, told)
        asked.append(tool.name)
    assert {"update_user", "update_tenant", "update_client", "update_role", "update_project", "update_policy"} <= set(
        asked
    )
    assert await fingerprint(town) == before


LOOK_ALIKE = (
    "Quartal 10",
    "quartal 10",
    "QUARTAL  l0",
    "Quarta\u2113 10",
    "Qu\u0430rtal 10",
    "Quartal\u200b 10",
    "Quartal 10 ",
)


async def test_of_names_that_look_alike_there_is_one(town: Town) -> None:
    for tool in ("create_tenant", "create_client", "create_project"):
        await town.call(tool, "root", name=LOOK_ALIKE[0])
        before = await fingerprint(town)
        for name in LOOK_ALIKE:
            code, told = await code_of(town, registry().get(tool), {"name": name})
            assert code in ("CONFLICT", "INVALID_ARGUMENT"), (tool, name, code, told)
        assert await fingerprint(town) == before


COLUMN = {"name": "A", "policy_id": "a", "kind": "column", "privacy": "hidden"}
TWICE: list[tuple[str, dict[str, Any], dict[str, Any]]] = [
    ("create_user", {"email": "a@x.org", "name": "A", "user_id": "a"}, {"email": "A@X.org", "name": "B"}),
    ("create_user", {"email": "b@x.org", "name": "A"}, {"email": "c@x.org", "name": "B", "user_id": "a"}),
    ("invite_user", {"email": "d@x.org", "name": "A"}, {"email": "ADA@example.org", "name": "A"}),
    ("create_role", {"role": "analyst", "permissions": []}, {"role": "analyst", "permissions": ["query.run"]}),
    ("create_role", {"role": "other", "permissions": []}, {"role": "admin", "permissions": []}),
    ("create_tenant", {"name": "A", "tenant_id": "a"}, {"name": "B", "tenant_id": "a"}),
    ("create_client", {"name": "A", "client_id": "robot"}, {"name": "B", "client_id": "robot"}),
    ("create_client", {"name": "C"}, {"name": "B", "client_id": "ada"}),
    ("create_project", {"name": "A", "project_id": "a"}, {"name": "B", "project_id": "a"}),
    ("create_agent", {"name": "A", "agent_id": "a"}, {"name": "B", "agent_id": "a"}),
    ("create_policy", {**COLUMN, "tag": "x"}, {**COLUMN, "tag": "y"}),
]


async def test_what_is_there_is_not_made_again(town: Town) -> None:
    for tool, first, again in TWICE:
        await town.call(tool, "root", **first)
        before = await fingerprint(town)
        code, told = await code_of(town, registry().get(tool), again)
        assert code == "CONFLICT", (tool, again, code, told)
        assert await fingerprint(town) == before


async def test_retention_keeps_its_bounds(town: Town) -> None:
    for wrong in ({"audit_days": 89}, {"audit_days": 3651}, {"results_days": 0}, {"history_days": 401}, {"other": 1}):
        code, told = await code_of(
            town, registry().get("update_tenant"), {"configuration": {"retention": wrong}}, by="cora"
        )
        assert (code, next(iter(wrong)) in told) == ("INVALID_ARGUMENT", True)
    said = {"retention": {"audit_days": 90, "results_days": 2}}
    made = await town.call("update_tenant", "cora", configuration=said)
    assert made.configuration.retention.audit_days == 90
    back = await town.call("update_tenant", "cora", configuration={"retention": {}})
    assert back.configuration.retention.audit_days is None
