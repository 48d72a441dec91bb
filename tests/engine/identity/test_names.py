"""Names: what is refused, and what counts as the same."""

import pytest

from core.errors import Conflict
from engine.identity.names import checked_name, name_key


@pytest.mark.parametrize(
    ("given", "stored"),
    [
        ("Acme", "Acme"),
        ("  Acme \t Inc ", "Acme Inc"),
        ("\uff21\uff43\uff4d\uff45", "Acme"),
        ("M\u00fcller & S\u00f6hne", "M\u00fcller & S\u00f6hne"),
        ("\u041e\u043b\u044c\u0433\u0430", "\u041e\u043b\u044c\u0433\u0430"),
        ("\u682a\u5f0f\u4f1a\u793eABC", "\u682a\u5f0f\u4f1a\u793eABC"),
        ("O'Neil-Smith 2", "O'Neil-Smith 2"),
    ],
)
def test_a_name_of_one_script_is_kept(given: str, stored: str) -> None:
    assert checked_name(given, "a thing") == stored


@pytest.mark.parametrize(
    "name",
    [
        " ",
        "...",
        "a\u200bb",
        "a\u202eb",
        "\u3164",
        "a\u2800b",
        "a\U000e0101",
        "a\ue000",
        "p\u0430ypal",
        "\u0391cme",
        "a\u0300\u0301\u0302\u0303",
    ],
)
def test_a_name_that_hides_something_is_refused(name: str) -> None:
    with pytest.raises(Conflict):
        checked_name(name, "a thing")


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Acme", "ACME"),
        ("Acme", "\u0410\u0441\u043c\u0435"),
        ("Team 10", "team lo"),
        ("data-team", "data\u2010team"),
        ("Stra\u00dfe", "STRASSE"),
    ],
)
def test_names_that_look_alike_have_one_key(one: str, other: str) -> None:
    assert name_key(one) == name_key(other)


def test_other_names_have_other_keys() -> None:
    names = ["acme", "acne", "acm\u00e9", "team 2", "team 3", "m\u00fcller", "muller"]
    assert len({name_key(name) for name in names}) == len(names)
