"""COLUMNS, stars and patterns are written out over what the caller sees; the engine is never asked to choose."""

from typing import Any

import pytest

from core.errors import QueryUnauthorized
from engine.connectors.connector import RelationInfo
from engine.policy.rules import ColumnRule, Governed, Mask
from engine.sql.bind import prepare
from tests.engine.sql.salaries import Salaries, Seen, on_duckdb, relation, seen


def hidden_salaries() -> Salaries:
    """Salaries do not exist for this caller, and e-mail addresses are nulls."""
    duck = on_duckdb()
    source = relation("staff", "id", "name", "dept_id", "city", "salary", "email")
    shown = RelationInfo("staff", tuple(column for column in source.columns if column.name != "salary"))
    staff = Governed(shown, source, {"email": ColumnRule("masked", Mask("null"))})
    duck.seen = Seen({**seen().relations, "staff": staff})
    return duck


EVERYTHING = """
SELECT COLUMNS(*) FROM staff
SELECT * FROM staff
SELECT staff.* FROM staff
SELECT * SIMILAR TO '.*' FROM staff
SELECT * LIKE '%' FROM staff
SELECT COLUMNS('.') FROM staff
SELECT COLUMNS(c -> c <> 'x') FROM staff
SELECT COLUMNS(s.*) FROM staff s
SELECT COLUMNS(* EXCLUDE (city)), city FROM staff
SELECT max(COLUMNS(*)) FROM staff
SELECT * FROM staff s JOIN hits USING (id)
SELECT COLUMNS('.') FROM staff s JOIN hits h ON h.id = s.id
SELECT * FROM (SELECT * FROM staff) UNION ALL SELECT * FROM staff
WITH w AS (SELECT COLUMNS(*) FROM staff) SELECT COLUMNS(*) FROM w
SELECT COLUMNS('_1|id|name|email') FROM (SELECT a.*, b.* FROM staff a JOIN staff b ON a.id = b.id)
""".strip().splitlines()

NOTHING = """
SELECT COLUMNS('salary') FROM staff
SELECT COLUMNS('(?i)SALARY') FROM staff
SELECT COLUMNS(['salary']) FROM staff
SELECT COLUMNS(c -> c LIKE 'sal%') FROM staff
SELECT COLUMNS(c -> c = (SELECT max(name) FROM staff)) FROM staff
SELECT COLUMNS(c -> contains(email, c)) FROM staff
SELECT COLUMNS(c -> name LIKE 'n%') FROM staff
SELECT COLUMNS(name) FROM staff
SELECT COLUMNS($x) FROM staff
SELECT COLUMNS('a', 'b') FROM staff
SELECT COLUMNS() FROM staff
SELECT COLUMNS(nobody.*) FROM staff
SELECT COLUMNS(* REPLACE (1 AS id)) FROM staff
SELECT COLUMNS(*) + COLUMNS('id') FROM staff
SELECT COLUMNS('id') AS "x_\\9" FROM staff
SELECT * LIKE 'sal%' FROM staff
SELECT * LIKE name FROM staff
SELECT * GLOB '[s]alary' FROM staff
SELECT * EXCLUDE (salary) FROM staff
SELECT * RENAME (salary AS x) FROM staff
SELECT * REPLACE (salary AS name) FROM staff
SELECT max(* LIKE 'n%') FROM staff
SELECT COLUMNS(COLUMNS('id')) FROM staff
SELECT id FROM staff GROUP BY COLUMNS('id')
SELECT id FROM staff WHERE id IN (SELECT COLUMNS('salary') FROM staff)
SELECT COLUMNS('x') FROM (SELECT id, count(*) FROM staff GROUP BY id)
""".strip().splitlines()


def shown_names(duck: Salaries, sql: str) -> tuple[list[str], list[tuple[Any, ...]]]:
    prepared = duck.prepare(sql)
    found = duck.connection.execute(prepared.fill({name: f'"{name}"' for name in prepared.tables}))
    return [item[0] for item in found.description], found.fetchall()


@pytest.mark.parametrize("sql", EVERYTHING)
def test_what_stands_for_columns_stands_for_visible_ones(sql: str) -> None:
    duck = hidden_salaries()
    names, rows = shown_names(duck, sql)
    assert names
    assert not [name for name in names if "salary" in name]
    assert rows
    assert "@" not in str(rows)
    assert not any(str(number) in str(rows) for number in (1001, 2009, 70015, 90022))
    assert "*" not in duck.prepare(sql).template


@pytest.mark.parametrize("sql", NOTHING)
def test_nothing_else_is_told_of_columns(sql: str) -> None:
    with pytest.raises(QueryUnauthorized) as refused:
        hidden_salaries().prepare(sql)
    assert "salary" not in refused.value.message.lower() + refused.value.hint.lower()


def test_masked_columns_that_are_chosen_say_so() -> None:
    prepared = hidden_salaries().prepare("SELECT COLUMNS('mail|name'), * ILIKE 'E%' FROM staff")
    assert [(item.name, item.privacy) for item in prepared.outputs] == [
        ("name", "public"),
        ("email", "masked"),
        ("email_1", "masked"),
    ]


def test_salaries_that_are_chosen_are_summed_for_large_groups_only() -> None:
    found = on_duckdb().run("SELECT dept_id, sum(COLUMNS('sal.*')) FROM staff GROUP BY 1 ORDER BY 1")
    assert found == [(1, 8036), (2, 12069), (3, None), (4, None)]


def test_a_statement_does_not_become_a_million_columns() -> None:
    with pytest.raises(QueryUnauthorized, match="too complex"):
        prepare(f"SELECT {', '.join(['COLUMNS(*)'] * 1000)} FROM dept", seen(), "duckdb", max_rows=5)


def test_a_pattern_that_is_costly_elsewhere_is_quick() -> None:
    name = "a" * 60 + "!"
    with pytest.raises(QueryUnauthorized):
        prepare(f"SELECT COLUMNS('^(a+)+$') FROM (SELECT 1 AS \"{name}\")", seen(), "duckdb", max_rows=5)
