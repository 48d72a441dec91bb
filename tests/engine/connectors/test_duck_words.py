"""The second look at statements over an attached DuckDB file: its name in every spelling, and texts that are not it."""

import pytest

from core.errors import Conflict
from engine.connectors.duck_words import refuse_reading

NO_CALLS: frozenset[str] = frozenset()


@pytest.mark.parametrize(
    "text",
    [
        "'/data/shop.db'",
        '"/data/SHOP.db"',
        "$x$shop.db$x$",
        "e'shop.db'",
        r"E'\shop.db'",
        r"E'\x73hop.db'",
        r"E'\163hop.db'",
    ],
)
def test_the_name_is_found_however_it_is_spelled(text: str) -> None:
    with pytest.raises(Conflict):
        refuse_reading(f"SELECT * FROM {text}", "shop.db", NO_CALLS)


def test_a_name_that_escapes_could_hide_refuses_every_escape() -> None:
    refuse_reading(r"SELECT E'a\nb'", "shop.db", NO_CALLS)
    for name in ("a\nb.db", "a\\b.db"):
        with pytest.raises(Conflict):
            refuse_reading(r"SELECT E'a\nb'", name, NO_CALLS)
    with pytest.raises(Conflict):
        refuse_reading("SELECT 'it''s.db'", "it's.db", NO_CALLS)


def test_other_texts_with_escapes_pass() -> None:
    refuse_reading(r"SELECT E'a\nb', E'it\'s', 'shop', e'', range(3)", "shop.db", frozenset({"read_blob"}))
