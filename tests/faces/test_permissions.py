"""Every tool, every built-in role: allowed or refused exactly as it was decided."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from core.context import Principal
from core.dispatch import Call
from core.errors import InvalidArgument, Unauthenticated, Unauthorized
from headwater.build import Platform, build
from tests.faces.owned import REGISTRY
from tests.faces.permission_matrix import ROLES, allowed, needed
from tests.faces.world import settings_of

UNREADABLE = {"no_such_field": "x"}
"""Arguments that no tool takes: rights are looked at first, so that a refusal of these is a yes to the caller."""

OPEN = ("none", "signed in")


@dataclass(frozen=True, slots=True)
class Door:
    """The gate of a real home, and somebody of each role."""

    platform: Platform
    people: dict[str, Principal]

    async def admits(self, tool: str, by: Principal) -> bool:
        try:
            await self.platform.dispatcher.call(Call(tool, UNREADABLE, "test", "r", principal=by))
        except Unauthorized:
            return False
        except InvalidArgument:
            return True
        raise AssertionError(f"{tool} took a field that it does not have")


@pytest.fixture
async def door(tmp_path: Path) -> AsyncIterator[Door]:
    platform = await build(settings_of(tmp_path / "home"))
    identity = platform.engine.identity
    people = {role: await identity.verify(await identity.mint(role=role)) for role in ROLES}
    yield Door(platform, people)
    await platform.close()


def test_every_tool_has_its_place_in_the_matrix() -> None:
    decided = needed()
    assert {tool.name: tool.needs for tool in REGISTRY} == {tool.name: decided.get(tool.name) for tool in REGISTRY}


async def test_every_role_may_call_just_the_tools_of_the_matrix(door: Door) -> None:
    wrong = []
    for tool, permission in needed().items():
        if tool in REGISTRY:
            for role, by in door.people.items():
                should = permission in OPEN or permission in allowed(role)
                if await door.admits(tool, by) != should:
                    wrong.append(f"{role} {tool}: should be {'allowed' if should else 'refused'}")
    assert wrong == []


async def test_roles_show_the_permissions_of_the_matrix_and_no_others(door: Door) -> None:
    assert {role: set(by.permissions) for role, by in door.people.items()} == {role: allowed(role) for role in ROLES}


async def test_nobody_and_people_without_roles_get_no_further_than_what_is_open(door: Door) -> None:
    roleless = Principal("nil", "default")
    for tool in REGISTRY:
        assert await door.admits(tool.name, roleless) == (tool.needs in OPEN), tool.name
        if tool.needs != "none":
            with pytest.raises(Unauthenticated):
                await door.platform.dispatcher.call(Call(tool.name, UNREADABLE, "test", "r"))
