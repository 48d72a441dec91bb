from pathlib import Path

import duckdb
import pytest

from core.errors import Conflict, NotFound
from evals.cases import read_suite, shipped_suites
from evals.copies import build_database

EVERYDAY = "24257cfd1263be13"

TWO = 'suite: two\ncases:\n  - {id: a, question: "How many?", gold: ["SELECT 1"]}\n  - {id: b, question: "Why?"}\n'


def written(folder: Path, text: str) -> Path:
    path = folder / "suite.yaml"
    path.write_text(text)
    return path


def test_the_flights_suite_has_sixty_questions_and_fifteen_that_no_data_answers() -> None:
    suite = read_suite(shipped_suites()["flights"])
    unanswerable = [case for case in suite.cases if not case.is_answerable]
    assert len(suite.cases) >= 60 and len(unanswerable) >= 15
    assert suite.connection == "lakehouse" and suite.current_date == "2013-12-31"


def test_a_digest_follows_every_word_of_a_case(tmp_path: Path) -> None:
    first = read_suite(written(tmp_path, TWO)).digest
    assert read_suite(written(tmp_path, TWO)).digest == first
    assert read_suite(written(tmp_path, TWO.replace("How many?", "How much?"))).digest != first


def test_fewer_cases_are_spread_over_what_can_and_what_cannot_be_answered() -> None:
    suite = read_suite(shipped_suites()["flights"]).pick(21)
    kinds = [case.is_answerable for case in suite.cases]
    assert (len(kinds), kinds.count(False)) == (21, 5)
    assert suite.digest != read_suite(shipped_suites()["flights"]).digest


def test_groups_that_are_small_are_not_left_out() -> None:
    picked = read_suite(shipped_suites()["everyday"]).pick(20)
    kinds = [case.is_answerable for case in picked.cases]
    assert (len(kinds), kinds.count(False), len({case.database for case in picked.cases})) == (20, 5, 10)


def test_the_databases_of_everyday_are_made_by_their_scripts_and_gold_runs_on_them(tmp_path: Path) -> None:
    suite = read_suite(shipped_suites()["everyday"])
    assert (len(suite.cases), sum(not case.is_answerable for case in suite.cases)) == (340, 70)
    assert suite.digest == EVERYDAY  # runs of before stay comparable; whoever mends a question changes it on purpose
    for name, script in suite.databases.items():
        with duckdb.connect(str(build_database(script, tmp_path)), read_only=True) as database:
            golds = [gold for case in suite.cases if case.database == name for gold in case.gold]
            assert all(database.execute(gold).fetchone() for gold in golds), name
    assert len(list(tmp_path.iterdir())) == len(suite.databases) == 10


def test_a_database_is_made_once_and_anew_where_its_script_has_changed(tmp_path: Path) -> None:
    script = tmp_path / "shop.sql"
    script.write_text("CREATE TABLE orders (id INTEGER)")
    made = build_database(script, tmp_path / "built")
    assert build_database(script, tmp_path / "built") == made
    script.write_text("CREATE TABLE orders (id INTEGER, amount INTEGER)")
    assert build_database(script, tmp_path / "built") != made


def test_a_suite_that_has_changed_is_read_again(tmp_path: Path) -> None:
    assert len(read_suite(written(tmp_path, TWO)).cases) == 2
    assert len(read_suite(written(tmp_path, TWO.replace('  - {id: b, question: "Why?"}\n', ""))).cases) == 1


def test_lines_of_others_are_read_by_their_names_and_those_without_gold_left_out(tmp_path: Path) -> None:
    (tmp_path / "q.jsonl").write_text(
        '{"id": "q1", "ask": "How many?", "sql": "SELECT 1"}\n\n{"id": "q2", "ask": "How much?", "sql": []}\n'
    )
    (tmp_path / "u.jsonl").write_text('{"id": "u1", "question": "Why?"}\n')
    (tmp_path / "d.duckdb").write_text("")
    text = (
        "suite: others\ndatabases: {d: d.duckdb}\ncases_from:\n  - {file: q.jsonl, question: ask, gold: sql}\n"
        "  - {file: u.jsonl, is_unanswerable: true}\n"
    )
    suite = read_suite(written(tmp_path, text))
    assert [(case.id, case.gold, case.database) for case in suite.cases] == [
        ("q1", ("SELECT 1",), "d"),
        ("u1", (), "d"),
    ]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("suite: [", "not YAML"),
        ("- 1\n", "at its top"),
        ("suite: two words\ncases: []\n", "at suite"),
        ("suite: none\ncases: []\n", "has 0 cases"),
        (TWO.replace("id: b", "id: a"), "have the id 'a'"),
        (TWO.replace("question", "querstion", 1), "at cases.0.question"),
        (TWO + "databases: {d: d.duckdb}\n", "not at hand"),
        ("suite: lines\ncases_from: [{file: broken.jsonl}]\n", "Line 2 of broken.jsonl is no case"),
    ],
)
def test_what_is_wrong_with_a_suite_is_said(tmp_path: Path, text: str, problem: str) -> None:
    (tmp_path / "broken.jsonl").write_text('{"id": "a", "question": "How many?", "gold": "SELECT 1"}\n{"id"\n')
    with pytest.raises((Conflict, NotFound), match=problem):
        read_suite(written(tmp_path, text))


def test_a_suite_that_is_not_there_is_not_found(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="no suite"):
        read_suite(tmp_path / "none.yaml")
