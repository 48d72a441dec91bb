"""A model server that replays recorded answers and, given a real one, records what is missing."""

import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from core.errors import PlatformError, Unavailable
from core.settings import EgressSettings
from engine.egress.client import EgressClient
from evals.recordings import Recordings, question_of, stream_of

if TYPE_CHECKING:
    from starlette.applications import Starlette
    from starlette.requests import Request
    from starlette.responses import Response

TIMEOUT_S = 600.0
MAX_ANSWER_KB = 16 * 1024


NOT_RECORDED = {"x-not-recorded": "true"}
"""What tells a caller that the model is fine and only the recording lacks an answer."""


def unsaid(text: str) -> None:
    """The `told` of a server that nobody watches."""


def recorded_app(
    path: Path, upstream: str = "", *, is_near: bool = False, told: Callable[[str], object] = unsaid
) -> "Starlette":
    """Serve `POST /v1/chat/completions` from a file of recordings; `upstream` is the base URL of the real server."""
    from starlette.applications import Starlette
    from starlette.responses import JSONResponse, StreamingResponse
    from starlette.routing import Route

    recordings = Recordings(path, is_near=is_near)
    settings = EgressSettings(
        allowed_private_hosts=[urlsplit(upstream).netloc] if upstream else [],
        timeout_s=TIMEOUT_S,
        max_response_kb=MAX_ANSWER_KB,
    )
    egress = EgressClient(settings)

    async def answer(request: "Request") -> "Response":
        asked: dict[str, Any] = await request.json()
        found = recordings.find(asked)
        if found is None and upstream:
            try:
                found = recordings.add(asked, await _ask(egress, upstream, asked))
            except PlatformError as error:
                return _refused(502, str(error))
        if found is None:
            told(f"Not recorded: {question_of(asked)[:200]}")
            return _refused(404, "This question has not been recorded.", NOT_RECORDED)
        whole = {"id": "recorded", "object": "chat.completion", "created": 0, "model": "recorded", **found}
        if asked.get("stream"):
            return StreamingResponse(stream_of(found), media_type="text/event-stream")
        return JSONResponse(whole)

    @asynccontextmanager
    async def lifespan(app: "Starlette") -> AsyncIterator[None]:
        yield
        await egress.aclose()

    return Starlette(routes=[Route("/v1/chat/completions", answer, methods=["POST"])], lifespan=lifespan)


async def _ask(egress: EgressClient, upstream: str, asked: dict[str, Any]) -> dict[str, Any]:
    body = {name: value for name, value in asked.items() if name not in ("stream", "stream_options")}
    url = f"{upstream.rstrip('/')}/chat/completions"
    answer = await egress.post(url, body=json.dumps(body).encode(), headers={"content-type": "application/json"})
    if answer.status != 200:
        raise Unavailable(f"The model answered with status {answer.status}.")
    said: dict[str, Any] = answer.json()
    return said


def _refused(status: int, message: str, headers: dict[str, str] | None = None) -> "Response":
    from starlette.responses import JSONResponse

    body = {"error": {"message": message, "type": "invalid_request_error"}}
    return JSONResponse(body, status_code=status, headers=headers)
