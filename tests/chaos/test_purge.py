"""kill -9 in the middle of a tenant's purge: the job goes on until nothing is left, wherever it was hit."""

import contextlib
import json
import os
import sqlite3
import time
from pathlib import Path
from typing import Any

import httpx
import pytest

from headwater.running import running
from tests.headwater.edge_world import is_alive
from tests.headwater.processes import Server, children_of, finished, headwater, served, until

pytestmark = pytest.mark.slow
CANARY = "zq9canary"
FILES = 6_000
ROWS = 60_000
PAUSES_S = (0.0, 0.05, 0.15, 0.3, 0.5)


def fill(home: Path) -> None:
    """So much that a purge takes a while."""
    for number in range(FILES):
        folder = home / "warehouse" / "acme" / "files" / str(number % 50)
        folder.mkdir(parents=True, exist_ok=True)
        (folder / str(number)).write_text(CANARY)
    with contextlib.closing(sqlite3.connect(home / "headwater.db", timeout=20)) as store, store:
        rows = (
            ("acme", f"q{number}", "ann", "lakehouse", f"SELECT '{CANARY}'", "succeeded", 0, 1.0)
            for number in range(ROWS)
        )
        columns = "tenant_id, query_id, owner, connection_id, sql_shape, status, cancel_requested, started_at"
        store.executemany(f"INSERT INTO query ({columns}) VALUES (?, ?, ?, ?, ?, ?, ?, ?)", rows)


def begin(server: Server, home: Path) -> str:
    """A tenant with something everywhere, archived, and a purge that begins; the job's id."""
    root = server.token("super_admin")
    with httpx.Client(base_url=server.url, headers={"authorization": f"Bearer {root}"}, trust_env=False) as client:

        def call(method: str, path: str, **body: Any) -> Any:
            answer = client.request(method, f"/v1{path}", json=body or None, timeout=30)
            assert answer.is_success, answer.text
            return answer.json() if answer.content else None

        call("POST", "/tenants", name=f"Acme {CANARY}", tenant_id="acme", tier="enterprise")
        minted = headwater("token", "--home", str(home), "--tenant", "acme", "--role", "admin")
        assert minted.code == 0, minted
        own = {"authorization": f"Bearer {minted.out.strip()}"}
        for path, body in {
            "/projects": {"name": f"{CANARY} project"},
            "/queries": {"query_text": f"SELECT '{CANARY}'", "name": CANARY},
            "/query/execute": {"sql": f"SELECT '{CANARY}' AS x"},
            "/queries/run": {"query_text": f"SELECT '{CANARY}' AS x"},
        }.items():
            assert client.post(f"/v1{path}", json=body, headers=own, timeout=30).is_success
        fill(home)
        call("DELETE", "/tenants/acme")
        started = client.post("/v1/tenants/acme/purge", json={"confirm": "acme"}, headers={"prefer": "respond-async"})
        assert started.status_code == 202, started.text
        return str(started.json()["job_id"])


def state_of(server: Server, job_id: str) -> dict[str, Any]:
    said = headwater(
        "call", "get_job", json.dumps({"job_id": job_id}), "--server", server.url, "--token",
        server.token("super_admin"), "--json",
    )  # fmt: skip
    assert said.code == 0, said
    found: dict[str, Any] = said.json()
    return found


def kill(server: Server) -> None:
    planes = children_of(server.process.pid)
    server.process.kill()
    finished(server.process)
    assert until(lambda: not any(map(is_alive, planes)), within_s=5)


def places_with(home: Path) -> list[str]:
    found = []
    for folder, _, names in os.walk(home):  # which does not mind what goes away meanwhile
        for name in names:
            path = Path(folder, name)
            with contextlib.suppress(FileNotFoundError):
                if CANARY.encode() in path.read_bytes():
                    found.append(str(path.relative_to(home)))
    return sorted(found)


def test_a_purge_that_is_killed_again_and_again_comes_to_its_end(tmp_path: Path) -> None:
    home = tmp_path / "home"
    lease = {"HEADWATER_JOBS__LEASE_S": "2", "HEADWATER_JOBS__MAX_ATTEMPTS": "20"}
    with contextlib.ExitStack() as stack:
        server = stack.enter_context(served(home, **lease))
        job_id = begin(server, home)
        left = []
        for pause_s in PAUSES_S:
            time.sleep(pause_s)
            kill(server)
            left.append(len(places_with(home)))
            assert running(home) == []
            server = stack.enter_context(served(home, **lease))
        assert left[0] > 1000, "it was killed before it had done much"
        state: dict[str, Any] = {}

        def is_over() -> bool:
            state.update(state_of(server, job_id))
            return state["status"] in ("succeeded", "failed")

        assert until(is_over, within_s=60) and state["status"] == "succeeded", (state, left)
        assert server.call("verify_audit_log")["is_valid"]
        said = server.stop()
        assert CANARY not in said.out + said.err
    assert places_with(home) == [] and list(home.rglob("acme")) == []
