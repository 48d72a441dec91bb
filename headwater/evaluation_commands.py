"""`headwater evals`: run suites, compare runs, gate a change, make a report."""

import asyncio
import sys
from pathlib import Path
from textwrap import fill, shorten
from typing import Any

import click

from core.errors import Conflict, NotFound
from headwater.settings import find_home, read_settings

WORKFLOWS = ("planner", "bare", "fixed", "reflection", "metric_to_sql", "nl2sql", "chat")
home_option = click.option(
    "--home", type=click.Path(path_type=Path), envvar="HEADWATER_HOME", help="Folder of all local state [.headwater]."
)


@click.group()
def evals() -> None:
    """Prove that answers got better, not worse: run suites, compare, gate, report."""


@evals.command("list")
@home_option
def list_suites(home: Path | None) -> None:
    """List the suites at hand."""
    from evals.cases import read_suite, shipped_suites

    folder = find_home(home) / "evals"
    for name, path in sorted(shipped_suites(folder).items()):
        try:
            suite = read_suite(path)
        except NotFound:
            click.echo(f"{name:<18} {'?':>5} cases  its data lies elsewhere: name its folder with --data")
            continue
        except Conflict as error:
            click.echo(f"{name:<18} {'?':>5} cases  {error.message}")
            continue
        place = f" {path}" if path.is_relative_to(folder) else ""
        click.echo(f"{name:<18} {len(suite.cases):>5} cases  {shorten(suite.description, 64, placeholder=' …')}{place}")


@evals.command("runs")
@click.option("--suite", default="", help="Only runs of this suite.")
@click.option("--last", type=click.IntRange(1, 1000), default=20, show_default=True, help="How many, the newest first.")
@home_option
def list_runs(suite: str, last: int, home: Path | None) -> None:
    """List the runs of a home, the newest first."""
    from headwater.evaluating import recent, run_line

    found = asyncio.run(recent(read_settings(home), suite, last))
    click.echo(f"{'run':<40} {'status':<10} {'cases':>9}  right")
    click.echo("\n".join(map(run_line, found)) or "None yet: `headwater evals run SUITE` makes one.")


@evals.command()
@click.argument("suite")
@home_option
@click.option(
    "-w", "--workflow", "workflows", multiple=True, type=click.Choice(WORKFLOWS), help="Who answers; may be repeated."
)
@click.option("--model", default="", help="Name of a model, as list_models shows it.")
@click.option("--cases", type=click.IntRange(0), default=0, help="About as many cases, evenly spread; 0 is all.")
@click.option(
    "--data", type=click.Path(exists=True, file_okay=False, path_type=Path), help="Folder of the suite's databases."
)
@click.option(
    "--database",
    type=click.Path(exists=True, dir_okay=False, resolve_path=True, path_type=Path),
    help="DuckDB or SQLite file, or SQL script, that a JSONL file asks about.",
)
@click.option("--connection", default="lakehouse", show_default=True, help="Or the connection that it asks about.")
@click.option("--copies", "has_copies", is_flag=True, help="Judge on changed copies of the databases too.")
@click.option("--run-id", default="", help="Name of the runs; those of that name that ended early go on.")
@click.option("--quiet", is_flag=True, help="Only the summaries.")
def run(
    suite: str, home: Path | None, workflows: tuple[str, ...], data: Path | None, quiet: bool, **wanted: Any
) -> None:
    """Run SUITE, with one or more workflows: a name, a YAML file, or a JSONL file of lines with question and gold."""
    from evals.outcomes import Arm
    from headwater.evaluating import Asked, summary
    from headwater.evaluating import run as run_all

    model, case_count = wanted.pop("model"), wanted.pop("cases")
    arms = [Arm(name, name, model) for name in workflows or ("planner",)]
    asked = Asked(suite, arms, data=data.resolve() if data else None, case_count=case_count, **wanted)
    ended = asyncio.run(run_all(read_settings(home), asked, (lambda text: None) if quiet else click.echo))
    click.echo("\n".join(summary(item) for item in ended))
    sys.exit(0 if all(item.status == "completed" for item in ended) else 130)


