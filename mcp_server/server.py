"""The MCP face: FastMCP over the gate, for streamable HTTP and stdio."""

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from json import dumps
from pathlib import Path
from secrets import token_bytes
from typing import Any

from fastmcp import FastMCP
from fastmcp.prompts.base import Prompt
from fastmcp.resources.base import ResourceResult
from fastmcp.resources.template import ResourceTemplate
from fastmcp.tools.base import Tool
from fastmcp.utilities.versions import VersionSpec
from mcp.server.context import ServerRequestContext
from mcp.server.lowlevel import NotificationOptions
from mcp.server.request_state import RequestStateSecurity
from mcp.shared.exceptions import MCPError
from mcp_types import (
    Completion,
    CompletionArgument,
    CompletionContext,
    PromptReference,
    ResourceTemplateReference,
)
from starlette.types import ASGIApp

from core.context import Principal
from core.dispatch import Dispatcher
from core.errors import PlatformError
from core.settings import ServerSettings
from mcp_server import resources
from mcp_server.auth import SCOPE_KEY, Credentials, new_request_id
from mcp_server.calls import Calls
from mcp_server.http import Beside, http_app
from mcp_server.listing import GateTool, RegistryTool, current_request
from mcp_server.prompts import PeoplePrompt, ShownPrompt
from mcp_server.results import RPC_CODES, ResultsPort
from mcp_server.toolsets import choose, parse_toolsets

NAME = "headwater"
CACHE_S = 5
CONFIRM_WITHIN_S = 600.0


class HeadwaterMCP(FastMCP[Any]):
    """FastMCP whose lists and lookups come from the registry, for the principal of each request."""

    def __init__(
        self,
        calls: Calls,
        *,
        version: str,
        state_key: bytes | None,
        toolsets: str = "",
        prompts: Sequence[PeoplePrompt] = (),
    ):
        self._calls = calls
        self._toolsets = toolsets
        self._shown_prompts = {said.name: ShownPrompt.of(said) for said in prompts}
        self._registry_tools = {
            declared.name: RegistryTool.of(declared, calls) for declared in calls.dispatcher.registry
        }
        super().__init__(
            NAME,
            instructions=Path(__file__).with_name("instructions.md").read_text("utf-8"),
            version=version,
            mask_error_details=True,
            dereference_schemas=False,
            cache_ttl=CACHE_S,
            cache_scope="private",
            request_state_security=state_security(calls, state_key),
        )
        # Without this hook the SDK lists all tools before each call, in search of `x-mcp-header` marks.
        # No schema of ours has one, so there is nothing to look up.
        self._mcp_server.get_tool_input_schema = no_marked_headers
        self._mcp_server.notification_options = NotificationOptions()  # no list changes are announced
        if resources.completion_source(calls) is not None:
            self.add_completion_handler(self._complete)

    async def list_tools(self, *, run_middleware: bool = True) -> Sequence[Tool]:
        with rpc_errors():
            incoming = current_request()
            by = self._calls.credentials(incoming).principal
            permitted = self._calls.dispatcher.tools_for(by)
            asked = incoming.request.query_params.get("toolsets", "") if incoming.request else self._toolsets
            wanted = parse_toolsets(asked, permitted)
            listed = choose(permitted, wanted, by, lambda tool: self._registry_tools[tool.name].chars)
            return [self._registry_tools[tool.name] for tool in listed]

    async def get_tool(self, name: str, version: VersionSpec | None = None) -> Tool | None:
        return self._registry_tools.get(name) or GateTool.unknown(name, self._calls)

    async def list_prompts(self, *, run_middleware: bool = True) -> Sequence[Prompt]:
        with rpc_errors():
            permitted = self._permitted()
            return [prompt for prompt in self._shown_prompts.values() if prompt.is_for(permitted)]

    async def get_prompt(self, name: str, version: VersionSpec | None = None) -> Prompt | None:
        with rpc_errors():
            found = self._shown_prompts.get(name)
            return found if found is not None and found.is_for(self._permitted()) else None

    def _permitted(self) -> set[str]:
        by = self._calls.credentials(current_request()).principal
        return {tool.name for tool in self._calls.dispatcher.tools_for(by)}

    async def list_resource_templates(self, *, run_middleware: bool = True) -> Sequence[ResourceTemplate]:
        with rpc_errors():
            return resources.templates(self._calls, self._calls.credentials(current_request()).principal)

    async def read_resource(
        self, uri: str, *, version: VersionSpec | None = None, run_middleware: bool = True
    ) -> ResourceResult:
        with rpc_errors({"uri": uri}):
            return await resources.read(self._calls, uri, self._calls.credentials(current_request()))

    async def _complete(
        self,
        ref: PromptReference | ResourceTemplateReference,
        argument: CompletionArgument,
        context: CompletionContext | None,
    ) -> Completion | None:
        if (
            not isinstance(ref, ResourceTemplateReference)
            or ref.uri != resources.TABLES_URI
            or argument.name != "table"
        ):
            return None
        with rpc_errors():
            credentials = self._calls.credentials(current_request())
            return await resources.complete_table(self._calls, argument.value, credentials)


