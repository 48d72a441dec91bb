"""Promises that hold for every tool, checked by walking the registry."""

import sys
from importlib.machinery import PathFinder
from pathlib import Path

import pytest

from core.registry import Registry
from core.tool import ANYONE, SIGNED_IN, Tool
from engine.identity.roles import BUILT_IN
from headwater.build import TOOL_PACKAGES

REGISTRY = Registry.walk(TOOL_PACKAGES)
TOOLS = [pytest.param(tool, id=tool.name) for tool in REGISTRY]
PERMISSIONS = frozenset().union(*BUILT_IN.values())
TEST_SOURCES = "\n".join(path.read_text() for path in Path(__file__).parents[1].rglob("test_*.py"))


@pytest.mark.parametrize("tool", TOOLS)
def test_a_tool_needs_a_known_permission(tool: Tool) -> None:
    assert tool.needs in PERMISSIONS | {ANYONE, SIGNED_IN}


@pytest.mark.parametrize("tool", TOOLS)
def test_a_tool_is_called_by_a_test(tool: Tool) -> None:
    assert f'"{tool.name}"' in TEST_SOURCES


@pytest.mark.parametrize("tool", TOOLS)
def test_a_tool_says_more_than_its_name(tool: Tool) -> None:
    assert tool.summary.endswith(".")
    assert len(tool.summary.split()) >= 3


@pytest.mark.parametrize("tool", TOOLS)
def test_a_tool_that_makes_something_says_where(tool: Tool) -> None:
    assert (tool.status == 201) == bool(tool.location)


def test_every_tool_module_is_loaded_once() -> None:
    folders = [module.__file__ for name, module in sys.modules.items() if name.startswith("tools.") and module.__file__]
    assert len(folders) == len(set(folders))
    assert not [name for name in sys.modules if name.startswith("headwater.app")]


def test_no_installed_package_shadows_our_folders() -> None:
    names = ("core", "engine", "tools", "api", "agents", "gateway", "evals", "prompts", "mcp_server")
    installed = [path for path in sys.path if "site-packages" in path]
    specs = {name: PathFinder.find_spec(name, installed) for name in names}
    assert [name for name, spec in specs.items() if spec and "site-packages" in str(spec.origin)] == []
