"""The commands: serving and upkeep here; one more per tool, made from the registry."""

import asyncio
import json
import sys
from collections.abc import Sequence
from difflib import get_close_matches
from math import isnan
from pathlib import Path
from typing import Any

import click

from api.cli import Answer, Execute, Options, call_command, finish, tool_command, usage_error
from core.errors import PlatformError
from core.settings import Settings
from headwater import __version__
from headwater.evaluation_commands import evals
from headwater.gateway_commands import gateway
from headwater.login_commands import login, logout
from headwater.settings import find_home, read_settings
from headwater.tool_index import find_tool, summaries

PORT = click.IntRange(0, 65535)

home_option = click.option(
    "--home", type=click.Path(path_type=Path), envvar="HEADWATER_HOME", help="Folder of all local state [.headwater]."
)


class ToolGroup(click.Group):
    """A group whose commands are those declared here and one per tool; tools are found only when needed."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return [*super().list_commands(ctx), "call", *self._tool_commands()]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        found = super().get_command(ctx, cmd_name)
        if found is not None:
            return found
        if cmd_name == "call":
            return _with_target(call_command(_executor(ctx)))
        tool = find_tool(cmd_name.replace("-", "_"))
        return _with_target(tool_command(tool, _executor(ctx))) if tool else None

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        name = args[0]
        if name.startswith("-") or self.get_command(ctx, name) is not None:
            return super().resolve_command(ctx, args)
        close = get_close_matches(name.replace("_", "-"), self.list_commands(ctx), cutoff=0.7)
        hint = f"Did you mean {' or '.join(close)}?" if close else "`headwater --help` lists every command."
        raise click.UsageError(f"No such command {name!r}. {hint}", ctx)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        tools = {name.replace("_", "-"): summary for name, summary in summaries().items()}
        own = [name for name in self.list_commands(ctx) if name not in tools]
        named = [(name, command) for name in own if (command := self.get_command(ctx, name))]
        width = formatter.width - 6 - max(map(len, own))
        rows = [(name, command.get_short_help_str(width)) for name, command in named if not command.hidden]
        for title, lines in (("Commands", rows), ("Tools (one command each)", sorted(tools.items()))):
            with formatter.section(title):
                formatter.write_dl(lines)

    def main(self, args: Sequence[str] | None = None, *rest: Any, **kwargs: Any) -> Any:
        """Run; a wrong command line with `--json` is told in JSON too."""
        given = sys.argv[1:] if args is None else args
        try:
            return super().main(given, *rest, **{**kwargs, "standalone_mode": False})
        except click.UsageError as error:
            if "--json" in given:
                click.echo(json.dumps({"error": usage_error(error).body("")}), err=True)
            else:
                error.show()
            sys.exit(error.exit_code)
        except click.ClickException as error:
            error.show()
            sys.exit(error.exit_code)
        except click.Abort:
            sys.exit(130)
        except PlatformError as error:
            finish(Answer("", error=error), Options())

    def _tool_commands(self) -> list[str]:
        return sorted(name.replace("_", "-") for name in summaries())


def _executor(ctx: click.Context) -> Execute:
    """How tool commands run, found when one does: `--help` needs no engine."""

    def execute(tool: str, arguments: dict[str, Any], options: Options) -> Answer:
        from headwater.local import executor

        return executor(ctx)(tool, arguments, options)

    return execute


def _with_target(command: click.Command) -> click.Command:
    """Add the options that say where a tool runs: in this process on a home, or on a server."""
    path = click.Path(path_type=Path)
    for name, kind, variable, text in (
        ("home", path, "HEADWATER_HOME", "Run in this process on this home."),
        ("server", click.STRING, "HEADWATER_SERVER_URL", "Run on the server at this REST URL instead."),
        ("token", click.STRING, "HEADWATER_TOKEN", "Act as this token's owner; without one, as the home's owner."),
    ):
        command.params.append(
            click.Option([f"--{name}"], type=kind, envvar=variable, expose_value=False, callback=_remember, help=text)
        )
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
@click.option("--rest-port", "--port", "rest_port", type=PORT, help="Port of REST [8000]; 0 picks a free one.")
@click.option("--grpc-web-port", type=PORT, help="Port of gRPC-Web [8001].")
@click.option("--mcp-port", type=PORT, help="Port of MCP [8002].")
@click.option("--grpc-port", type=PORT, help="Port of gRPC [50051].")
@click.option("--public-url", help="URL under which clients reach this server.")
@click.option("--workers", type=click.IntRange(1, 64), help="Serving processes that share the ports [1].")
@click.option(
    "--data",
    type=click.Path(exists=True, resolve_path=True, path_type=Path),
    help="Serve this folder or file of data too, as the connection `data`.",
)
@click.option("--reload", "is_reloading", is_flag=True, help="Start again when the source changes.")
@click.option("--daemon", "is_daemon", is_flag=True, help="Run in the background; `headwater stop` ends it.")
@click.option("--debug", "is_verbose", is_flag=True, help="Verbose logs.")
@click.option("--child-of", type=int, default=0, hidden=True)
def serve(home: Path | None, data: Path | None, **options: Any) -> None:
    """Start every face: REST, gRPC, gRPC-Web and MCP. Runs jobs too."""
    from headwater.running import check_ports
    from headwater.workers import Supervisor, reload_on_change, start_daemon

    is_reloading, is_daemon = options.pop("is_reloading"), options.pop("is_daemon")
    parent, is_verbose = options.pop("child_of"), options.pop("is_verbose")
    if is_reloading and is_daemon:
        raise click.UsageError("--reload and --daemon exclude one another.")
    if data is not None:
        from headwater.data_option import allow_data

        allow_data(find_home(home), data)
    settings = _settings(home, is_verbose=is_verbose, **options)
    arguments = [item for item in sys.argv[2:] if item not in ("--daemon", "--reload")]
    if is_daemon:
        server = start_daemon(settings.home, arguments)
        click.echo(f"Serving in the background: {server}. `headwater stop --home {settings.home}` ends it.")
    elif is_reloading:
        reload_on_change(arguments)
    else:
        _configure_logging(settings)
        if not parent:
            check_ports(settings)
        if settings.server.workers > 1 and not parent:
            sys.exit(Supervisor(settings, arguments).run())
        from headwater.announce import announce  # here: a process that only starts others stays small
        from headwater.loops import run_fast
        from headwater.serve import run_until_stopped

        run_fast(run_until_stopped(settings, announce, data=data, parent=parent))


@cli.command()
@home_option
def stop(home: Path | None) -> None:
    """Stop the server that runs on a home."""
    from headwater.workers import stop_servers

    folder = find_home(home)
    stopped = stop_servers(folder)
    click.echo("\n".join(f"Stopped: {server}." for server in stopped) or f"No server runs on {folder}.")


@cli.command()
@home_option
@click.option("--concurrency", type=click.IntRange(1, 64), default=2, show_default=True, help="Jobs at a time.")
def worker(home: Path | None, concurrency: int) -> None:
    """Run durable jobs and schedules until stopped."""
    from headwater.local import run_worker

    settings = _settings(home)
    _configure_logging(settings)
    asyncio.run(run_worker(settings, concurrency))


@cli.command()
@home_option
@click.option("--listen", help="host:port or unix:PATH to listen on [unix:HOME/edge/edge.sock].")
@click.option("--network/--no-network", default=True, show_default=True, help="Reach databases over the network.")
def edge(home: Path | None, listen: str | None, network: bool) -> None:
    """Run a data plane by itself, near the data; servers reach it by edge.url."""
    from headwater.edge.standing import run_edge

    settings = _settings(home)
    _configure_logging(settings)
    sys.exit(run_edge(settings, listen or f"unix:{settings.home / 'edge' / 'edge.sock'}", has_network=network))


@cli.command()
@home_option
@click.option("--token", envvar="HEADWATER_TOKEN", help="Act as this token's owner; without one, as the home's owner.")
def mcp(home: Path | None, token: str | None) -> None:
    """Serve MCP over standard input and output, for a desktop client."""
    from headwater.local import run_stdio

    settings = _settings(home)
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

    if isnan(hours):  # which no range keeps out
        raise click.BadParameter("is not a number", param_hint="--hours")
    click.echo(asyncio.run(mint_token(_settings(home), role, tenant, hours * 3600)))


cli.add_command(gateway)
cli.add_command(login)
cli.add_command(logout)
cli.add_command(evals)


@cli.group()
def db() -> None:
    """The platform's database."""


