"""REST against bare FastAPI: server CPU per request for the same payloads, same uvicorn, client in another process.

Ours is the whole way: guards, routes, gate, audit to memory. Bare is FastAPI with the same models and
no authentication. `python -m bench.rest` prints the ratio; the budget is 2."""

import asyncio
import json
import subprocess
import sys
import time
from typing import Any

from pydantic import create_model

from core.portable import Model
from tests.fakes import sample_tools as sample

CONNECTIONS = 8
REQUESTS = 4_000
ROUNDS = 3
BUDGET = 2.0
ECHO = {"text": "hello", "count": 3, "tags": ["a", "b"], "parts": [{"name": "p", "weight": 1.5}], "labels": {"k": "v"}}
CASES: dict[str, tuple[str, str, object]] = {
    "GET, one object": ("GET", "/v1/things/t1", None),
    "POST, 14 fields": ("POST", "/v1/things/t1/echo", ECHO),
    "POST, 1,000 rows": ("POST", "/v1/things/rows", {"count": 1000}),
}


FIELDS: dict[str, Any] = {
    name: (info.annotation, info) for name, info in sample.EchoThing.model_fields.items() if name != "thing_id"
}
EchoBody: Any = create_model("EchoBody", __base__=Model, **FIELDS)


def bare_app() -> Any:
    from fastapi import FastAPI

    app = FastAPI()

    @app.get("/v1/things/{thing_id}")
    async def get_thing(thing_id: str, verbose: bool = False) -> sample.Thing:
        return await sample.get_thing(None, sample.GetThing(thing_id=thing_id, verbose=verbose))  # type: ignore[arg-type]

    @app.post("/v1/things/{thing_id}/echo")
    async def echo_thing(thing_id: str, request: EchoBody) -> sample.EchoThing:
        return sample.EchoThing(thing_id=thing_id, **dict(request))

    @app.post("/v1/things/rows")
    async def list_rows(request: sample.RowsRequest) -> sample.RowsResult:
        return await sample.list_rows(None, request)  # type: ignore[arg-type]

    return app


def our_app() -> Any:
    from api.rest import rest_app
    from core.settings import ServerSettings
    from tests.api.rest.serving import OneClient
    from tests.fakes.gate import sample_dispatcher

    dispatcher, _ = sample_dispatcher()
    return rest_app(dispatcher, settings=ServerSettings(), auth=OneClient(), version="0")


async def answer_cpu(scope: Any, receive: Any, send: Any) -> None:
    """The process's CPU seconds so far, beside the app under test."""
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"20")]})
    await send({"type": "http.response.body", "body": f"{time.process_time():020.9f}".encode()})


def serve(which: str) -> None:
    import socket

    import uvicorn

    app = our_app() if which == "ours" else bare_app()

    async def with_cpu(scope: Any, receive: Any, send: Any) -> None:
        await (answer_cpu if scope["path"] == "/cpu" else app)(scope, receive, send)

    listener = socket.create_server(("127.0.0.1", 0))
    print(listener.getsockname()[1], flush=True)
    config = uvicorn.Config(with_cpu, log_level="warning", access_log=False, lifespan="off")
    uvicorn.Server(config).run(sockets=[listener])


def request_bytes(method: str, path: str, body: object) -> bytes:
    content = b"" if body is None else json.dumps(body).encode()
    kind = b"" if body is None else b"Content-Type: application/json\r\nContent-Length: %d\r\n" % len(content)
    line = f"{method} {path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer admin-token\r\n".encode()
    return line + b"Accept: */*\r\nUser-Agent: bench\r\n" + kind + b"\r\n" + content


async def ask(port: int, request: bytes, times: int) -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=2**22)
    body = b""
    for _ in range(times):
        writer.write(request)
        head = await reader.readuntil(b"\r\n\r\n")
        if not head.startswith(b"HTTP/1.1 200"):
            raise SystemExit(f"the server answered {head!r}")
        length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r")[0])
        body = await reader.readexactly(length)
    writer.close()
    return body


async def cpu_s(port: int) -> float:
    return float(await ask(port, request_bytes("GET", "/cpu", None), 1))


async def cost_us(port: int, request: bytes, times: int) -> float:
    before = await cpu_s(port)
    await asyncio.gather(*(ask(port, request, times // CONNECTIONS) for _ in range(CONNECTIONS)))
    return (await cpu_s(port) - before) / times * 1e6


async def compare(ports: dict[str, int]) -> bool:
    is_within = True
    for name, case in CASES.items():
        request, times = request_bytes(*case), REQUESTS // (8 if "rows" in name else 1)
        best = dict.fromkeys(ports, float("inf"))
        for number in range(ROUNDS + 1):
            for which, port in ports.items():
                cost = await cost_us(port, request, times)
                best[which] = min(best[which], cost) if number else best[which]
        ratio = best["ours"] / best["bare"]
        is_within &= ratio <= BUDGET
        print(
            f"{name:18} ours {best['ours']:8.1f} us  bare {best['bare']:8.1f} us  ratio {ratio:.2f} (budget {BUDGET:g})"
        )
    return is_within


def main() -> int:
    servers = {
        which: subprocess.Popen([sys.executable, "-m", "bench.rest", which], stdout=subprocess.PIPE, text=True)
        for which in ("ours", "bare")
    }
    try:
        ports = {which: int(server.stdout.readline()) for which, server in servers.items() if server.stdout}
        time.sleep(1.0)
        return 0 if asyncio.run(compare(ports)) else 1
    finally:
        for server in servers.values():
            server.terminate()
            server.wait()


if __name__ == "__main__":
    if len(sys.argv) > 1:
        serve(sys.argv[1])
    else:
        sys.exit(main())
