"""Runs the differential test outside pytest: `python -m tests.differential.run --cases 20000 --seed 1`."""

import argparse
import sys
import time

from tests.differential.cases import QUERIES_PER_WORLD, Difference, Tally, make_stage, run_case
from tests.differential.choices import seeded
from tests.differential.engines import sides

DIFFERENT, ENOUGH = 3, 600  # an exit code of its own: anything else is no finding


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--cases", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--dialect", default="duckdb")
    parser.add_argument("--keep-going", action="store_true")
    asked = parser.parse_args()
    tally, differences, started = Tally(), 0, time.monotonic()
    with sides(asked.dialect) as (data, copy):
        for number in range(-(-asked.cases // QUERIES_PER_WORLD)):
            choices = seeded(asked.seed * 1_000_003 + number)
            stage = make_stage(choices, asked.dialect, data, copy)
            for _ in range(QUERIES_PER_WORLD):
                try:
                    run_case(choices, stage, tally)
                except Difference as error:
                    differences += 1
                    sys.stdout.write(f"world {number}: {error}\n\n")
                    if not asked.keep_going:
                        return DIFFERENT
    seconds = time.monotonic() - started
    sys.stdout.write(f"{tally.total} cases in {seconds:.1f} s: {dict(tally.counts)}; differences {differences}\n")
    for message, count in tally.refusals.most_common(8):
        sys.stdout.write(f"  refused {count}: {message}\n")
    for example in tally.examples[:6]:
        sys.stdout.write(f"{example[:600]}\n")
    problems = tally.problems() if tally.total >= ENOUGH else []
    for problem in problems:
        sys.stdout.write(f"{problem}\n")
    return DIFFERENT if differences or problems else 0


if __name__ == "__main__":
    sys.exit(main())
