"""The two sample agents of `examples/agents`, each on a free port: `python -m bench._agents a2a|mcp`."""

import json
import socket
import sys

import uvicorn

from examples.agents import a2a_agent, mcp_tools


def main(which: str) -> None:
    """Serve until the process that asked for it ends this one."""
    opened = socket.create_server(("127.0.0.1", 0))
    url = f"http://127.0.0.1:{opened.getsockname()[1]}"
    app = a2a_agent.app(url) if which == "a2a" else mcp_tools.app()
    print(json.dumps({"url": url if which == "a2a" else f"{url}/mcp"}), flush=True)
    uvicorn.Server(uvicorn.Config(app, log_level="error", access_log=False)).run(sockets=[opened])


if __name__ == "__main__":
    main(sys.argv[1])
