"""`headwater demo`: the main job on real data, asked and cared for through the same door that Claude uses."""

import asyncio
import json
import signal
import time
from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager, suppress
from typing import TYPE_CHECKING, Any

from rich.console import Console

from core.errors import Conflict, Unauthorized, Unavailable
from core.settings import Settings
from headwater.announce import command, connect_lines, url
from headwater.build import Platform
from headwater.demo_agents import Samples, show_agents
from headwater.demo_questions import show_questions
from headwater.demo_stage import Stage, Step
from headwater.flights import load_flights
from headwater.listeners import FACES, Ports, bind
from headwater.running import registered
from headwater.serve import serving

if TYPE_CHECKING:  # only the demo is a client, so the command line loads it then
    from fastmcp import Client

JOIN = """
SELECT a.name AS airline, count(*) AS flights,
       round(avg(f.dep_delay), 1) AS avg_departure_delay_min,
       round(100.0 * count(*) FILTER (f.dep_time IS NULL) / count(*), 2)
         AS cancelled_percent
FROM flights.flights f JOIN flights.airlines a ON a.carrier = f.carrier
GROUP BY a.name ORDER BY flights DESC LIMIT 8
""".strip()

TABLE = {"table": "flights.flights"}
QUESTIONS: list[Step] = [
    ("What data is there?", "list_tables", {}),
    ("What is in the flights table?", "get_table_schema", TABLE),
    ("Which airlines fly most from New York, and how late do they leave?", "execute_query", {"sql": JOIN}),
]
BEFORE: list[Step] = [
    ("How does the flights table lie?", "get_table_health", TABLE),
    ("What would a compaction do?", "compact_table", {**TABLE, "dry_run": True}),
]
COMPACT: Step = ("Do it.", "compact_table", TABLE)
AFTER: list[Step] = [
    ("Let the oldest versions go.", "expire_snapshots", {**TABLE, "retain_last": 50}),
    ("And now?", "get_table_health", TABLE),
]
RULE = {"name": "Demo: compactions by engineers", "tools": ["compact_table"], "roles": ["data_engineer"]}
COUNTS = ("data_file_count", "small_file_count", "avg_file_size_bytes", "snapshot_count", "recommendation")
PICTURES = ("histogram", "histogram_before", "histogram_after")


async def run_demo(settings: Settings, *, keep_serving: bool) -> None:
    """Load the data if needed, start every face, ask the questions, show how to connect."""
    console = Console(highlight=False)
    samples = Samples()
    settings = samples.allowed(_with_free_ports(console, settings))
    console.print("[bold]1. The flights lakehouse[/bold]  Iceberg tables, loaded week by week")
    await _load(console, settings)
    console.print("\n[bold]2. Every face in one process[/bold]")
    with ExitStack() as told:
        async with samples.serving(), serving(settings) as (platform, ports):
            told.enter_context(registered(settings.home, ports))
            stage = Stage(console, platform)
            async with _shown(stage, ports, samples):
                if keep_serving:
                    console.print("\nServing until Ctrl-C.")
                    await _until_interrupted()
                else:
                    again = f"{command()} serve --home {settings.home}"
                    console.print(f"\nNot serving any longer. To serve it: {again}", markup=False, soft_wrap=True)


@asynccontextmanager
async def _shown(stage: Stage, ports: Ports, samples: Samples) -> AsyncIterator[None]:
    """Show everything; what only this demo can serve is there until it is left."""
    server = stage.platform.settings.server
    for name in FACES:
        stage.console.print(f"  {name.replace('_', '-'):9} {url(server, getattr(ports, name))}", markup=False)
    mcp = f"{url(server, ports.mcp)}/mcp"
    await _ask(stage, mcp, await token_of(stage.platform, "viewer"))
    await _care(stage, mcp)
    stage.title("6. Agents of others, behind the same gate", "The demo says yes for you")
    admin = await token_of(stage.platform, "admin")
    async with show_agents(stage, mcp, samples, (admin, await token_of(stage.platform, "viewer"))):
        stage.title("7. Connect your own client")
        for title, text in connect_lines(stage.platform, ports):
            stage.console.print(f"\n[cyan]{title}[/cyan]")
            stage.console.print(text, markup=False, soft_wrap=True)
        yield


async def token_of(platform: Platform, role: str) -> str:
    """A token of the user who is named like a role; where that one is gone or was changed, of the demo's own."""
    identity = platform.engine.identity
    try:
        return await identity.mint(role=role)
    except (Conflict, Unauthorized):
        own = f"demo-{role}"
    with suppress(Conflict):  # it is there already
        await identity.directory.create_user("default", user_id=own, roles=[role])
    return await identity.mint(subject=own)


