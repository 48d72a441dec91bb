"""link_question: what of a connection a question is about, as the caller sees it."""

import pytest

from core.errors import Conflict, InvalidArgument, NotFound, Unauthorized
from tests.fixtures_catalog import NO_RIGHTS, STRANGER, VIEWER, Caller, Desk


async def test_a_question_finds_its_tables_columns_and_time(call: Caller, desk: Desk) -> None:
    found = await call(
        "link_question", by=VIEWER, connection_id="shop", question="How many items?", current_date="2026-03-01"
    )
    assert found.tables[0].name == "item" and found.tables[0].score > 0
    assert "id" in [column.name for column in found.tables[0].columns] and found.unlinked == []
    timed = await call("link_question", connection_id="shop", question="items of last month", current_date="2026-03-15")
    [said] = timed.date_ranges
    assert (said.text, said.start.isoformat(), said.end.isoformat()) == (
        "last month",
        "2026-02-01T00:00:00",
        "2026-03-01T00:00:00",
    )


async def test_words_that_stand_for_nothing_are_named(call: Caller) -> None:
    found = await call("link_question", connection_id="shop", question="How many unicorns bought items?")
    assert "unicorns" in found.unlinked and "items" not in found.unlinked


async def test_refusals(call: Caller) -> None:
    with pytest.raises(Unauthorized):
        await call("link_question", by=NO_RIGHTS, connection_id="shop", question="items")
    with pytest.raises(NotFound):
        await call("link_question", by=STRANGER, connection_id="shop", question="items")
    with pytest.raises(InvalidArgument):
        await call("link_question", connection_id="shop", question="")
    with pytest.raises(Conflict):
        await call("link_question", connection_id="shop", question="items", current_date="2026-02-30")
