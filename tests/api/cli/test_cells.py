"""How a value stands in a cell or on a line of its own."""

from io import StringIO
from typing import Any

from rich.console import Console

from api.cli_render import show


def printed(result: dict[str, Any], width: int = 100) -> str:
    said = StringIO()
    show(Console(file=said, width=width), result)
    return said.getvalue()


def test_lists_are_said_in_words_and_long_ones_say_how_much_is_left() -> None:
    rights = [f"{noun}.{verb}" for noun in ("tables", "people", "queries", "policies") for verb in ("read", "manage")]
    said = printed({"roles": [{"role": "one", "rights": ["tables.read"]}, {"role": "all", "rights": rights}]})
    assert "tables.read" in said and '["' not in said
    assert "tables.read, tables.manage, people.read … 5 more" in " ".join(said.split())


def test_a_list_of_names_is_one_line_and_other_lists_stay_json() -> None:
    assert printed({"names": ["a", "b"], "numbers": [1, 2]}) == "names a, b\nnumbers [1, 2]\n"
