"""The registry: finds every declared tool by walking packages. There is no other list of names."""

import importlib
import pkgutil
from collections.abc import Iterable, Iterator, Sequence
from types import ModuleType

from core.errors import NotFound
from core.tool import Route, Tool


class Registry:
    """All tools by name, and their routes, most specific first."""

    def __init__(self, tools: Iterable[Tool]):
        self._tools: dict[str, Tool] = {}
        shapes: dict[tuple[str, str, bool], str] = {}
        for declared in sorted(tools, key=lambda item: (item.domain, item.name)):
            if declared.name in self._tools:
                raise TypeError(f"two tools are named {declared.name}")
            self._tools[declared.name] = declared
            for route in declared.routes:
                other = shapes.setdefault(route.shape, declared.name)
                if other != declared.name:
                    raise TypeError(f"{declared.name} and {other} share {route.method} {route.path}")

    @classmethod
    def walk(cls, packages: Sequence[str]) -> "Registry":
        """Import every module below `packages` (a module's own name is taken as it is) and collect."""
        found = {declared.name: declared for module in _modules(packages) for declared in _declared(module)}
        return cls(found.values())

    def __iter__(self) -> Iterator[Tool]:
        return iter(self._tools.values())

    def __len__(self) -> int:
        return len(self._tools)

    def __contains__(self, name: str) -> bool:
        return name in self._tools

    def get(self, name: str) -> Tool:
        try:
            return self._tools[name]
        except KeyError:
            raise NotFound(f"No tool {name[:64]!r}.", hint="search_tools finds tools by what they do.") from None

    def domains(self) -> dict[str, list[Tool]]:
        grouped: dict[str, list[Tool]] = {}
        for declared in self:
            grouped.setdefault(declared.domain, []).append(declared)
        return grouped

    def routes(self) -> list[tuple[Route, Tool]]:
        """Every route; literal segments come before parameters, so the most specific matches first."""
        pairs = [(route, declared) for declared in self for route in declared.routes]
        return sorted(pairs, key=lambda pair: _specificity(pair[0]))


def _specificity(route: Route) -> tuple[list[tuple[bool, str]], str]:
    segments = route.path.strip("/").split("/")
    return [(segment.startswith("{"), segment) for segment in segments], route.method


def _modules(packages: Sequence[str]) -> Iterator[ModuleType]:
    for name in packages:
        module = importlib.import_module(name)
        yield module
        for info in pkgutil.walk_packages(getattr(module, "__path__", ()), prefix=f"{name}."):
            yield importlib.import_module(info.name)


def _declared(module: ModuleType) -> Iterator[Tool]:
    for value in vars(module).values():
        declared = getattr(value, "__dict__", {}).get("tool") if callable(value) else None
        if isinstance(declared, Tool) and declared.run.__module__ == module.__name__:
            yield declared
