"""Lists of codes, texts that are looked for, shares told backwards and what is always shown."""

from engine.planner.planner import Planned, plan
from tests.engine.planner.test_planner import NOW, _schema_of

LIBRARY = {
    "branch": "branch_id:integer branch_name:text floor_area:double",
    "member": "member_id:integer first_name:text last_name:text title:text kind_cd:text since:date",
    "book": "book_id:integer book_title:text shelf:text blurb:text age_level:integer is_rare:boolean pages:integer",
    "loan": "loan_id:integer book_id:integer member_id:integer branch_id:integer loaned_on:date state_cd:text",
}
VALUES = {
    ("member", "kind_cd"): ["AD", "CH", "SE"],
    ("member", "title"): ["Dr", "Ms"],
    ("loan", "state_cd"): ["O", "R", "L"],
    ("book", "shelf"): ["poetry", "science"],
}
STATES = "Loan states: O = on loan, R = returned, L = lost"


def _planned(question: str, *knowledge: str) -> Planned:
    return plan(question, _schema_of(LIBRARY, VALUES), NOW, knowledge=knowledge)


def _filters(question: str, *knowledge: str) -> list[object]:
    planned = _planned(question, *knowledge)
    assert planned.definition is not None, planned.doubts
    return list(planned.definition["filters"])


def test_a_word_for_a_code_is_its_value() -> None:
    (only,) = _filters("How many loans are lost?", STATES)
    assert only == {"column": 't0."state_cd"', "operator": "eq", "value": "L"}


def test_words_for_codes_that_are_joined_are_a_choice() -> None:
    (only,) = _filters("How many loans of each branch are lost or returned?", STATES)
    assert isinstance(only, dict)
    assert only["operator"] == "in"
    assert sorted(only["value"]) == ["L", "R"]


def test_a_word_for_a_code_that_is_denied_leaves_it_out() -> None:
    (only,) = _filters("How many loans are not lost?", STATES)
    assert isinstance(only, dict)
    assert (only["operator"], only["value"]) == ("ne", "L")


def test_a_noun_for_a_code_stands_for_its_things() -> None:
    planned = _planned("How many seniors are there?", "Kinds of members are: AD = adults, CH = children, SE = seniors.")
    assert planned.definition is not None
    assert planned.definition["table"] == "member"
    assert planned.definition["filters"] == [{"column": 't0."kind_cd"', "operator": "eq", "value": "SE"}]


def test_codes_in_a_text_that_no_column_holds_say_nothing() -> None:
    assert _planned("How many loans are there?", "Grades: X = good, Y = bad").confidence > 0.9


def test_texts_are_looked_for_in_whatever_case() -> None:
    rule = "A sea tale is a book whose blurb mentions 'ship', 'storm' or 'whale', case insensitively."
    (only,) = _filters("How many sea tales are on each shelf?", rule)
    assert str(only).count("ilike") == 3


def test_what_things_have_in_their_name_is_a_text_that_it_contains() -> None:
    (only,) = _filters("How many river branches are there?", "River branches have 'quay' or 'bridge' in their name.")
    assert "%quay%" in str(only)
    assert "%bridge%" in str(only)


def test_a_share_that_is_told_backwards() -> None:
    planned = _planned("Out of all the books we have, what % is rare?")
    assert planned.definition is not None
    assert "is_rare" in str(planned.definition["select"])
    assert "filters" not in planned.definition


def test_what_is_always_shown_is_shown() -> None:
    planned = _planned("Which books are rare?", "Always show the number of pages of a book.")
    assert planned.definition is not None
    shown = _planned("Which books are rare?", "Always show the book pages.").definition
    assert shown is not None
    assert "pages" in str(shown["select"])


def test_people_with_two_names_are_not_called_by_their_title() -> None:
    planned = _planned("How many loans were there per title?")
    assert planned.definition is not None
    assert "member_id" not in str(planned.definition.get("group", ""))


def test_things_by_period_are_counted() -> None:
    planned = _planned("loans per month in 2025")
    assert planned.definition is not None
    assert planned.definition["measures"][0]["aggregate"] == "count"


def test_a_flag_before_a_number_is_a_condition() -> None:
    assert _filters("What is the total of rare pages by shelf?")
