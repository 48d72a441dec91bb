"""`@tool`: the only registration of a capability. Routes, schemas and docs are derived from it."""

import inspect
import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal, TypeVar, get_args, get_type_hints

from core.portable import Model, check_portable, references

Effect = Literal["read", "write", "destroy"]
Run = Callable[[Any, Any], Awaitable[Model]]

ANYONE = "none"
SIGNED_IN = "signed in"
METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")
UNPREFIXED_NAMES = frozenset({"health", "ping", "chat", "search", "fetch"})
RunT = TypeVar("RunT", bound=Run)


class Empty(Model):
    """Nothing to say beyond success."""


@dataclass(frozen=True, slots=True)
class Route:
    """A REST method and path. `at_root` paths (written `//health`) have no `/v1` before them."""

    method: str
    path: str
    at_root: bool = False

    @classmethod
    def parse(cls, text: str) -> "Route":
        method, _, path = text.partition(" ")
        if method not in METHODS or not path.startswith("/"):
            raise TypeError(f"{text!r} is not a route; write `GET /things/{{thing_id}}`")
        return cls(method, "/" + path.lstrip("/"), path.startswith("//"))

    @property
    def parameters(self) -> list[str]:
        return re.findall(r"{(\w+)}", self.path)

    @property
    def shape(self) -> tuple[str, str, bool]:
        """What two routes may not share: the path with its parameter names taken out."""
        return self.method, re.sub(r"{\w+}", "{}", self.path), self.at_root


@dataclass(frozen=True)
class Tool:
    """One capability as declared; everything that faces and docs show of it comes from here."""

    name: str
    run: Run
    request: type[Model]
    result: type[Model]
    routes: tuple[Route, ...]
    needs: str
    effect: Effect
    status: int
    location: str
    job: bool
    submits: bool
    emits: type[Model] | None
    toolsets: frozenset[str]
    delegates: bool
    mcp_only: bool

    @cached_property
    def domain(self) -> str:
        """Noun of the folder that declares it: `tools.catalog.tables` gives `catalog`."""
        package, _, rest = self.run.__module__.partition(".")
        return rest.partition(".")[0] if package == "tools" and "." in rest else package.rpartition("_")[2]

    @cached_property
    def title(self) -> str:
        return self.name.replace("_", " ").capitalize()

    @cached_property
    def description(self) -> str:
        return inspect.cleandoc(self.run.__doc__ or "")

    @cached_property
    def summary(self) -> str:
        return self.description.partition("\n")[0]

    @property
    def takes_key(self) -> bool:
        """Whether a repeated call with the same idempotency key is answered as the first was."""
        return self.effect != "read" or self.submits

    @cached_property
    def references(self) -> dict[str, str]:
        return references(self.request)


def tool(
    *routes: str,
    needs: str,
    effect: Effect,
    status: int = 200,
    location: str = "",
    job: bool = False,
    submits: bool = False,
    emits: type[Model] | None = None,
    toolsets: tuple[str, ...] = (),
    delegates: bool = False,
    mcp_only: bool = False,
) -> Callable[[RunT], RunT]:
    """Declare `async def verb_noun(ctx, request) -> Result` as a tool.

    routes: REST method and path first, then aliases. needs: permission, `SIGNED_IN` or `ANYONE`.
    location: path of what was made, with fields of the result, for `201 Created`.
    job: runs durably in a worker. submits: it answers the `job_id` of a job of its own name, which it has
    checked and handed to the workers itself. emits: model of the parts given to `ctx.emit`.
    toolsets: MCP toolsets beside the domain's own. delegates: it only calls other tools, which are
    limited and audited under their own names. Raises TypeError when the declaration is not sound."""

    def declare(run: RunT) -> RunT:
        request, result = _signature(run)
        declared = Tool(
            name=run.__name__,
            run=run,
            request=request,
            result=result,
            routes=tuple(Route.parse(route) for route in routes),
            needs=needs,
            effect=effect,
            status=status,
            location=location,
            job=job,
            submits=submits,
            emits=emits,
            toolsets=frozenset(toolsets),
            delegates=delegates,
            mcp_only=mcp_only,
        )
        check_tool(declared)
        run.__dict__["tool"] = declared
        return run

    return declare


def _signature(run: Run) -> tuple[type[Model], type[Model]]:
    names = list(inspect.signature(run).parameters)
    hints = get_type_hints(run)
    if names != ["ctx", "request"] or not inspect.iscoroutinefunction(run):
        raise TypeError(f"{run.__name__}: a tool is `async def {run.__name__}(ctx, request) -> Result`")
    return hints["request"], hints["return"]


def check_tool(declared: Tool) -> None:
    """Refuse a declaration that some face could not serve. Raises TypeError saying which part."""
    name = declared.name
    check_portable(declared.request)
    check_portable(declared.result)
    if declared.emits is not None:
        check_portable(declared.emits)
    if not re.fullmatch(r"[a-z]+(_[a-z0-9]+)+", name) and name not in UNPREFIXED_NAMES:
        raise TypeError(f"{name}: tools are named verb_noun")
    if not declared.summary or len(declared.summary) > 100:
        raise TypeError(f"{name}: the docstring's first line is the summary, at most 100 characters")
    if declared.mcp_only == bool(declared.routes):
        raise TypeError(f"{name}: a tool has a route, or is mcp_only")
    if declared.submits and (declared.job or "job_id" not in declared.result.model_fields):
        raise TypeError(f"{name}: a tool that submits its job answers its job_id")
    if declared.job and "wait_s" in declared.request.model_fields:
        raise TypeError(f"{name}: wait_s is added by the gate")
    for route in declared.routes:
        _check_route(declared, route)


def _check_route(declared: Tool, route: Route) -> None:
    fields = declared.request.model_fields
    missing = [name for name in route.parameters if name not in fields]
    if missing:
        raise TypeError(f"{declared.name}: {route.path} names {missing}, which the request lacks")
    if route.method in ("GET", "DELETE"):
        for name, info in fields.items():
            if not is_scalar(info.annotation):
                raise TypeError(f"{declared.name}.{name}: {route.method} takes scalars only")


def is_scalar(annotation: Any) -> bool:
    """Whether a field fits a query string: a scalar, or a list of scalars (repeated)."""
    text = str(annotation)
    return "dict" not in text and "JsonValue" not in text and not _holds_model(annotation)


def _holds_model(annotation: Any) -> bool:
    if isinstance(annotation, type) and issubclass(annotation, Model):
        return True
    return any(_holds_model(part) for part in get_args(annotation))
