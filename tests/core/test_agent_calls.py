"""What an agent calls for somebody: as that person, with no more rights, past a guard that looks at each call."""

from dataclasses import replace
from typing import Any

import pytest
from pydantic import BaseModel, Field

from core.context import Context, JobRun, Principal
from core.dispatch import Call, narrows
from core.errors import PlatformError, Unauthorized
from core.portable import Model
from core.registry import Registry
from core.tool import Empty, Tool, tool
from tests.fakes import sample_tools
from tests.fakes.gate import PRINCIPALS, FakeGate, dispatcher_over

ADA = PRINCIPALS["admin-token"]


class Deputise(Model):
    """What the agent calls, and which rights it takes."""

    tool: str = Field(description="Tool.")
    permissions: list[str] = Field(description="Rights.")


class Guard:
    """Lets everything pass but what destroys, and remembers what it was asked."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, str, str]] = []

    async def check(
        self, principal: Principal, tool: Tool, request: BaseModel, argument_digest: str, *, job: JobRun | None = None
    ) -> bool:
        self.asked.append((tool.name, principal.via, principal.credential_id))
        if tool.effect == "destroy":
            raise Unauthorized("Nobody said yes.")
        return True


GUARD = Guard()


@tool("POST /deputies", needs="catalog.read", effect="read")
async def deputise_agent(ctx: Context[Any], request: Deputise) -> Empty:
    """Call a tool as an agent."""
    agent = replace(ctx.principal, via="agent", credential_id="helper", permissions=frozenset(request.permissions))
    await ctx.call.as_agent(agent, GUARD)(request.tool, {"thing_id": "visible"})
    return Empty()


def run(gate: FakeGate, name: str, *permissions: str, token: str = "admin-token") -> Any:
    made = {"deputise_agent": deputise_agent, **vars(sample_tools)}
    tools = [item.__dict__["tool"] for item in made.values() if "tool" in getattr(item, "__dict__", {})]
    dispatcher, _ = dispatcher_over(Registry(tools), gate)
    given = {"tool": name, "permissions": list(permissions)}
    return dispatcher.call(Call("deputise_agent", given, "test", "r", token=token, idempotency_key="k"))


async def test_an_agent_is_audited_as_the_person_and_itself() -> None:
    gate = FakeGate()
    await run(gate, "get_thing", "catalog.read")
    inner = gate.records[0]
    assert (inner.tool, inner.subject, inner.via, inner.credential_id) == ("get_thing", "ada", "agent", "helper")
    assert GUARD.asked[-1] == ("get_thing", "agent", "helper")


async def test_what_the_guard_refuses_is_not_done() -> None:
    gate = FakeGate()
    with pytest.raises(Unauthorized, match="Nobody said yes"):
        await run(gate, "delete_thing", "catalog.manage")
    assert [record.code for record in gate.records] == ["UNAUTHORIZED", "UNAUTHORIZED"]


@pytest.mark.parametrize(
    ("name", "rights", "token"),
    [
        ("delete_thing", ("catalog.read",), "admin-token"),  # the agent has fewer rights than its person
        ("get_thing", ("catalog.read", "catalog.manage"), "viewer-token"),  # and never more
    ],
)
async def test_an_agent_has_at_most_the_rights_of_its_person(name: str, rights: tuple[str, ...], token: str) -> None:
    with pytest.raises(PlatformError) as caught:
        await run(FakeGate(), name, *rights, token=token)
    assert caught.value.code == "UNAUTHORIZED"


@pytest.mark.parametrize(
    "change",
    [
        {"subject": "bob"},
        {"tenant": "other"},
        {"roles": frozenset({"super_admin"})},
        {"permissions": ADA.permissions | {"platform.operate"}},
        {"attributes": {"region": "eu"}},
    ],
)
def test_nobody_else_narrows_somebody(change: dict[str, Any]) -> None:
    assert not narrows(replace(ADA, via="agent", **change), ADA)


def test_connections_only_become_fewer() -> None:
    bound = replace(ADA, connections=frozenset({"a", "b"}))
    assert narrows(replace(bound, via="agent", connections=frozenset({"a"})), bound)
    assert not narrows(replace(bound, via="agent", connections=frozenset({"a", "c"})), bound)
    assert not narrows(replace(bound, via="agent", connections=None), bound)
