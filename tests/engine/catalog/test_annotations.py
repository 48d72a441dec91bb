import asyncio
from collections.abc import Callable

import pytest

from core.errors import Conflict
from engine.catalog.annotations import NO_TABLES, Place, TableNotes
from engine.catalog.catalog import Catalog


async def test_tags_and_descriptions_are_kept_per_column(catalog: Catalog) -> None:
    notes = catalog.annotations
    for tag in ("pii", "contact", "pii"):
        await notes.tag("acme", Place("c", "db.users", "email"), tag)
    await notes.describe("acme", "c", "db.users", "", "Everyone who signed up.")
    await notes.describe("acme", "c", "db.users", "email", "Where to write.")
    assert (await notes.notes("acme")).of("c") == {
        "db.users": TableNotes("Everyone who signed up.", {"email": "Where to write."}, {"email": ("contact", "pii")})
    }
    assert (await notes.notes("other")).of("c") is NO_TABLES


async def test_what_is_taken_back_is_gone(catalog: Catalog) -> None:
    notes = catalog.annotations
    await notes.tag("acme", Place("c", "t", "a"), "pii")
    await notes.describe("acme", "c", "t", "a", "Text")
    await notes.untag("acme", Place("c", "t", "a"), "pii")
    await notes.untag("acme", Place("c", "t", "a"), "never")
    await notes.describe("acme", "c", "t", "a", "")
    assert (await notes.notes("acme")).of("c") == {}


async def test_every_change_is_noticed_by_another_process(open_catalog: Callable[[], Catalog]) -> None:
    one, two = open_catalog().annotations, open_catalog().annotations
    one._clock = lambda: 5.0  # a clock that stands still, as two machines' clocks may differ
    two._cache._ttl_s = 0.0
    for text in ("first", "second", "third"):
        await one.describe("acme", "c", "t", "a", text)
        assert (await two.notes("acme")).of("c")["t"].column_descriptions == {"a": text}


async def test_unchanged_notes_are_not_read_again(catalog: Catalog) -> None:
    catalog.annotations._cache._ttl_s = 0.0
    await catalog.annotations.tag("acme", Place("c", "t", "a"), "pii")
    assert await catalog.annotations.notes("acme") is await catalog.annotations.notes("acme")


async def test_writers_at_once_all_succeed(catalog: Catalog) -> None:
    await asyncio.gather(*(catalog.annotations.describe("acme", "c", "t", "a", f"text {n}") for n in range(8)))
    await asyncio.gather(*(catalog.annotations.tag("acme", Place("c", "t", "a"), "pii") for _ in range(8)))
    notes = (await catalog.annotations.notes("acme")).of("c")["t"]
    assert notes.column_tags == {"a": ("pii",)}


async def test_names_too_long_for_the_store_are_refused(catalog: Catalog) -> None:
    with pytest.raises(Conflict):
        await catalog.annotations.tag("acme", Place("c", "t" * 513, "a"), "pii")
