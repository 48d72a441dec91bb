"""Values as databases take them: nothing of them may be lost on the way."""

from typing import Any

import pytest

from engine.connectors.connector import ColumnInfo
from engine.records.misfits import Misfit
from engine.records.texts import DatabaseColumn


def fit(value: Any, kind: str, dialect: str = "postgres") -> Any:
    return DatabaseColumn(ColumnInfo("c", kind, True, 1), dialect).fit(value)


@pytest.mark.parametrize(
    ("value", "kind", "wanted"),
    [
        *[(None, "integer", None), (7.0, "integer", "7"), ("7", "bigint", "7"), (True, "boolean", "true")],
        *[("1.50", "numeric(10,1)", "1.50"), ("nan", "double precision", "nan"), (1e300, "real", "1e+300")],
        *[("2026-01-31", "date", "2026-01-31"), ("12:00", "time without time zone", "12:00")],
        *[([1, None, [2]], "integer[]", '{"1",NULL,{"2"}}'), (['a"\\,'], "text[]", '{"a\\"\\\\,"}')],
        *[("AAE=", "bytea", "\\x0001"), ({"a": [1]}, "jsonb", '{"a": [1]}'), (5, "money", "5"), ("ok", "mood", "ok")],
    ],
)
def test_postgresql_reads_texts(value: Any, kind: str, wanted: Any) -> None:
    assert fit(value, kind) == wanted


@pytest.mark.parametrize(
    ("value", "kind", "wanted"),
    [
        *[("7", "integer", 7), (7.0, "int", 7), (1.5, "real", 1.5), ("1.10", "decimal(9,2)", "1.10"), (True, "any", 1)],
        *[("AAE=", "blob", b"\0\1"), ([1], "json", "[1]"), (5, "", 5), ("x", "", "x"), (False, "boolean", 0)],
    ],
)
def test_sqlite_keeps_kinds(value: Any, kind: str, wanted: Any) -> None:
    assert fit(value, kind, "sqlite") == wanted


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        *[(True, "integer"), (1.5, "integer"), ("1.0", "integer"), ("x", "integer"), ("NaN", "integer"), ([], "text")],
        *[("1.555", "numeric(10,2)"), (1, "text"), ("true", "boolean"), ("2026-01-31T12:00", "date"), (1, "date")],
        *[("2026-01-31T12:00Z", "timestamp without time zone"), ("2026-01-31T12:00:00.1234567", "timestamp")],
        *[("25:00", "time"), ("a\0b", "text"), ("\ud800", "text"), ("a", "bytea"), ("x", "integer[]"), ({}, "text")],
        *[(float("nan"), "double precision"), (float("inf"), "jsonb"), (["a\0"], "text[]")],
    ],
)
def test_what_would_be_changed_on_the_way_is_refused(value: Any, kind: str) -> None:
    with pytest.raises(Misfit):
        fit(value, kind)


@pytest.mark.parametrize(("value", "kind"), [(2**63, "integer"), ("1.5", "int"), ({}, ""), ("x", "numeric"), ([1], "")])
def test_sqlite_refuses_what_it_would_bend(value: Any, kind: str) -> None:
    with pytest.raises(Misfit):
        fit(value, kind, "sqlite")
