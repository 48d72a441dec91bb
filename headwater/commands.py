"""The commands: serving and upkeep here; one more per tool, made from the registry."""

import asyncio
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from api.cli import EXIT_CODES, call_command, tool_command
from core.errors import PlatformError
from headwater import __version__
from headwater.settings import find_home, read_settings

F = TypeVar("F", bound=Callable[..., Any])

home_option = click.option(
    "--home", type=click.Path(path_type=Path), envvar="HEADWATER_HOME", help="Folder of all local state [.headwater]."
)


class ToolGroup(click.Group):
    """A group whose commands are those declared here and one per tool; tools are found only when needed."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        from headwater.local import tool_names  # lazily: walking the tools imports the engine

        return [*super().list_commands(ctx), *(name.replace("_", "-") for name in tool_names())]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        from headwater.local import executor, find_tool

        found = super().get_command(ctx, cmd_name)
        if found is not None:
            return found
        if cmd_name == "call":
            return _with_target(call_command(executor(ctx)))
        tool = find_tool(cmd_name.replace("-", "_"))
        return _with_target(tool_command(tool, executor(ctx))) if tool else None

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except PlatformError as error:
            click.echo(f"{error.code} {error.message}\n  {error.hint}".rstrip(), err=True)
            sys.exit(EXIT_CODES[error.code])


def _with_target(command: click.Command) -> click.Command:
    """Add the options that say where a tool runs: in this process on a home, or on a server."""
    command.params += [
        click.Option(
            ["--home"],
            type=click.Path(path_type=Path),
            envvar="HEADWATER_HOME",
            expose_value=False,
            callback=_remember,
            help="Run in this process on this home.",
        ),
        click.Option(
            ["--server"],
            envvar="HEADWATER_SERVER_URL",
            expose_value=False,
            callback=_remember,
            help="Run on the server at this REST URL instead.",
        ),
        click.Option(
            ["--token"],
            envvar="HEADWATER_TOKEN",
            expose_value=False,
            callback=_remember,
            help="Act as this token's owner; without one, as the owner of the home.",
        ),
    ]
    return command


def _remember(ctx: click.Context, param: click.Parameter, value: Any) -> Any:
    ctx.find_root().meta[f"headwater.{param.name}"] = value
    return value


@click.group(cls=ToolGroup, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(__version__, prog_name="headwater")
def cli() -> None:
    """Work with a company's data safely, for people and AI agents.

    `headwater demo` shows it on real data; `headwater serve` starts every face; every tool is a command too."""


@cli.command()
@home_option
@click.option("--host", help="Address that all faces listen on [127.0.0.1].")
@click.option("--rest-port", "--port", "rest_port", type=int, help="Port of REST [8000].")
@click.option("--grpc-web-port", type=int, help="Port of gRPC-Web [8001].")
@click.option("--mcp-port", type=int, help="Port of MCP [8002].")
@click.option("--grpc-port", type=int, help="Port of gRPC [50051].")
@click.option("--public-url", help="URL under which clients reach this server.")
@click.option("--workers", type=int, help="Serving processes [1].")
@click.option(
    "--data",
    type=click.Path(exists=True, resolve_path=True, path_type=Path),
    help="Serve this folder or file of data too.",
)
@click.option("--reload", is_flag=True, help="Start again when the source changes.")
@click.option("--daemon", is_flag=True, help="Run in the background.")
@click.option("--debug", is_flag=True, help="Verbose logs.")
@click.option("--child-of", type=int, default=0, hidden=True)
def serve(
    home: Path | None, data: Path | None, reload: bool, daemon: bool, debug: bool, child_of: int, **server: Any
) -> None:
    """Start every face: REST, gRPC, gRPC-Web and MCP, with an embedded worker."""
    from headwater.announce import announce
    from headwater.data_option import allow_data, point_at_data
    from headwater.serve import run_until_stopped
    from headwater.workers import reload_on_change, start_daemon, supervise

    settings = _settings(home, debug, server)
    if data is not None:
        settings = allow_data(settings, data)
    arguments = [item for item in sys.argv[2:] if item not in ("--daemon", "--reload")]
    if daemon:
        click.echo(f"serving in the background as process {start_daemon(settings.home, arguments)}")
    elif reload:
        sys.exit(reload_on_change(arguments, [Path(__file__).parent.parent]))
    else:
        if data is not None and not child_of:
            asyncio.run(point_at_data(settings, data))
        if settings.server.workers > 1 and not child_of:
            sys.exit(supervise(arguments, settings.server.workers))
        _configure_logging(settings)
        asyncio.run(run_until_stopped(settings, announce, parent=child_of))


@cli.command()
@home_option
def stop(home: Path | None) -> None:
    """Stop the server that runs on a home."""
    from headwater.workers import stop_daemon

    pid = stop_daemon(find_home(home))
    click.echo(f"stopped process {pid}" if pid else "no server runs on this home")


@cli.command()
@home_option
@click.option("--concurrency", type=click.IntRange(1, 64), default=2, show_default=True, help="Jobs at a time.")
def worker(home: Path | None, concurrency: int) -> None:
    """Run durable jobs and schedules until stopped."""
    from headwater.local import run_worker

    settings = _settings(home, debug=False, server={})
    _configure_logging(settings)
    asyncio.run(run_worker(settings, concurrency))


@cli.command()
@home_option
@click.option("--token", envvar="HEADWATER_TOKEN", help="Act as this token's owner; without one, as the home's owner.")
def mcp(home: Path | None, token: str | None) -> None:
    """Serve MCP over standard input and output, for a desktop client."""
    from headwater.local import run_stdio

    settings = _settings(home, debug=False, server={})
    _configure_logging(settings)
    asyncio.run(run_stdio(settings, token))


@cli.command()
@home_option
@click.option("--role", default="admin", show_default=True, help="Role of the token's owner.")
@click.option("--tenant", default="default", show_default=True, help="Tenant of the token's owner.")
@click.option("--hours", type=click.FloatRange(min=0, max=24, min_open=True), default=2.0, show_default=True)
def token(home: Path | None, role: str, tenant: str, hours: float) -> None:
    """Print a bearer token, and nothing else."""
    from headwater.local import mint_token

    click.echo(asyncio.run(mint_token(_settings(home, debug=False, server={}), role, tenant, hours * 3600)))


@cli.group()
def db() -> None:
    """The platform's database."""