@db.command("upgrade")
@home_option
def db_upgrade(home: Path | None) -> None:
    """Bring the store's schema up to date."""
    from headwater.upkeep import upgrade_store

    click.echo(upgrade_store(_settings(home)))


@cli.command("audit-export")
@click.argument("target", type=click.Path(path_type=Path), required=False)
@home_option
@click.option("--token", envvar="HEADWATER_TOKEN", help="Act as this token's owner; without one, as the home's owner.")
@click.option("--since", help="Calls from then on, for example 2026-11-01T00:00:00Z.")
@click.option("--until", help="Calls before then.")
@click.option("--decision", type=click.Choice(["allowed", "refused", "failed"]), help="Only calls that ended so.")
def audit_export(target: Path | None, home: Path | None, token: str | None, **wanted: str | None) -> None:
    """Write the audit log into TARGET as JSON lines, newest first; to standard output without one."""
    from headwater.audit_export import export_audit

    given = {name: value for name, value in wanted.items() if value is not None}
    count = asyncio.run(export_audit(_settings(home), target, token, given))
    click.echo(f"{count:,} calls.", err=True)


@cli.command("apply")
@click.option("-f", "--file", "path", type=click.Path(exists=True, path_type=Path), required=True, help="The file.")
@click.option("--plan", "mode", flag_value="plan", help="Show what would be done, and nothing more; 2 when not empty.")
@click.option("--yes", "mode", flag_value="yes", help="Apply without asking.")
@click.option("--prune", is_flag=True, help="Delete what is there and not in a section of the file.")
@home_option
@click.option("--server", envvar="HEADWATER_SERVER_URL", help="Of the server at this REST URL instead.")
@click.option("--token", envvar="HEADWATER_TOKEN", help="Act as this token's owner; without one, as the home's owner.")
def apply_file(path: Path, mode: str | None, prune: bool, home: Path | None, **there: str | None) -> None:
    """Bring a tenant to what a YAML file says: people, connections, policies, metrics, agents, limits."""
    from headwater.declared.apply import apply

    server, token = there["server"], there["token"]
    code = asyncio.run(apply(_settings(home), path, server=server, token=token, prune=prune, mode=mode or "ask"))
    sys.exit(code)