@contextmanager
def rpc_errors(data: dict[str, Any] | None = None) -> Iterator[None]:
    """Our errors as JSON-RPC errors, with the body that every face shows in `data`."""
    try:
        yield
    except PlatformError as error:
        body = {**(data or {}), "error": error.body(new_request_id())}
        raise MCPError(code=RPC_CODES[error.code], message=error.message, data=body) from None


def no_marked_headers(name: str) -> None:
    """The part of a tool's schema that `Mcp-Param-*` headers must agree with: none."""


def state_security(calls: Calls, key: bytes | None) -> RequestStateSecurity:
    """How the state of a confirmation is sealed: for ten minutes, one request and one principal."""

    def principal_of(ctx: ServerRequestContext[Any, Any]) -> str:
        found = calls.local or (ctx.request.scope.get(SCOPE_KEY) if ctx.request is not None else None)
        if not isinstance(found, Credentials):
            raise LookupError("a request without credentials")
        return dumps([found.principal.tenant, found.principal.subject])

    keys = [key or token_bytes(32)]
    return RequestStateSecurity(keys=keys, ttl=CONFIRM_WITHIN_S, bind_principal=principal_of)


def mcp_app(
    dispatcher: Dispatcher[Any],
    *,
    settings: ServerSettings,
    version: str,
    results: ResultsPort | None = None,
    state_key: bytes | None = None,
    beside: Beside = lambda app: (),
    prompts: Sequence[PeoplePrompt] = (),
) -> ASGIApp:
    """The app that serves `/mcp`, and the routes of others `beside` it; it needs its lifespan.

    state_key: 32 bytes or more that all replicas share, for confirmations; None makes one for this process."""
    leave_logging_to_the_platform()
    server = HeadwaterMCP(Calls(dispatcher, results), version=version, state_key=state_key, prompts=prompts)
    return http_app(server._mcp_server, dispatcher, settings, beside)


async def run_stdio(
    dispatcher: Dispatcher[Any],
    principal: Principal,
    *,
    token: str | None = None,
    version: str = "",
    results: ResultsPort | None = None,
    toolsets: str = "",
    prompts: Sequence[PeoplePrompt] = (),
) -> None:
    """Serve one client on stdin and stdout, as a principal that the wiring vouches for.

    With the `token` that the principal was read from, the gate verifies it again at each call."""
    leave_logging_to_the_platform()
    calls = Calls(dispatcher, results, local=Credentials(principal, token, is_local=token is None))
    server = HeadwaterMCP(calls, version=version, state_key=None, toolsets=toolsets, prompts=prompts)
    await server.run_stdio_async(show_banner=False)


def leave_logging_to_the_platform() -> None:
    """FastMCP brings handlers of its own, and both libraries write arguments into their debug lines."""
    for name in ("fastmcp", "mcp"):
        logger = logging.getLogger(name)
        logger.handlers.clear()
        logger.propagate = True
        logger.setLevel(max(logger.level, logging.INFO))
