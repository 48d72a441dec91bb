"""What `serve` and `demo` tell the person who started them: addresses, and how to connect."""

import json
import shutil
import sys
from pathlib import Path

from rich.console import Console

from headwater.build import Platform
from headwater.listeners import Ports

SAMPLE_SQL = "SELECT carrier, count(*) AS flights FROM flights.flights GROUP BY carrier ORDER BY flights DESC"


def announce(platform: Platform, ports: Ports) -> None:
    """Print where each face listens and how to get a token."""
    console = Console(stderr=True, highlight=False)
    host = platform.settings.server.host
    scheme = "https" if platform.settings.server.tls_cert else "http"
    console.print("[bold]Headwater is ready[/bold]")
    console.print(f"  REST      {scheme}://{host}:{ports.rest}/v1   (docs at /docs)")
    console.print(f"  MCP       {scheme}://{host}:{ports.mcp}/mcp")
    console.print(f"  gRPC      {host}:{ports.grpc}")
    console.print(f"  gRPC-Web  {scheme}://{host}:{ports.grpc_web}")
    console.print(f"  metrics   http://127.0.0.1:{ports.admin}/metrics")
    for line in platform.first_start:
        console.print(f"  [green]{line}[/green]")
    console.print(f"  a token:  {command()} token --home {platform.settings.home} --role viewer")


def command() -> str:
    """How this person can call `headwater` again: by name where it is on the path, else by full path."""
    return "headwater" if shutil.which("headwater") else str(Path(sys.argv[0]).absolute())


def connect_lines(platform: Platform, ports: Ports) -> list[tuple[str, str]]:
    """Title and exact text to paste, one for each kind of client; the first line sets the token."""
    host = platform.settings.server.host
    mcp, rest = f"http://{host}:{ports.mcp}/mcp", f"http://{host}:{ports.rest}"
    home = platform.settings.home
    stdio = {"command": str(_executable()), "args": ["mcp", "--home", str(home)]}
    return [
        ("A token (a viewer's, for two hours)", f"TOKEN=$({_executable()} token --role viewer --home {home})"),
        (
            "Claude Desktop (Settings > Developer > Edit Config)",
            json.dumps({"mcpServers": {"headwater": stdio}}, indent=2),
        ),
        (
            "Claude Code",
            f'claude mcp add --transport http headwater {mcp} --header "Authorization: Bearer $TOKEN"',
        ),
        (
            "ChatGPT (Settings > Connectors > Advanced > Developer mode > Create)",
            "MCP server URL: https://YOUR-PUBLIC-HOST/mcp   (ChatGPT needs a public https address: start with\n"
            f"`{command()} serve --public-url https://YOUR-PUBLIC-HOST` behind a TLS proxy to port {ports.mcp})",
        ),
        (
            "MCP Inspector",
            f"npx @modelcontextprotocol/inspector --cli {mcp} --transport http "
            '--header "Authorization: Bearer $TOKEN" --method tools/list',
        ),
        (
            "curl",
            f'curl -s {rest}/v1/query/execute -H "Authorization: Bearer $TOKEN" '
            f"-H 'Content-Type: application/json' -d '{json.dumps({'sql': SAMPLE_SQL})}'",
        ),
    ]


def _executable() -> Path:
    found = shutil.which("headwater")
    beside = Path(sys.executable).parent / "headwater"
    return Path(found) if found and not beside.exists() else beside