@evals.command()
@click.argument("runs", nargs=-1, required=True)
@click.option("--cases", "which", type=click.Choice(["all", "wrong"]), help="List cases too: all, or those gone wrong.")
@click.option("--case", "case_id", default="", help="Show this case with its SQL and the steps that ran.")
@home_option
def show(runs: tuple[str, ...], which: str | None, case_id: str, home: Path | None) -> None:
    """Show what RUNS found."""
    from headwater.evaluating import case_lines, case_text, stored, summary

    for item in asyncio.run(stored(read_settings(home), runs)):
        lines = [case_text(item, case_id)] if case_id else [summary(item)]
        if which and not case_id:
            lines += case_lines(item, is_wrong_only=which == "wrong")
        click.echo("\n".join(lines))


@evals.command()
@click.argument("baseline")
@click.argument("run_id", metavar="RUN")
@home_option
def compare(baseline: str, run_id: str, home: Path | None) -> None:
    """Compare RUN with BASELINE case by case."""
    from evals.compare import compare as compare_runs
    from headwater.evaluating import stored

    before, after = asyncio.run(stored(read_settings(home), [baseline, run_id]))
    found = compare_runs(before, after)
    click.echo(f"{run_id} against {baseline}: {found.difference}")
    click.echo("It may be chance." if found.difference.is_noise else "It is more than chance.")
    for title, names in (("won", found.won), ("lost", found.lost)):
        listed = f"{title} {len(names)}: {', '.join(names)}" if names else f"{title}: none"
        click.echo(fill(listed, 100, subsequent_indent="  ", break_on_hyphens=False))


@evals.command()
@click.argument("baseline")
@click.argument("run_id", metavar="RUN")
@click.option(
    "--max-lost", type=click.IntRange(0), help="By how many lost cases may exceed won ones; for arms without chance."
)
@home_option
def gate(baseline: str, run_id: str, max_lost: int | None, home: Path | None) -> None:
    """Exit with 1 when RUN is worse than BASELINE by more than chance, costs a fifth more, or did not end."""
    from headwater.evaluating import check

    reasons = asyncio.run(check(read_settings(home), baseline, run_id, max_lost))
    click.echo("\n".join(reasons) or "It may follow its baseline.")
    sys.exit(1 if reasons else 0)


@evals.command()
@click.argument("runs", nargs=-1, required=True)
@click.option("-o", "--output", type=click.Path(path_type=Path), default=Path("evals.html"), show_default=True)
@home_option
def report(runs: tuple[str, ...], output: Path, home: Path | None) -> None:
    """Write a page that shows RUNS side by side; the first is what the others are compared with."""
    from evals.report import write_report
    from headwater.evaluating import stored

    output.write_text(write_report(asyncio.run(stored(read_settings(home), runs))), encoding="utf-8")
    click.echo(f"Written: {output}")


@evals.command()
@click.argument("recordings", type=click.Path(dir_okay=False, path_type=Path))
@click.option(
    "--of", "upstream", default="", help="Base URL of a model server; what is not recorded yet is asked there."
)
@click.option("--near", "is_near", is_flag=True, help="Let the question decide, where schema or notes have changed.")
@click.option("--port", type=click.IntRange(0, 65535), default=8091, show_default=True, help="Port on 127.0.0.1.")
def replay(recordings: Path, upstream: str, is_near: bool, port: int) -> None:
    """Serve the answers in RECORDINGS as a model server in OpenAI's shape, until stopped."""
    import socket

    import uvicorn

    from headwater.recorded_model import recorded_app

    if not upstream and not recordings.exists():
        raise click.UsageError(f"There are no recordings at {recordings}. --of makes them.")
    app = recorded_app(recordings, upstream, is_near=is_near, told=lambda text: click.echo(text, err=True))
    try:
        opened = socket.create_server(("127.0.0.1", port))
    except OSError as error:
        raise click.ClickException(f"Port {port} cannot be had: {error.strerror}. --port 0 picks a free one.") from None
    with opened as listener:
        click.echo(f"Base URL: http://127.0.0.1:{listener.getsockname()[1]}/v1", err=True)
        uvicorn.Server(uvicorn.Config(app, log_level="warning")).run(sockets=[listener])
