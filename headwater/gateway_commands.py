"""The command that serves agents of others alone."""

from pathlib import Path
from typing import Any

import click

PORT = click.IntRange(0, 65535)


@click.command()
@click.option(
    "--home", type=click.Path(path_type=Path), envvar="HEADWATER_HOME", help="Folder of all local state [.headwater]."
)
@click.option("--host", help="Address to listen on [127.0.0.1].")
@click.option("--port", "mcp_port", type=PORT, help="Port of it all [8002, that of MCP]; 0 picks a free one.")
@click.option("--public-url", help="URL under which clients reach it.")
def gateway(home: Path | None, **options: Any) -> None:
    """Serve the addresses of registered agents alone, in a small process beside servers of the same store."""
    from engine.telemetry.logs import configure_logging
    from headwater.gateway import run_gateway
    from headwater.loops import run_fast
    from headwater.settings import read_settings

    given = {name: value for name, value in options.items() if value is not None}
    settings = read_settings(home, **({"server": given} if given else {}))
    configure_logging(settings.telemetry)
    run_fast(run_gateway(settings, click.echo))
