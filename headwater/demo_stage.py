"""What every part of the demo does: ask a question through MCP, show the call and what it answered."""

import json
import textwrap
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.syntax import Syntax

from api.cli_render import show
from core.portable import bars
from headwater.build import Platform

if TYPE_CHECKING:  # only the demo is a client, so the command line loads it then
    from fastmcp import Client

Step = tuple[str, str, dict[str, Any]]
Brief = Callable[[dict[str, Any]], dict[str, Any]]
WIDTH = 76


@dataclass(frozen=True, slots=True)
class Stage:
    """Where the demo speaks, and the platform it speaks of."""

    console: Console
    platform: Platform

    def title(self, text: str, after: str = "") -> None:
        self.console.print(f"\n[bold]{text}[/bold]" + (f"  {after}" if after else ""))

    def question(self, text: str) -> None:
        self.console.print(f"\n[bold cyan]{text}[/bold cyan]")

    def called(self, tool: str, arguments: dict[str, Any]) -> None:
        """Show what is called and with what."""
        text = f"{tool} {json.dumps(arguments)}" if arguments else tool
        self.console.print(textwrap.fill(text, WIDTH, initial_indent="  ", subsequent_indent="    "), markup=False)

    def say(self, who: str, text: str, then: str = "") -> None:
        self.console.print(f"  [yellow]{who}:[/yellow]")
        for line in text.splitlines():
            shown = textwrap.fill(line, WIDTH, initial_indent="    ", subsequent_indent="    ")
            self.console.print(shown, markup=False)
        if then:
            self.console.print(f"    [green]{then}[/green]")

    async def ask(self, client: "Client[Any]", step: Step, brief: Brief) -> dict[str, Any]:
        """Call a tool, and show the question, the call, and what matters of the answer."""
        question, tool, arguments = step
        self.question(question)
        if "sql" not in arguments:
            self.called(tool, arguments)
        else:
            self.console.print(f"  {tool}")
            self.console.print(Syntax(arguments["sql"], "sql", background_color="default", word_wrap=True))
        started = time.perf_counter()
        answer = await client.call_tool(tool, arguments)
        milliseconds = (time.perf_counter() - started) * 1000
        found = answer.structured_content or {}
        known = self.platform.dispatcher.registry
        show(self.console, brief(found), bars(known.get(tool).result) if tool in known else {})
        self.console.print(f"[dim]{milliseconds:.0f} ms[/dim]")
        return found
