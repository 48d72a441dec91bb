"""Real processes over one home: two that write, and one that is killed while it does."""

import random
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROUNDS = 6

pytestmark = pytest.mark.slow


def start(home: Path, what: str, count: int = 0) -> "subprocess.Popen[str]":
    command = [sys.executable, "-m", "tests.engine.retrieval.index_worker", str(home), what, str(count)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def asked(home: Path) -> str:
    return start(home, "ask").communicate(timeout=120)[0].strip()


def test_a_writer_that_is_killed_leaves_an_index_that_answers(tmp_path: Path) -> None:
    chance = random.Random(5)
    for _ in range(ROUNDS):
        writer = start(tmp_path, "write", 1000)
        assert writer.stdout is not None and writer.stdout.readline()
        time.sleep(chance.random())
        writer.kill()
        writer.communicate()
        assert asked(tmp_path) == "True"
    assert list((tmp_path / "tmp").rglob("*.sqlite3")) == []
    assert [path.name for path in (tmp_path / "index" / "acme").iterdir() if path.name.endswith(".index")] == [
        "notes.index"
    ]


def test_two_writers_and_a_reader_share_a_home(tmp_path: Path) -> None:
    writers = [start(tmp_path, "write", 15) for _ in range(2)]
    for writer in writers:
        assert writer.stdout is not None and writer.stdout.readline() == "0\n"
    answers = {asked(tmp_path) for _ in range(3)}
    for writer in writers:
        assert len((writer.communicate(timeout=240)[0]).split()) == 14 and writer.returncode == 0
    assert answers == {"True"} and asked(tmp_path) == "True"
