"""Recorded answers: a real model server behind, and the same answers without it."""

import json
from pathlib import Path
from typing import Any

import httpx
import pytest
from click.testing import CliRunner

from core.errors import Conflict
from evals.recordings import Recordings
from headwater.evaluation_commands import evals
from headwater.recorded_model import recorded_app
from tests.fakes.model_server import ModelServer, Reply

HELLO = {"model": "any", "messages": [{"role": "user", "content": "Hello?"}], "temperature": 0}


async def asked(path: Path, upstream: str, body: dict[str, Any]) -> httpx.Response:
    app = recorded_app(path, upstream)
    client = httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://recorded")
    async with app.router.lifespan_context(app), client:
        return await client.post("/v1/chat/completions", json=body)


async def test_what_was_asked_once_is_answered_without_the_model(tmp_path: Path) -> None:
    path = tmp_path / "answers.jsonl"
    with ModelServer([Reply("Good day.", prompt_tokens=7)]) as server:
        first = (await asked(path, server.url, HELLO)).json()
        again = (await asked(path, server.url, {**HELLO, "model": "another name"})).json()
        assert len(server.requests) == 1
    later = (await asked(path, "", HELLO)).json()
    assert first == again == later
    assert (later["choices"][0]["message"]["content"], later["usage"]["prompt_tokens"]) == ("Good day.", 7)


async def test_a_stream_says_the_same(tmp_path: Path) -> None:
    with ModelServer([Reply("Good day.")]) as server:
        streamed = await asked(tmp_path / "answers.jsonl", server.url, {**HELLO, "stream": True})
    lines = [line.removeprefix("data: ") for line in streamed.text.splitlines() if line]
    assert lines[-1] == "[DONE]"
    parts = [json.loads(line) for line in lines[:-1]]
    assert "".join(choice["delta"].get("content") or "" for part in parts for choice in part["choices"]) == "Good day."


async def test_what_was_not_recorded_is_not_invented(tmp_path: Path) -> None:
    refused = await asked(tmp_path / "answers.jsonl", "", HELLO)
    assert (refused.status_code, refused.json()["error"]["message"]) == (404, "This question has not been recorded.")


async def test_a_question_is_found_under_another_schema_only_where_that_is_wished(tmp_path: Path) -> None:
    def about(schema: str, question: str) -> dict[str, Any]:
        said = [("system", f"You write SQL.\n{schema}"), ("user", f"Today is a day.\nQuestion: {question}")]
        return {"messages": [{"role": role, "content": content} for role, content in said]}

    path = tmp_path / "answers.jsonl"
    Recordings(path).add(about("orders(id)", "How many?"), {"choices": [], "usage": {"total_tokens": 7}})
    changed = about("orders(id, day)", "How many?")
    assert Recordings(path).find(changed) is None
    near = Recordings(path, is_near=True)
    assert near.find(changed) == {"choices": [], "usage": {"total_tokens": 7}}
    assert near.find(about("orders(id)", "How much?")) is None


def test_a_replay_of_nothing_is_refused(tmp_path: Path) -> None:
    refused = CliRunner().invoke(evals, ["replay", str(tmp_path / "none.jsonl")])
    assert refused.exit_code == 2 and "--of makes them" in refused.output


async def test_failures_of_the_model_are_not_recorded(tmp_path: Path) -> None:
    path = tmp_path / "answers.jsonl"
    with ModelServer([Reply(status=500)]) as server:
        assert (await asked(path, server.url, HELLO)).status_code == 502
    assert (await asked(path, "http://127.0.0.1:9/v1", HELLO)).status_code == 502
    assert len(Recordings(path)) == 0


def test_a_broken_line_is_named(tmp_path: Path) -> None:
    (tmp_path / "answers.jsonl").write_text('{"asked": "a", "answer": {}}\n{"asked"\n')
    with pytest.raises(Conflict, match="Line 2"):
        Recordings(tmp_path / "answers.jsonl")
