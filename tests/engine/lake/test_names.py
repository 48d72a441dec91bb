import pytest

from core.errors import InvalidArgument
from engine.lake.names import TableName, join_name, parse_table_name, split_name


@pytest.mark.parametrize(
    ("text", "namespace", "table"),
    [
        ("db.events", ("db",), "events"),
        ("headwater.db.events", ("db",), "events"),
        ("Headwater.db.events", ("db",), "events"),
        ("a.b.events", ("a", "b"), "events"),
        ("headwater.a.b.events", ("a", "b"), "events"),
        ('sales."2013.q1"', ("sales",), "2013.q1"),
        ('sales."say ""hi"""', ("sales",), 'say "hi"'),
        ("headwater.events", ("headwater",), "events"),
        ("db.my events", ("db",), "my events"),
    ],
)
def test_names_have_two_parts_or_more_and_may_begin_with_the_catalog(
    text: str, namespace: tuple[str, ...], table: str
) -> None:
    assert parse_table_name(text) == TableName(namespace, table)


@pytest.mark.parametrize(
    "text",
    ["", "events", ".", "db.", ".events", "db..events", "db/events", "db.a/b", r"db.a\b", 'db."x', 'db."x"y', "..",
     "db...", "db.\0x", "db.\nx", 'db."."', 'db.".. "', 'a"b.c', 'db."../x"', "db. "],
)  # fmt: skip
def test_what_is_not_a_name_is_refused(text: str) -> None:
    with pytest.raises(InvalidArgument):
        parse_table_name(text)


@pytest.mark.parametrize("parts", [("db", "events"), ("a.b", "c"), ('x"y', "z w"), ("a",)])
def test_a_joined_name_reads_back_as_its_parts(parts: tuple[str, ...]) -> None:
    assert split_name(join_name(parts)) == parts
