"""The arithmetic of windows, against every way of calling it that hypothesis thinks of."""

from hypothesis import given, settings
from hypothesis import strategies as st

from engine.quotas.windows import Ask, Grants, Window, current_slice, grant, lease, settle

steps = st.lists(st.tuples(st.floats(0.0, 30.0), st.integers(0, 8), st.integers(0, 20)), max_size=60)


@settings(max_examples=200, deadline=None)
@given(limit=st.integers(0, 30), steps=steps)
def test_no_span_of_a_window_holds_more_than_the_limit(limit: int, steps: list[tuple[float, int, int]]) -> None:
    window = Window(limit)
    now, grants, spends = 1_000.0, Grants(), list[float]()
    for pause_s, needed, welcome in steps:
        now += pause_s
        leased, grants = lease(window, grants, now, Ask(needed, welcome))
        spends += [min(leased.expires_at, now + pause_s)] * leased.granted  # as late as is allowed
    for start in spends:
        assert sum(start <= at < start + window.seconds for at in spends) <= limit


@given(limit=st.integers(1, 500))
def test_who_is_alone_gets_all_at_once_and_again_when_told(limit: int) -> None:
    window, now = Window(limit), 1_000.25
    leased, grants = lease(window, [], now, Ask(limit + 5))
    assert leased.granted == limit
    too_early, _ = lease(window, grants, leased.retry_at - 0.01, Ask(1))
    again, _ = lease(window, grants, leased.retry_at, Ask(limit))
    assert (too_early.granted, again.granted) == (0, limit)


def test_the_last_tokens_go_out_one_by_one() -> None:
    window = Window(80)
    assert grant(window, 0, Ask(1, 100)) == 10
    assert grant(window, 72, Ask(1, 100)) == 1
    assert grant(window, 79, Ask(3, 100)) == 1
    assert grant(window, 80, Ask(1, 0)) == 0


def test_unspent_tokens_come_back_but_never_twice() -> None:
    window = Window(10)
    leased, grants = lease(window, [], 1_000.0, Ask(10))
    back = Ask(0, unspent_slice=leased.slice, unspent=4)
    _, grants = lease(window, grants, 1_002.0, back)
    assert sum(count for _, count in grants) == 6
    assert lease(window, grants, 1_002.0, Ask(9))[0].granted == 4
    assert settle([(leased.slice, 3)], leased.slice, back) == []


def test_a_clock_that_ran_ahead_locks_nobody_out_for_longer_than_a_window() -> None:
    window = Window(5)
    _, grants = lease(window, [], 9_000_000.0, Ask(5))
    leased, grants = lease(window, grants, 1_000.0, Ask(1))
    assert leased.granted == 0
    assert lease(window, grants, leased.retry_at, Ask(1))[0].granted == 1


def test_a_limit_of_nothing_lets_nothing_pass() -> None:
    leased, _ = lease(Window(0), [], 1_000.0, Ask(1))
    assert (leased.granted, leased.retry_at) == (0, 1_060.0)


def test_windows_may_have_any_length() -> None:
    hour = Window(3, seconds=3600)
    leased, grants = lease(hour, [], 0.0, Ask(3))
    assert current_slice(hour, 3600 + 59) == 60
    assert lease(hour, grants, leased.retry_at, Ask(3))[0].granted == 3
    assert leased.retry_at <= 3660.01