@cli.command("export")
@home_option
@click.option("--server", envvar="HEADWATER_SERVER_URL", help="Of the server at this REST URL instead.")
@click.option("--token", envvar="HEADWATER_TOKEN", help="Act as this token's owner; without one, as the home's owner.")
def export_file(home: Path | None, server: str | None, token: str | None) -> None:
    """Print the YAML file that `apply` takes, as the tenant is now; without secrets."""
    from headwater.declared.apply import asking, export

    async def work() -> str:
        async with asking(_settings(home), server, token) as ask:
            return await export(ask)

    click.echo(asyncio.run(work()), nl=False)


@cli.group()
def keys() -> None:
    """The keys that everything is sealed and signed with."""


@keys.command("rotate")
@home_option
@click.option("--signing", "is_signing", is_flag=True, help="Of tokens instead; servers may run.")
@click.option("--tenant", help="A tenant's data key instead; servers may run.")
def keys_rotate(home: Path | None, is_signing: bool, tenant: str | None) -> None:
    """Put a new root key in the place of the present one. Ends an interrupted rotation too."""
    from headwater.keys import rotate_root, rotate_signing, rotate_tenant

    if is_signing and tenant:
        raise click.UsageError("--signing and --tenant exclude one another.")
    settings = _settings(home)
    if tenant:
        click.echo(rotate_tenant(settings, tenant))
    else:
        click.echo(rotate_signing(settings) if is_signing else rotate_root(settings))


@cli.command()
@click.argument("target", type=click.Path(path_type=Path))
@home_option
@click.option("--force", is_flag=True, help="Replace TARGET when it exists.")
def backup(target: Path, home: Path | None, force: bool) -> None:
    """Copy a home's platform state into the archive TARGET. Safe while serving."""
    from headwater.upkeep import back_up

    click.echo(back_up(_settings(home), target, force=force))


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
    """Check what holds on this machine, and say what to do."""
    from headwater.doctor import examine

    sys.exit(examine(_settings(home)))


@cli.command()
@home_option
@click.option("--serve/--no-serve", "keep_serving", default=None, help="Keep serving; default: on a terminal.")
def demo(home: Path | None, keep_serving: bool | None) -> None:
    """Load real flights, start every face, ask questions, tend a table, call agents of others."""
    from headwater.demo import run_demo

    keep = sys.stdout.isatty() if keep_serving is None else keep_serving
    settings = _settings(home)
    _configure_logging(settings, level="error")
    asyncio.run(run_demo(settings, keep_serving=keep))


@cli.command(hidden=True)
@click.option("--check", is_flag=True, help="Write nothing; fail when a file differs.")
def generate(check: bool) -> None:
    """Write the files that are derived from the registry."""
    from headwater.generate import generate_all

    sys.exit(generate_all(check=check))


def _settings(home: Path | None, *, is_verbose: bool = False, **server: Any) -> Settings:
    given = {name: value for name, value in server.items() if value is not None}
    overrides: dict[str, Any] = {"server": given} if given else {}
    if is_verbose:
        overrides["telemetry"] = {"log_level": "debug"}
    return read_settings(home, **overrides)


def _configure_logging(settings: Settings, level: str = "") -> None:
    from engine.telemetry.logs import configure_logging

    telemetry = settings.telemetry
    configure_logging(telemetry.model_copy(update={"log_level": level}) if level else telemetry)
