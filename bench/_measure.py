"""What the benchmarks share: a server in a process of its own, CPU clocks, and how figures are printed."""

import json
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from types import TracebackType
from typing import Any, Self

CPU_CLOCK = 2  # Linux: clock ids are made of a process id and the kind of clock


def cpu_s(pid: int) -> float:
    """CPU seconds that a process has used so far, all its threads, user and system."""
    return time.clock_gettime((~pid << 3) | CPU_CLOCK)


class Process:
    """A server under measure. It prints one line of JSON when it is ready, kept in `facts`."""

    def __init__(self, module: str, *arguments: str):
        command = [sys.executable, "-m", module, *arguments]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, stdin=subprocess.PIPE, text=True)
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise SystemExit(f"{' '.join(command)} did not start")
        self.facts: dict[str, Any] = json.loads(line)

    @property
    def pid(self) -> int:
        return self._process.pid

    def cpu_s(self) -> float:
        return cpu_s(self._process.pid)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.terminate()
        self._process.wait()


def verdict(value: float, budget: float | None) -> str:
    if budget is None:
        return ""
    return f"budget {budget:g}  {'ok' if value <= budget else 'OVER'}"


def show(what: str, unit: str, rounds: Sequence[float], budget: float | None = None) -> None:
    """Least and median of the rounds. The least decides: what is above it, other processes caused."""
    least, middle = min(rounds), statistics.median(rounds)
    digits = 1 if least >= 10 else 2
    print(f"{what:56} {least:8.{digits}f} {unit} (median {middle:8.{digits}f})  {verdict(least, budget)}", flush=True)


def compare(what: str, unit: str, pairs: Sequence[tuple[float, float]], budget: float | None = None) -> None:
    """Ours beside theirs: the least of each, and the median of the rounds' ratios, which decides.

    Both sides of a round meet the same disturbances, one after the other; the least of each may not."""
    ours, theirs = min(mine for mine, _ in pairs), min(other for _, other in pairs)
    ratio = statistics.median(mine / other for mine, other in pairs)
    print(
        f"{what:56} {ours:8.1f} {unit} beside {theirs:6.1f} {unit}  ratio {ratio:.2f} ({ours / theirs:.2f})  "
        f"{verdict(ratio, budget)}",
        flush=True,
    )
