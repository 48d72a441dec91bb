"""What `serve` and `demo` tell the person who started them: addresses, and how to connect."""

import json
import shutil
import sys
from pathlib import Path

from rich.console import Console

from core.settings import ServerSettings
from headwater.build import Platform
from headwater.listeners import LOOPBACK, Ports

SAMPLE_SQL = "SELECT carrier, count(*) AS flights FROM flights.flights GROUP BY carrier ORDER BY flights DESC"


def announce(platform: Platform, ports: Ports) -> None:
    """Print where each face listens and how to get a token."""
    console = Console(stderr=True, highlight=False, soft_wrap=True)
    server = platform.settings.server
    lines = [
        f"  REST      {url(server, ports.rest)}/v1   (docs at /docs)",
        f"  MCP       {url(server, ports.mcp)}/mcp",
        f"  gRPC      {url(server, ports.grpc).partition('//')[2]}",
        f"  gRPC-Web  {url(server, ports.grpc_web)}",
        f"  metrics   http://{LOOPBACK}:{ports.admin}/metrics",
        *(f"  {line}" for line in platform.first_start),
        f"  a token:  {command()} token --role viewer --home {platform.settings.home}",
    ]
    console.print("[bold]Headwater is ready[/bold]")
    console.print("\n".join(lines), markup=False)


def url(server: ServerSettings, port: int) -> str:
    """Where a face is reached on this machine."""
    scheme = "https" if server.tls_cert else "http"
    return f"{scheme}://[{server.host}]:{port}" if ":" in server.host else f"{scheme}://{server.host}:{port}"


def command() -> str:
    """How this person can call `headwater` again: by name where it is on the path, else by full path."""
    return "headwater" if shutil.which("headwater") else _executable()


def connect_lines(platform: Platform, ports: Ports) -> list[tuple[str, str]]:
    """Title and exact text to paste, one for each kind of client; the first line sets the token."""
    server, home = platform.settings.server, platform.settings.home
    mcp, rest = f"{url(server, ports.mcp)}/mcp", url(server, ports.rest)
    stdio = {"command": _executable(), "args": ["mcp", "--home", str(home)]}
    return [
        ("A token (a viewer's, for two hours)", f"TOKEN=$({command()} token --role viewer --home {home})"),
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
            "MCP server URL: https://YOUR-PUBLIC-HOST/mcp   (ChatGPT needs a public https address:\n"
            f"put a TLS proxy before port {ports.mcp} and start Headwater with\n"
            f"`{command()} serve --public-url https://YOUR-PUBLIC-HOST`)",
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


def _executable() -> str:
    """The full path: desktop clients start programs without the shell's PATH."""
    beside = Path(sys.executable).parent / "headwater"
    return str(beside) if beside.exists() else shutil.which("headwater") or f"{sys.executable} -m headwater"
