"""`headwater demo`: the main job on real data, asked and cared for through the same door that Claude uses."""

import asyncio
import json
import signal
import textwrap
import time
from collections.abc import AsyncIterator, Callable
from contextlib import ExitStack, asynccontextmanager
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.syntax import Syntax

from api.cli_render import show
from core.errors import Unavailable
from core.portable import bars
from core.settings import Settings
from headwater.announce import command, connect_lines, url
from headwater.build import Platform
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

Step = tuple[str, str, dict[str, Any]]
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
    settings = _with_free_ports(console, settings)
    console.print("[bold]1. The flights lakehouse[/bold]  Iceberg tables, loaded week by week")
    await _load(console, settings)
    console.print("\n[bold]2. Every face in one process[/bold]")
    with ExitStack() as told:
        async with serving(settings) as (platform, ports):
            told.enter_context(registered(settings.home, ports))
            await _show(console, platform, ports)
            if keep_serving:
                console.print("\nServing until Ctrl-C.")
                await _until_interrupted()
            else:
                again = f"{command()} serve --home {settings.home}"
                console.print(f"\nNot serving any longer. To serve it: {again}", markup=False, soft_wrap=True)


async def _show(console: Console, platform: Platform, ports: Ports) -> None:
    for name in FACES:
        console.print(
            f"  {name.replace('_', '-'):9} {url(platform.settings.server, getattr(ports, name))}", markup=False
        )
    await _ask(console, platform, ports, await platform.engine.identity.mint(role="viewer"))
    await _care(console, platform, ports)
    console.print("\n[bold]5. Connect your own client[/bold]")
    for title, text in connect_lines(platform, ports):
        console.print(f"\n[cyan]{title}[/cyan]")
        console.print(text, markup=False, soft_wrap=True)


async def _load(console: Console, settings: Settings) -> None:
    started = time.monotonic()
    with console.status("reading") as status:
        loaded = await load_flights(settings, progress=status.update)
    seconds = time.monotonic() - started
    console.print(f"  loaded {loaded:,} rows in {seconds:.0f} s" if loaded else "  already there")


async def _ask(console: Console, platform: Platform, ports: Ports, token: str) -> None:
    from fastmcp import Client  # lazily: only the demo is a client

    console.print("\n[bold]3. Three questions through MCP[/bold]")
    async with Client(f"{url(platform.settings.server, ports.mcp)}/mcp", auth=token) as client:
        for step in QUESTIONS:
            await _call(console, platform, client, step, _brief)


async def _care(console: Console, platform: Platform, ports: Ports) -> None:
    """Care of one table by an engineer whose compactions need an administrator's approval.

    Clients pass on what the server asks a person before something is decided or destroyed; the demo is that person."""
    from fastmcp import Client

    async def answer(message: str, *_: object) -> dict[str, bool]:
        _say(console, "The server asks", message.strip(), "yes")
        return {"confirm": True}

    mint, address = platform.engine.identity.mint, f"{url(platform.settings.server, ports.mcp)}/mcp?toolsets="
    console.print("\n[bold]4. Care of a table through MCP[/bold]  The demo says yes for you")
    async with (
        Client(f"{address}engineer", auth=await mint(role="data_engineer"), elicitation_handler=answer) as engineer,
        Client(f"{address}approvals", auth=await mint(role="admin"), elicitation_handler=answer) as admin,
    ):
        for step in BEFORE:
            await _call(console, platform, engineer, step, _care_brief)
        async with _ruled(admin):
            await _approve(console, engineer, admin)
            await _call(console, platform, engineer, COMPACT, _care_brief)
        for step in AFTER:
            await _call(console, platform, engineer, step, _care_brief)


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


async def _approve(console: Console, engineer: "Client[Any]", admin: "Client[Any]") -> None:
    """The engineer's call waits for a decision; the administrator sees what it is about and approves it."""
    _, tool, arguments = COMPACT
    console.print("\n[bold cyan]May it be done?[/bold cyan]")
    console.print(f"  {tool} {json.dumps(arguments)}", markup=False)
    refused = await engineer.call_tool(tool, arguments, raise_on_error=False)
    if not refused.is_error:
        return
    waiting = (await admin.call_tool("list_approvals", {"status": ["pending"]})).structured_content or {}
    approval = next(item for item in waiting["approvals"] if item["tool"] == tool)
    _say(console, "The engineer is told", f"{tool} needs an approval; {approval['id']} waits for a decision.")
    console.print("  [yellow]The administrator finds it with list_approvals.[/yellow]")
    decided = {"approval_id": approval["id"]}
    console.print(f"  approve_request {json.dumps(decided)}", markup=False)
    await admin.call_tool("approve_request", decided)
    console.print("  [green]approved[/green]")


def _say(console: Console, who: str, text: str, then: str = "") -> None:
    console.print(f"  [yellow]{who}:[/yellow]")
    for line in text.splitlines():
        console.print(textwrap.fill(line, 76, initial_indent="    ", subsequent_indent="    "), markup=False)
    if then:
        console.print(f"    [green]{then}[/green]")


async def _call(
    console: Console,
    platform: Platform,
    client: "Client[Any]",
    step: Step,
    brief: Callable[[dict[str, Any]], dict[str, Any]],
) -> None:
    question, tool, arguments = step
    console.print(f"\n[bold cyan]{question}[/bold cyan]")
    if "sql" not in arguments:
        console.print(f"  {tool} {json.dumps(arguments)}", markup=False)
    else:
        console.print(f"  {tool}")
        console.print(Syntax(arguments["sql"], "sql", background_color="default", word_wrap=True))
    started = time.perf_counter()
    answer = await client.call_tool(tool, arguments)
    milliseconds = (time.perf_counter() - started) * 1000
    show(console, brief(answer.structured_content or {}), bars(platform.dispatcher.registry.get(tool).result))
    console.print(f"[dim]{milliseconds:.0f} ms[/dim]")


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
