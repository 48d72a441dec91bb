"""The demo's questions in plain words: SQL, range of time, rows, picture, which way answered and how sure."""

import time
from typing import TYPE_CHECKING, Any

from rich.syntax import Syntax

from api.cli_render import show
from core.portable import Bars
from headwater.demo_stage import Stage

if TYPE_CHECKING:  # only the demo is a client, so the command line loads it then
    from fastmcp import Client

TODAY = "2013-12-31"  # the last day of the data
QUESTIONS = (
    "What are the top 5 destinations by number of flights?",
    "What was the average departure delay per month?",
    "How many flights left JFK in the last 30 days?",
    "Which carriers had an average departure delay above 15 minutes?",
    "How many planes were built by Boeing?",
)
UNANSWERABLE = "What is the average ticket price to Chicago?"
MAX_SHOWN = 12


async def show_questions(stage: Stage, client: "Client[Any]") -> None:
    """Ask five questions in plain words, and one that the data cannot answer."""
    for question in (*QUESTIONS, UNANSWERABLE):
        stage.question(question)
        started = time.perf_counter()
        asked = {"task": question, "current_date": TODAY}
        answer = (await client.call_tool("run_workflow", asked)).structured_content or {}
        if answer["status"] == "completed":
            _show_answer(stage, answer)
        else:
            _show_refusal(stage, answer)
        stage.console.print(f"[dim]{(time.perf_counter() - started) * 1000:.0f} ms[/dim]")


def _show_answer(stage: Stage, answer: dict[str, Any]) -> None:
    console = stage.console
    console.print(Syntax(answer["sql"], "sql", background_color="default", word_wrap=True))
    for said in answer["date_ranges"]:
        console.print(f"  [dim]range[/dim] {said}", highlight=False, soft_wrap=False)
    rows, chart = [_short(row) for row in answer["result"][:MAX_SHOWN]], answer["chart"]
    if chart and chart["kind"] in ("bar", "line") and len(rows) > 1:
        show(console, {"chart": rows}, {"chart": Bars(chart["x"], chart["y"][0])})
    else:
        show(console, {"rows": rows})
    for said in answer["assumptions"]:
        console.print(f"  [dim]assumed[/dim] {said}", highlight=False)
    console.print(f"  answered by the {answer['path']}, {answer['confidence']:.0%} sure", highlight=False)


def _short(row: dict[str, Any]) -> dict[str, Any]:
    """Numbers to two digits, midnights as days."""
    cut = {name: round(value, 2) if isinstance(value, float) else value for name, value in row.items()}
    return {name: value.removesuffix("T00:00:00") if isinstance(value, str) else value for name, value in cut.items()}


def _show_refusal(stage: Stage, answer: dict[str, Any]) -> None:
    refusal = answer["refusal"] or {"reason": answer["error"] or answer["question"], "nearest": []}
    stage.say("Declined", refusal["reason"])
    if refusal["nearest"]:
        stage.console.print(f"  [dim]nearest[/dim] {refusal['nearest'][0]}", highlight=False)
