"""A few seconds of bent statements in every test run; `make judge` does it for ten minutes."""

from pathlib import Path

from tests.hostile.fuzz_sql import fuzz

SECONDS, SEED = 3.0, 20_130_101


def test_bent_statements_are_refused_or_harmless(tmp_path: Path) -> None:
    sent, through = fuzz(tmp_path, seconds=SECONDS, seed=SEED)
    assert sent > 50
    assert 0 < through < sent
