"""What phrases about time mean."""

from datetime import datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.dates.calendar import Calendar
from engine.dates.find import find_dates
from engine.dates.ranges import Found, Range
from engine.dates.words import language

NOW = datetime(2026, 11, 21, 15, 30)
LINES = (Path(__file__).parent / "phrases.txt").read_text().splitlines()
PHRASES = [tuple(line.split(" => ", 1)) for line in LINES if not line.startswith("#")]


def told(found: Found) -> str:
    parts = [span(item.range) + (f" vs {span(item.versus)}" if item.versus else "") for item in found.mentions]
    if found.grain:
        parts.append(f"by {'fiscal ' if found.grain.is_fiscal else ''}{found.grain.grain}")
    if found.compares and not any(item.versus for item in found.mentions):
        parts.append(f"compares {found.compares.grain}")
    return ", ".join(parts)


def span(found: Range) -> str:
    return f"{moment(found.start)}..{moment(found.end)}"


def moment(at: datetime | None) -> str:
    return "" if at is None else at.isoformat(timespec="minutes").removesuffix("T00:00")


def test_there_are_enough_phrases() -> None:
    assert len({phrase for phrase, _ in PHRASES}) >= 200


@pytest.mark.parametrize(("phrase", "meaning"), PHRASES)
def test_a_phrase_means(phrase: str, meaning: str) -> None:
    is_fiscal = any(word in phrase for word in ("iscal", "inancial", "FY"))
    assert told(find_dates(phrase, NOW, Calendar(fiscal_month=2) if is_fiscal else None)) == meaning


@pytest.mark.parametrize(
    ("phrase", "calendar", "meaning"),
    [
        ("last 7 days", Calendar(rolling="through_today"), "2026-11-14..2026-11-22"),
        ("last 7 days", Calendar(rolling="including_today"), "2026-11-15..2026-11-22"),
        ("last 7 days", Calendar(rolling="complete"), "2026-11-14..2026-11-21"),
        ("this week", Calendar(week_start=6), "2026-11-15..2026-11-22"),
        ("this week", Calendar(week_start=5), "2026-11-21..2026-11-28"),
        ("03/05/2023", Calendar(day_first=True), "2023-05-03..2023-05-04"),
        ("FY2024", Calendar(fiscal_month=7), "2023-07-01..2024-07-01"),
        ("FY2024", Calendar(fiscal_month=7, fiscal_year_of="start"), "2024-07-01..2025-07-01"),
        ("Q1 2024", Calendar(fiscal_month=7), "2024-01-01..2024-04-01"),
        ("this fiscal quarter", Calendar(fiscal_month=10), "2026-10-01..2027-01-01"),
    ],
)
def test_a_tenants_conventions_count(phrase: str, calendar: Calendar, meaning: str) -> None:
    assert told(find_dates(phrase, NOW, calendar)) == meaning


def test_the_phrase_and_the_convention_are_shown() -> None:
    text = "How many flights in the last 7 days?"
    (mention,) = find_dates(text, NOW).mentions
    assert text[mention.start : mention.end] == "the last 7 days"
    assert mention.range.convention == "from 2026-11-14, 7 days ago, through today"


def test_the_end_of_a_month_and_leap_days_survive_shifts() -> None:
    (leap,) = find_dates("February 2024 YoY", NOW).mentions
    assert leap.versus is not None and span(leap.versus) == "2023-02-01..2023-03-01"
    (rolling,) = find_dates("past month", datetime(2026, 3, 31)).mentions
    assert span(rolling.range) == "2026-02-28..2026-04-01"


@pytest.mark.parametrize(
    "text", ["", "?" * 5000, "last " * 1000, "last 99999999 years", "year 9999 and 10000", "31/31/2023"]
)
def test_odd_texts_are_read_without_harm(text: str) -> None:
    assert all(item.range.start != item.range.end for item in find_dates(text, NOW).mentions)


WORDS = [
    *sorted({" ".join(words) for phrases in language().phrases.values() for words, _ in phrases}),
    "2023",
    "Q2",
    "5",
]


@given(st.lists(st.sampled_from(WORDS), max_size=8), st.datetimes(datetime(1900, 1, 1), datetime(2200, 1, 1)))
def test_whatever_the_words_ranges_have_an_order(words: list[str], now: datetime) -> None:
    text = " ".join(words)
    ends = [0]
    for item in find_dates(text, now).mentions:
        assert ends[-1] <= item.start < item.end <= len(text)
        ends.append(item.end)
        for found in filter(None, (item.range, item.versus)):
            assert found.start is None or found.end is None or found.start < found.end
