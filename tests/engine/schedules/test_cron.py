"""Cron expressions: what they mean, what is refused, and what happens when the clocks change."""

from datetime import UTC, datetime
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.errors import InvalidArgument
from engine.schedules.cron import Cron, parse_zone

BERLIN = ZoneInfo("Europe/Berlin")  # 2026: forward on 29 March at 02:00, back on 25 October at 03:00


def times(text: str, start: str, count: int = 3, zone: ZoneInfo = ZoneInfo("UTC")) -> list[str]:  # noqa: B008
    """The next times in the zone, as text."""
    moment, cron, found = datetime.fromisoformat(start).replace(tzinfo=zone), Cron.parse(text), []
    for _ in range(count):
        moment = cron.next_after(moment, zone)
        found.append(moment.astimezone(zone).strftime("%Y-%m-%d %H:%M %Z"))
    return found


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("*/20 * * * *", ["2026-01-31 10:20", "2026-01-31 10:40", "2026-01-31 11:00"]),
        ("5,50 * * * *", ["2026-01-31 10:05", "2026-01-31 10:50", "2026-01-31 11:05"]),
        ("10/25 * * * *", ["2026-01-31 10:10", "2026-01-31 10:35", "2026-01-31 11:10"]),
        ("0 8-10/2 * * *", ["2026-02-01 08:00", "2026-02-01 10:00", "2026-02-02 08:00"]),
        ("30 6 * * mon-fri", ["2026-02-02 06:30", "2026-02-03 06:30", "2026-02-04 06:30"]),
        ("0 0 * * 7", ["2026-02-01 00:00", "2026-02-08 00:00", "2026-02-15 00:00"]),
        ("0 0 * * sat-sun", ["2026-02-01 00:00", "2026-02-07 00:00", "2026-02-08 00:00"]),
        ("0 0 31 * *", ["2026-03-31 00:00", "2026-05-31 00:00", "2026-07-31 00:00"]),
        ("0 0 1 jan,JUL *", ["2026-07-01 00:00", "2027-01-01 00:00", "2027-07-01 00:00"]),
        ("0 0 29 2 *", ["2028-02-29 00:00", "2032-02-29 00:00", "2036-02-29 00:00"]),
        ("0 0 13 * fri", ["2026-02-06 00:00", "2026-02-13 00:00", "2026-02-20 00:00"]),
        ("@hourly", ["2026-01-31 11:00", "2026-01-31 12:00", "2026-01-31 13:00"]),
        ("@Daily", ["2026-02-01 00:00", "2026-02-02 00:00", "2026-02-03 00:00"]),
        ("@monthly", ["2026-02-01 00:00", "2026-03-01 00:00", "2026-04-01 00:00"]),
    ],
)
def test_an_expression_means_these_times(text: str, expected: list[str]) -> None:
    assert times(text, "2026-01-31T10:00") == [f"{time} UTC" for time in expected]


@pytest.mark.parametrize(
    "text",
    [
        *("", "* * * *", "* * * * * *", "60 * * * *", "* 24 * * *", "* * 0 * *", "* * 32 * *", "* * * 13 *"),
        *("* * * * 8", "*/0 * * * *", "5-1 * * * *", "a * * * *", "* * * foo *", "-1 * * * *", "1, * * * *"),
        *("@never", "0 0 30 2 *", "0 0 31 4,6,9,11 *", "1.5 * * * *", "² * * * *", "*/99999 * * * *"),
    ],
)
def test_what_is_not_an_expression_is_refused(text: str) -> None:
    with pytest.raises(InvalidArgument, match="not a cron expression"):
        Cron.parse(text)


@pytest.mark.parametrize("name", ["Mars/Base", "", "../../etc/passwd", "/etc/localtime", "Europe"])
def test_what_is_not_a_time_zone_is_refused(name: str) -> None:
    with pytest.raises(InvalidArgument):
        parse_zone(name)


def test_times_are_those_of_the_zone() -> None:
    assert times("0 9 * * *", "2026-03-27T12:00", zone=BERLIN) == [
        "2026-03-28 09:00 CET",
        "2026-03-29 09:00 CEST",
        "2026-03-30 09:00 CEST",
    ]


def test_a_time_that_is_skipped_happens_right_after_the_change() -> None:
    assert times("30 2 * * *", "2026-03-28T12:00", 2, BERLIN) == ["2026-03-29 03:00 CEST", "2026-03-30 02:30 CEST"]


def test_a_rhythm_goes_on_over_the_skipped_hour() -> None:
    assert times("*/30 * * * *", "2026-03-29T01:00", 3, BERLIN) == [
        "2026-03-29 01:30 CET",
        "2026-03-29 03:00 CEST",
        "2026-03-29 03:30 CEST",
    ]


def test_a_time_that_comes_twice_happens_once() -> None:
    assert times("30 2 * * *", "2026-10-24T12:00", 2, BERLIN) == ["2026-10-25 02:30 CEST", "2026-10-26 02:30 CET"]


def test_a_rhythm_goes_on_over_the_doubled_hour() -> None:
    assert times("30 * * * *", "2026-10-25T01:00", 4, BERLIN) == [
        "2026-10-25 01:30 CEST",
        "2026-10-25 02:30 CEST",
        "2026-10-25 02:30 CET",
        "2026-10-25 03:30 CET",
    ]


@given(
    start=st.datetimes(datetime(2000, 1, 1), datetime(2090, 1, 1)),
    zone=st.sampled_from(["UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Pacific/Apia"]),
    text=st.sampled_from(["*/7 * * * *", "17 3,23 * * *", "0 0 * * *", "30 2 1,15 * mon"]),
)
def test_times_always_move_forward(start: datetime, zone: str, text: str) -> None:
    cron, moments = Cron.parse(text), [start.replace(tzinfo=UTC)]
    for _ in range(3):
        moments.append(cron.next_after(moments[-1], ZoneInfo(zone)))
    assert all(earlier < later for earlier, later in pairwise(moments))
    assert all(moment.second == 0 for moment in moments[1:])