async def _load(console: Console, settings: Settings) -> None:
    started = time.monotonic()
    with console.status("reading") as status:
        loaded = await load_flights(settings, progress=status.update)
    seconds = time.monotonic() - started
    console.print(f"  loaded {loaded:,} rows in {seconds:.0f} s" if loaded else "  already there")


async def _ask(stage: Stage, mcp: str, token: str) -> None:
    from fastmcp import Client  # lazily: only the demo is a client

    stage.title("3. Tables and SQL through MCP")
    async with Client(mcp, auth=token) as client:
        for step in QUESTIONS:
            await stage.ask(client, step, _brief)
        stage.title("4. Questions in plain words", "No model is set: the planner answers")
        await show_questions(stage, client)


async def _care(stage: Stage, mcp: str) -> None:
    """Care of one table by an engineer whose compactions need an administrator's approval.

    Clients pass on what the server asks a person before something is decided or destroyed; the demo is that person."""
    from fastmcp import Client

    async def answer(message: str, *_: object) -> dict[str, bool]:
        stage.say("The server asks", message.strip(), "yes")
        return {"confirm": True}

    engineers, admins = await token_of(stage.platform, "data_engineer"), await token_of(stage.platform, "admin")
    stage.title("5. Care of a table through MCP", "The demo says yes for you")
    async with (
        Client(f"{mcp}?toolsets=engineer", auth=engineers, elicitation_handler=answer) as engineer,
        Client(f"{mcp}?toolsets=approvals", auth=admins, elicitation_handler=answer) as admin,
    ):
        for step in BEFORE:
            await stage.ask(engineer, step, _care_brief)
        async with _ruled(admin):
            await _approve(stage, engineer, admin)
            await stage.ask(engineer, COMPACT, _care_brief)
        for step in AFTER:
            await stage.ask(engineer, step, _care_brief)


@asynccontextmanager
async def _ruled(admin: "Client[Any]") -> AsyncIterator[None]:
    """For this while, compactions by engineers need an approval."""
    found = (await admin.call_tool("get_approval_rules", {})).structured_content or {}
    others = [rule for rule in found["rules"] if rule["name"] != RULE["name"]]  # one may stand from a killed demo
    await admin.call_tool("set_approval_rules", {"rules": [*others, RULE]})
    try:
        yield
    finally:
        await admin.call_tool("set_approval_rules", {"rules": others})


async def _approve(stage: Stage, engineer: "Client[Any]", admin: "Client[Any]") -> None:
    """The engineer's call waits for a decision; the administrator sees what it is about and approves it."""
    _, tool, arguments = COMPACT
    stage.question("May it be done?")
    stage.called(tool, arguments)
    refused = await engineer.call_tool(tool, arguments, raise_on_error=False)
    if not refused.is_error:
        return
    waiting = (await admin.call_tool("list_approvals", {"status": ["pending"]})).structured_content or {}
    approval = next(item for item in waiting["approvals"] if item["tool"] == tool)
    stage.say("The engineer is told", f"{tool} needs an approval; {approval['id']} waits for a decision.")
    stage.console.print("  [yellow]The administrator finds it with list_approvals.[/yellow]")
    decided = {"approval_id": approval["id"]}
    stage.called("approve_request", decided)
    await admin.call_tool("approve_request", decided)
    stage.console.print("  [green]approved[/green]")


def _care_brief(result: dict[str, Any]) -> dict[str, Any]:
    """Pictures, and the few numbers that they are of."""
    counts = json.loads(result.get("details_json", "{}"))
    return {**counts, **{name: result[name] for name in COUNTS + PICTURES if result.get(name)}}


def _brief(result: dict[str, Any]) -> dict[str, Any]:
    """What a person wants to see of a result: no bookkeeping, no column lists inside tables."""
    hidden = {"items", "next_page_token", "success", "metadata"}
    brief: dict[str, Any] = {}
    for name, value in result.items():
        if name in hidden:
            continue
        if isinstance(value, list):
            value = [{key: cell for key, cell in row.items() if not isinstance(cell, (list, dict))} for row in value]
        brief[name] = value
    return brief


def _with_free_ports(console: Console, settings: Settings) -> Settings:
    """The settings as they are, or with free ports when something else uses the usual ones."""
    try:
        for opened in bind(settings.server).values():
            opened.close()
    except Unavailable as error:
        console.print(f"[yellow]{error.message} Taking free ports instead.[/yellow]")
        free = dict.fromkeys(("rest_port", "grpc_web_port", "mcp_port", "grpc_port", "admin_port"), 0)
        return settings.model_copy(update={"server": settings.server.model_copy(update=free)})
    return settings


async def _until_interrupted() -> None:
    stopped = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    await stopped.wait()
