"""The command line's side of the wiring: tools run in this process on a home, or on a server."""

import asyncio
import contextlib
import functools
import json
import secrets
import signal
import sys
from collections.abc import AsyncIterator
from dataclasses import replace
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any

import click
from pydantic import BaseModel

from api.cli import Answer, Execute, Options
from api.cli_live import Live
from api.streams import ARROW_FIELD
from core.dispatch import Call
from core.errors import InvalidArgument, NotFound, PlatformError
from core.portable import bars
from core.registry import Registry
from core.settings import Settings
from core.tool import Tool
from headwater import __version__
from headwater.saving import is_ours, linked, save_from_app, save_from_server
from headwater.settings import read_settings
from headwater.tool_index import find_tool, summaries

if TYPE_CHECKING:
    from headwater.build import Platform


@functools.cache
def registry() -> Registry:
    """All tools, each imported."""
    from headwater.build import TOOL_PACKAGES

    return Registry.walk(TOOL_PACKAGES)


def executor(ctx: click.Context) -> Execute:
    """How tool commands run: decided by `--server`, `--home` and `--token` once they are parsed."""

    def execute(tool: str, arguments: dict[str, Any], options: Options) -> Answer:
        meta = ctx.find_root().meta
        token, server = meta.get("headwater.token"), meta.get("headwater.server")
        try:
            declared = _known(tool)
            _check_output(declared, options)
            settings = read_settings(meta.get("headwater.home"))
            if server:
                from headwater.login import logins_file, stored_token  # lazily: the outbound client
                from headwater.remote import Server

                held = token or asyncio.run(stored_token(server, file=logins_file()))
                answer = asyncio.run(Server(server, held, settings.egress).call(declared, arguments, options))
            else:
                answer = asyncio.run(_call_on_home(settings, token, declared, arguments, options))
            return replace(answer, bars=bars(declared.result))
        except PlatformError as error:
            return Answer("", error=error)

    return execute


def _known(name: str) -> Tool:
    found = find_tool(name)
    if found is not None:
        return found
    if name in registry():  # for models alone, and still to be called
        return registry().get(name)
    close = get_close_matches(name, summaries(), cutoff=0.7)
    hint = f"Did you mean {' or '.join(close)}?" if close else "`headwater --help` lists the tools."
    raise NotFound(f"No tool {name[:64]!r}.", hint=hint)


def _check_output(tool: Tool, options: Options) -> None:
    if options.output is None and tool.emits is not None and ARROW_FIELD in tool.emits.model_fields:
        raise InvalidArgument(f"{tool.name} streams Arrow.", hint="Say where to with --output FILE.")


async def _call_on_home(
    settings: Settings, token: str | None, tool: Tool, arguments: dict[str, Any], options: Options
) -> Answer:
    async with opened(settings) as platform:
        is_patient = (tool.job or tool.submits) and options.wait_s != 0
        if is_patient:
            await platform.start_workers()  # perhaps no server runs that would
        answer = await call_once(platform, token, tool.name, arguments, options)
        link = linked(tool, answer, options)
        if link:
            return await _save(platform, link, answer, options)
        if is_patient and tool.submits and answer.result is not None:
            await _see_to_its_end(platform, token, answer.result["job_id"], options.wait_s)
        return answer


async def _save(platform: "Platform", link: str, answer: Answer, options: Options) -> Answer:
    if not is_ours(link):
        return await save_from_server(platform.engine.egress, "", link, answer, options)
    from headwater.faces import rest_face  # lazily: the web framework

    return await save_from_app(rest_face(platform), link, answer, options)


async def _see_to_its_end(platform: "Platform", token: str | None, job_id: str, wait_s: float | None) -> None:
    """Let this process, which runs a job that was submitted here, live until the job has ended."""
    engine = platform.engine
    by = await engine.identity.local_owner() if token is None else await platform.dispatcher.authenticate(token)
    async for _ in engine.jobs.follow(by.tenant, job_id, timeout_s=wait_s):
        pass


@contextlib.asynccontextmanager
async def opened(settings: Settings, *, isolated: bool = False) -> AsyncIterator["Platform"]:
    """A platform without faces, closed in order when the block ends."""
    from headwater.build import build  # lazily: the engine; a call of a server needs none

    platform = await build(settings, isolated=isolated)
    try:
        yield platform
    finally:
        await platform.close()


async def call_once(
    platform: "Platform", token: str | None, tool: str, arguments: dict[str, Any], options: Options
) -> Answer:
    """Run one tool through the gate. `token` None acts as the owner of the home."""
    request_id = f"req_{secrets.token_hex(8)}"
    principal = await platform.engine.identity.local_owner() if token is None else None
    try:
        with Live(options) as live:
            call = Call(
                tool=tool,
                arguments=arguments,
                form="json",
                face="cli",
                request_id=request_id,
                token=token,
                principal=principal,
                emit=live.emit,
                timeout_s=options.timeout_s,
                wait_s=options.wait_s,
                idempotency_key=options.idempotency_key,
            )
            result = await platform.dispatcher.call(call)
    except PlatformError as error:
        return Answer(request_id, error=error)
    return Answer(request_id, result=as_json(result))


def as_json(result: BaseModel) -> dict[str, Any]:
    value: dict[str, Any] = json.loads(result.model_dump_json())
    return value


async def run_worker(settings: Settings, concurrency: int) -> None:
    """Run jobs and schedules until SIGINT or SIGTERM, then finish the ones under way."""
    stopped = _stop_event()
    async with opened(settings, isolated=True) as platform:
        await platform.start_workers(concurrency)
        sys.stderr.write(f"worker ready: {concurrency} jobs at a time\n")
        await stopped.wait()


async def run_stdio(settings: Settings, token: str | None) -> None:
    """MCP over standard input and output, as the token's owner or the owner of the home."""
    from headwater.faces import people_prompts
    from mcp_server.server import run_stdio as serve_stdio

    async with opened(settings, isolated=True) as platform:
        if token is None:
            principal = await platform.engine.identity.local_owner()
        else:
            principal = await platform.dispatcher.authenticate(token, "mcp")
        await platform.start_workers()  # perhaps no server runs that would run this client's jobs
        await serve_stdio(
            platform.dispatcher,
            principal,
            token=token,
            version=__version__,
            results=platform.engine.results,
            prompts=people_prompts(),
        )


async def mint_token(settings: Settings, role: str, tenant: str, lifetime_s: float) -> str:
    async with opened(settings) as platform:
        return await platform.engine.identity.mint(role=role, tenant=tenant, lifetime_s=lifetime_s)


def _stop_event() -> asyncio.Event:
    stopped = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    return stopped
