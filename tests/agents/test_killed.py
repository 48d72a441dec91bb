"""kill -9 of a real server while a model is asked: workflows go on where they stood, talks say that they failed."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.fakes.model_server import Asked, ModelServer, Reply
from tests.fixtures_postgres import PostgresServer, postgres, postgres_database
from tests.headwater.processes import Server, finished, headwater, serve, until

__all__ = ["postgres", "postgres_database"]
pytestmark = pytest.mark.slow
MODELS = '{{models: [{{name: twin, model: openai/twin, api_base: "{url}", timeout_s: 60}}], default: twin}}'
ASK = "which share of turnover is lost by moonlight deals"  # the planner leaves it to a model
SQL = {"tables": [], "sql": "SELECT region, sum(amount) AS total FROM orders GROUP BY region ORDER BY region"}
PLANS, WRITES = "plan_query", "generate_sql"  # the nodes before and at which the model is asked
CALL = {"action": "call", "tool": "execute_query", "arguments": {"sql": "SELECT 1 AS n"}, "text": ""}
ANSWER = {"action": "answer", "tool": "", "arguments": {}, "text": "Here you are."}
LEASE = {"HEADWATER_JOBS__LEASE_S": "3"}


@dataclass
class House:
    """A home with a model, and servers on it one after the other."""

    home: Path
    data: Path
    model: ModelServer
    environment: dict[str, str]

    def is_told(self, text: str) -> bool:
        """Whether the model has read this."""
        return any(text in asked.prompt for asked in self.model.requests)

    @contextmanager
    def open(self) -> Iterator["Door"]:
        server = serve(self.home, "--data", str(self.data), **self.environment)
        try:
            said = headwater("token", "--home", str(self.home), "--role", "admin", **self.environment)
            yield Door(server, said.out.strip())
        finally:
            server.process.kill()
            finished(server.process)


@dataclass
class Door:
    """A person at a server."""

    server: Server
    token: str

    def client(self, **headers: str) -> httpx.Client:
        given = {"authorization": f"Bearer {self.token}", **headers}
        return httpx.Client(base_url=self.server.url, headers=given, timeout=60, trust_env=False)

    def post(self, path: str, **body: Any) -> Any:
        with self.client() as client:
            answer = client.post(path, json=body)
            assert answer.status_code == 200, answer.text
            return answer.json()

    def get(self, path: str) -> Any:
        with self.client() as client:
            return client.get(path).json()

    def stream(self, heard: list[tuple[int, str, Any]], last: int = 0, **body: Any) -> None:
        """Events as they come, kept in `heard`: number, name and data."""
        more = {"last-event-id": str(last)} if last else {}
        with (
            self.client(accept="text/event-stream", **more) as client,
            client.stream("POST", "/workflows/run", json=body) as answer,
        ):
            event: dict[str, str] = {}
            for line in answer.iter_lines():
                if line:
                    name, _, value = line.partition(": ")
                    event[name] = value
                elif "id" in event:
                    heard.append((int(event["id"]), event["event"], json.loads(event["data"])))
                    event = {}


@pytest.fixture(params=["sqlite", "postgresql"])
def house(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[House]:
    data = tmp_path / "data"
    data.mkdir()
    (data / "orders.csv").write_text("id,region,amount\n1,eu,10\n2,us,20\n3,eu,5\n")
    home = tmp_path / "home"
    home.mkdir()
    environment = dict(LEASE)
    if request.param == "postgresql":
        server: PostgresServer = request.getfixturevalue("postgres")
        environment["HEADWATER_STORE__URL"] = server.url(request.getfixturevalue("postgres_database"))
    with ModelServer() as model:
        (home / "models.yml").write_text(MODELS.format(url=model.url))
        yield House(home, data, model, environment)


def say(asked: Asked) -> Any:
    wanted = asked.body["response_format"]["json_schema"]["schema"]["properties"]
    if "action" in wanted:
        return ANSWER
    return SQL if "sql" in wanted else {"missing": "all of it"}


def asking(task_id: str, **more: Any) -> dict[str, Any]:
    given = {"task": ASK, "workflow": "reflection", "namespace": "data", "ext_knowledge": ASK}
    return {**given, "task_id": task_id, **more}


def test_a_kill_in_the_middle_loses_no_workflow_and_leaves_no_talk_open(house: House) -> None:
    heard: list[tuple[int, str, Any]] = []
    with house.open() as door:
        house.model.play(say)
        whole = door.post("/workflows/run", **asking("whole"))
        assert (whole["status"], whole["path"]) == ("completed", "model"), whole["why"]
        asked = len(house.model.requests)
        house.model.play(lambda asked: CALL if asked.question == "Well?" else Reply("late", delay_s=60))
        works = [
            lambda: door.post("/workflows/run", **asking("sync")),
            lambda: door.stream(heard, **asking("told", mode="async")),
            lambda: door.post("/v1/agent/chat", prompt="Well?", session_id="s1"),
        ]
        threads = [threading.Thread(target=_until_gone, args=(work,)) for work in works]
        for thread in threads:
            thread.start()
        assert until(lambda: house.is_told("Result of execute_query") and _node(heard) == WRITES)
        assert until(lambda: PLANS in [step["node"] for step in door.get("/workflows/sync")["steps"]])
        assert door.get("/workflows/sync")["status"] == "running"
        door.server.process.kill()
        for thread in threads:
            thread.join(20)
    house.model.play(say)
    with house.open() as door:
        assert until(lambda: door.get("/workflows/sync")["status"] == "interrupted", within_s=10)
        again = door.post("/workflows/run", **asking("sync"))
        assert _facts(again) == _facts(whole) and len(house.model.requests) == asked
        assert door.post("/workflows/run", **asking("sync")) == again  # and it is not run twice
        assert len(house.model.requests) == asked
        before = list(heard)
        door.stream(heard, before[-1][0], **asking("told", mode="async"))
        assert [number for number, *_ in heard] == list(range(1, len(heard) + 1))
        names = [name for _, name, _ in heard]
        assert before[-1][1] == "node_progress" and names[-1] == "done" and names.count("started") == 1
        linked = [data for _, name, data in heard if name == "node_detail" and data["node"] == "schema_linking"]
        assert len(linked) == 1
        assert heard[-2][1] == "output_ready" and heard[-2][2]["result"] == whole["result"]
        _check_talk(door)


def test_whoever_comes_back_at_once_waits_for_the_lease_and_hears_each_event_once(house: House) -> None:
    heard: list[tuple[int, str, Any]] = []
    with house.open() as door:
        house.model.play(lambda asked: Reply("late", delay_s=60))
        thread = threading.Thread(target=_until_gone, args=(lambda: door.stream(heard, **asking("t", mode="async")),))
        thread.start()
        assert until(lambda: house.model.requests and _node(heard) == WRITES)
        door.server.process.kill()
        thread.join(20)
    house.model.play(say)
    with house.open() as door:
        two: list[list[tuple[int, str, Any]]] = [[], []]
        body = asking("t", mode="async")
        both = [threading.Thread(target=door.stream, args=(each, heard[-1][0]), kwargs=body) for each in two]
        for thread in both:
            thread.start()
        for thread in both:
            thread.join(60)
        for each in two:
            assert [number for number, *_ in heard + each] == list(range(1, len(heard) + len(each) + 1))
        assert two[0] == two[1] and [name for _, name, _ in two[0]].count("done") == 1


def _check_talk(door: Door) -> None:
    listed = door.get("/v1/agents/chat/runs?session_id=s1")["runs"]
    assert [(run["status"], run["error"]["code"]) for run in listed] == [("failed", "UNAVAILABLE")]
    assert listed[0]["usage"]["total_tokens"] > 0  # of the call before the one in which it was killed
    assert listed[0]["finished_at"] and "Ask again" in listed[0]["error"]["hint"]
    assert door.get("/v1/agents/chat/runs?status=running")["runs"] == []
    told = door.post("/v1/agent/chat", prompt="Well?", session_id="s1")
    assert (told["status"], told["response"]) == ("completed", "Here you are.")


def _node(heard: list[tuple[int, str, Any]]) -> str:
    """The node that a stream is at."""
    return next((str(data["node"]) for _, _, data in reversed(heard) if "node" in data), "")


def _facts(answer: dict[str, Any]) -> list[Any]:
    nodes = [step["node"] for step in answer["steps"]]
    return [answer[name] for name in ("status", "sql", "result", "path", "confidence", "assumptions")] + [nodes]


def _until_gone(work: Any) -> None:
    with suppress(httpx.TransportError):
        work()
