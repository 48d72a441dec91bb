"""Finds the tool of a method and path in a tree of segments, as fast with 200 tools as with two."""

from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

from starlette.routing import BaseRoute, Match
from starlette.routing import Route as StarletteRoute
from starlette.types import Receive, Scope, Send

from api.errors import MethodNotAllowed, send_body
from api.rest_arguments import decode
from core.errors import InvalidArgument, NotFound
from core.registry import Registry
from core.tool import Route, Tool

PREFIXES = ("v1", "api")
Found: TypeAlias = tuple["_Node", tuple[str, ...]]
Serve: TypeAlias = Callable[[Tool, dict[str, str], Scope, Receive, Send], Awaitable[None]]


@dataclass(slots=True)
class _Node:
    """One segment: literal children, at most one parameter, and what ends here by method."""

    literals: "dict[str, _Node]" = field(default_factory=dict)
    parameter: "_Node | None" = None
    ends: dict[str, tuple[Tool, tuple[str, ...]]] = field(default_factory=dict)


class RouteTree:
    """Paths to tools. A literal segment is tried before a parameter, and the other if that has no such method."""

    def __init__(self, registry: Registry):
        self._root = _Node()
        for route, tool in registry.routes():
            prefixes = ("",) if route.at_root else PREFIXES
            for prefix in prefixes:
                self._add(route, tool, prefix)

    def _add(self, route: Route, tool: Tool, prefix: str) -> None:
        node = self._root
        for segment in [*([prefix] if prefix else []), *route.path.strip("/").split("/")]:
            if segment.startswith("{"):
                node.parameter = node.parameter or _Node()
                node = node.parameter
            else:
                node = node.literals.setdefault(segment, _Node())
        node.ends[route.method] = (tool, tuple(route.parameters))

    def find(self, method: str, path: bytes) -> tuple[Tool, dict[str, str]]:
        """The tool and its path parameters. Raises NotFound, MethodNotAllowed or InvalidArgument."""
        segments = [decode(segment) for segment in path.split(b"/")[1:]]
        allowed: dict[str, None] = {}
        wanted = "GET" if method == "HEAD" else method
        for node, values in _walk(self._root, segments, 0, ()):
            if wanted in node.ends:
                tool, names = node.ends[wanted]
                return tool, dict(zip(names, values, strict=True))
            allowed.update(dict.fromkeys(node.ends))
        if not allowed:
            raise NotFound("No such path.", hint="/openapi.json lists the paths.")
        raise MethodNotAllowed(method, _with_head(allowed))

    def methods(self, path: bytes) -> list[str]:
        """The methods of the most specific template that a path matches; none when it matches nothing."""
        segments = [decode(segment) for segment in path.split(b"/")[1:]]
        return _with_head(next((node.ends for node, _ in _walk(self._root, segments, 0, ())), {}))


def _walk(
    node: _Node, segments: list[str], at: int, values: tuple[str, ...]
) -> Iterator[tuple[_Node, tuple[str, ...]]]:
    if at == len(segments):
        if node.ends:
            yield node, values
        return
    literal = node.literals.get(segments[at])
    if literal is not None:
        yield from _walk(literal, segments, at + 1, values)
    if node.parameter is not None and segments[at]:
        yield from _walk(node.parameter, segments, at + 1, (*values, segments[at]))


def _with_head(methods: Iterable[str]) -> list[str]:
    known = set(methods)
    if "GET" in known:
        known.add("HEAD")
    return sorted(known | {"OPTIONS"}) if known else []


class ToolRoutes(BaseRoute):
    """All tools as one Starlette route; what it does not know is left to the routes after it."""

    def __init__(self, registry: Registry, serve: Serve, beside: Sequence[BaseRoute] = ()):
        self._tree = RouteTree(registry)
        self._serve = serve
        self._beside = [route for route in beside if isinstance(route, StarletteRoute)]  # other methods of our paths

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        if scope["type"] != "http":
            return Match.NONE, {}
        path = raw_path(scope)
        try:
            if scope["method"] == "OPTIONS":
                methods = self._tree.methods(path)
                methods = sorted({*methods, *self._methods_beside(scope)}) if methods else []
                return (Match.FULL, {"headwater.found": methods}) if methods else (Match.NONE, {})
            return Match.FULL, {"headwater.found": self._tree.find(scope["method"], path)}
        except MethodNotAllowed as error:
            return Match.PARTIAL, {"headwater.found": error}
        except InvalidArgument as error:
            return Match.FULL, {"headwater.found": error}
        except NotFound:
            return Match.NONE, {}

    def _methods_beside(self, scope: Scope) -> set[str]:
        path = str(scope["path"])
        return {method for route in self._beside if route.path_regex.match(path) for method in route.methods or ()}

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        found = scope["headwater.found"]
        if isinstance(found, InvalidArgument):
            raise found
        if isinstance(found, list):
            await send_body(send, 204, b"", [(b"allow", ", ".join(found).encode())])
            return
        tool, path_values = found
        await self._serve(tool, path_values, scope, receive, send)


def raw_path(scope: Scope) -> bytes:
    """The path as sent, still percent-encoded, so that `%2F` stays inside its segment."""
    raw: bytes | None = scope.get("raw_path")
    return raw.partition(b"?")[0] if raw is not None else str(scope["path"]).encode()