@db.command("upgrade")
@home_option
def db_upgrade(home: Path | None) -> None:
    """Bring the store's schema up to date."""
    from headwater.upkeep import upgrade_store

    click.echo(upgrade_store(_settings(home, debug=False, server={})))


@cli.command()
@click.argument("target", type=click.Path(path_type=Path))
@home_option
def backup(target: Path, home: Path | None) -> None:
    """Copy all platform state of a home into the archive TARGET; safe while serving."""
    from headwater.upkeep import back_up

    click.echo(back_up(_settings(home, debug=False, server={}), target))


@cli.command()
@click.argument("archive", type=click.Path(exists=True, path_type=Path))
@home_option
@click.option("--force", is_flag=True, help="Replace what is there.")
def restore(archive: Path, home: Path | None, force: bool) -> None:
    """Put the platform state of ARCHIVE into a home."""
    from headwater.upkeep import put_back

    click.echo(put_back(find_home(home), archive, force=force))


@cli.command()
@home_option
def doctor(home: Path | None) -> None:
    """Check what holds on this machine, and say what to do about the rest."""
    from headwater.doctor import examine

    sys.exit(examine(_settings(home, debug=False, server={})))


@cli.command()
@home_option
@click.option("--serve/--no-serve", "keep_serving", default=None, help="Keep serving; default: on a terminal.")
def demo(home: Path | None, keep_serving: bool | None) -> None:
    """Build the flights lakehouse, start every face, and ask three questions over MCP."""
    from headwater.demo import run_demo

    keep = sys.stdout.isatty() if keep_serving is None else keep_serving
    settings = _settings(home, debug=False, server={})
    _configure_logging(settings, level="error")
    asyncio.run(run_demo(settings, keep_serving=keep))


@cli.command(hidden=True)
@click.option("--check", is_flag=True, help="Write nothing; fail when a file differs.")
def generate(check: bool) -> None:
    """Write the files that are derived from the registry."""
    from headwater.generate import generate_all

    sys.exit(generate_all(check=check))


def _settings(home: Path | None, debug: bool, server: dict[str, Any]) -> Any:
    given = {name: value for name, value in server.items() if value is not None}
    overrides: dict[str, Any] = {"server": given} if given else {}
    if debug:
        overrides["telemetry"] = {"log_level": "debug"}
    return read_settings(home, **overrides)


def _configure_logging(settings: Any, level: str = "") -> None:
    from engine.telemetry.logs import configure_logging

    telemetry = settings.telemetry
    configure_logging(telemetry.model_copy(update={"log_level": level}) if level else telemetry)
