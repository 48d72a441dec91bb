"""REST beside bare FastAPI: CPU of the serving process per request, for the same payloads.

Ours is `headwater serve` as it is: guards, routes, gate with real identity, limits and audit, and what
the process does beside. Bare is FastAPI with the same models in uvicorn as it comes, and no
authentication. The client is in a process of its own."""

import asyncio
import json
import socket
import sys
from typing import Any

from pydantic import create_model

from bench import _tools as sample
from bench._measure import Process, compare
from core.portable import Model

CONNECTIONS = 8
REQUESTS = 2_000
ROUNDS = 7
BUDGET = 2.0
ECHO = {"text": "hello", "count": 3, "tags": ["a", "b"], "parts": [{"name": "p", "weight": 1.5}], "labels": {"k": "v"}}
CASES: dict[str, tuple[str, str, object]] = {
    "GET, one object": ("GET", "/v1/bench/items/i1", None),
    "POST, 14 fields": ("POST", "/v1/bench/items/i1/echo", ECHO),
    "POST, 1,000 rows": ("POST", "/v1/bench/rows", {"count": 1000}),
}


def bare_app() -> Any:
    from fastapi import FastAPI

    app = FastAPI()
    fields: dict[str, Any] = {
        name: (info.annotation, info) for name, info in sample.EchoItem.model_fields.items() if name != "item_id"
    }
    body: Any = create_model("EchoBody", __base__=Model, **fields)

    @app.get("/v1/bench/items/{item_id}")
    async def get_item(item_id: str, is_full: bool = False) -> sample.Item:
        return sample.Item(item_id=item_id, name="an item", made_at=sample.MADE_AT)

    @app.post("/v1/bench/items/{item_id}/echo")
    async def echo_item(item_id: str, request: body) -> sample.EchoItem:
        return sample.EchoItem(item_id=item_id, **dict(request))

    @app.post("/v1/bench/rows")
    async def list_item_rows(request: sample.ListItemRows) -> sample.ItemRows:
        return sample.item_rows(request.count)

    return app


def serve_bare() -> None:
    import uvicorn

    listener = socket.create_server(("127.0.0.1", 0))
    print(json.dumps({"rest": listener.getsockname()[1]}), flush=True)
    config = uvicorn.Config(bare_app(), log_level="warning", access_log=False, lifespan="off")
    uvicorn.Server(config).run(sockets=[listener])


def request_bytes(method: str, path: str, body: object, token: str) -> bytes:
    content = b"" if body is None else json.dumps(body).encode()
    kind = b"" if body is None else b"Content-Type: application/json\r\nContent-Length: %d\r\n" % len(content)
    line = f"{method} {path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {token}\r\n".encode()
    return line + b"Accept: */*\r\nUser-Agent: bench\r\n" + kind + b"\r\n" + content


async def ask(port: int, request: bytes, times: int) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=2**22)
    for _ in range(times):
        writer.write(request)
        head = await reader.readuntil(b"\r\n\r\n")
        if not head.startswith(b"HTTP/1.1 200"):
            raise SystemExit(f"the server answered {head!r}")
        await reader.readexactly(int(head.lower().partition(b"content-length: ")[2].partition(b"\r")[0]))
    writer.close()


async def cost_us(server: Process, case: tuple[str, str, object], token: str, times: int) -> float:
    request = request_bytes(*case, token)
    before = server.cpu_s()
    await asyncio.gather(*(ask(server.facts["rest"], request, times // CONNECTIONS) for _ in range(CONNECTIONS)))
    return (server.cpu_s() - before) / times * 1e6


async def main() -> None:
    with Process("bench._server", "tools") as ours, Process("bench.rest", "bare") as bare:
        for name, case in CASES.items():
            times = REQUESTS // (8 if "rows" in name else 1)
            token = ours.facts["token"]  # the same request for both
            rounds = [
                (await cost_us(ours, case, token, times), await cost_us(bare, case, token, times))
                for _ in range(ROUNDS + 1)
            ]
            compare(f"{name}: server CPU, beside bare FastAPI", "us", rounds[1:], BUDGET)


if __name__ == "__main__":
    serve_bare() if sys.argv[1:] == ["bare"] else asyncio.run(main())
