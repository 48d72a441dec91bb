"""Attacks on every door at once, with all that must hold checked after each."""

import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import duckdb

from tests.hostile.attacks.lair import CALLERS, CANARY, TIMEOUT_S, Lair, restricted_copy
from tests.hostile.attacks.probes import (
    FACES,
    Logs,
    ask,
    control,
    differs,
    engine_state,
    files,
    heard,
    leftovers,
    outside,
    told,
)
from tests.hostile.wire import Doors

PATIENCE_S = TIMEOUT_S + 4.0  # the limit of a query, and some for a busy machine
MAY_ANSWER = ("OK", "QUERY_UNAUTHORIZED", "INVALID_ARGUMENT", "CONFLICT")
WHEN_EXPENSIVE = (*MAY_ANSWER, "TIMEOUT", "CANCELLED", "UNAVAILABLE", "RESOURCE_EXHAUSTED", "QUOTA_EXCEEDED")
POLICY_CLASSES = ("policy", "literal", "persistence", "own_db", "metadata")


@dataclass(frozen=True, slots=True)
class Attack:
    name: str
    kind: str
    sql: str
    before: str = ""
    is_expensive: bool = False

    @property
    def callers(self) -> Sequence[str]:
        """What is about policies is tried under each of them."""
        return CALLERS if self.kind.startswith(POLICY_CLASSES) else CALLERS[:1]


@dataclass
class Siege:
    problems: list[str] = field(default_factory=list)
    codes: list[tuple[str, str]] = field(default_factory=list)
    live: int = 0


def besiege(lair: Lair, attacks: Sequence[Attack], logs: Logs) -> Siege:
    """Send all of them, as every caller they concern, to every door."""
    siege = Siege()
    with ExitStack() as stack:
        scratch = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        copies = {caller: stack.enter_context(restricted_copy(lair.folder, caller, scratch)) for caller in CALLERS}
        doors = Doors.of(lair.house)
        stack.callback(doors.close)
        pool = stack.enter_context(ThreadPoolExecutor(len(FACES)))
        siege.problems += [f"before: {word}" for caller in CALLERS for word in control(lair, doors, caller)]
        before = files(lair.folder), outside(), engine_state(lair)
        for attack in attacks:
            siege.live += _is_live(lair, doors, attack)
            for caller in attack.callers:
                _strike(lair, doors, pool, siege, attack, caller, copies[caller])
            problems = _changed(lair, before) + control(lair, doors, attack.callers[0], ("rest",))
            siege.problems += [f"{attack.name}: {problem}" for problem in problems]
        siege.problems += [f"after: {word}" for caller in CALLERS for word in control(lair, doors, caller)]
        siege.problems += leftovers(lair, logs)
    return siege


def _is_live(lair: Lair, doors: Doors, attack: Attack) -> bool:
    """Whether it shows a canary to who may see all; that also puts the full answer where answers are kept."""
    if attack.is_expensive:
        return False
    answer = heard("rest", "execute_query", ask(doors, "rest", lair.fill(attack.sql), lair.token("admin")))
    return answer.code == "OK" and CANARY in answer.text


def _strike(
    lair: Lair,
    doors: Doors,
    pool: ThreadPoolExecutor,
    siege: Siege,
    attack: Attack,
    caller: str,
    copy: duckdb.DuckDBPyConnection,
) -> None:
    sql, token = lair.fill(attack.sql), lair.token(caller)

    def one(face: str) -> list[str]:
        if attack.before:
            ask(doors, face, attack.before, token)
        started = time.monotonic()
        answer = heard(face, "execute_query", ask(doors, face, sql, token))
        seconds = time.monotonic() - started
        siege.codes.append((face, answer.code))
        allowed = WHEN_EXPENSIVE if attack.is_expensive else MAY_ANSWER
        found = [] if answer.code in allowed else [f"{face} answers {answer.code}: {answer.text[:200]}"]
        found += [f"{face} took {seconds:.1f} s"] if seconds > PATIENCE_S else []
        found += told(answer, sql, lair)
        if face == "rest":
            found += differs(answer, sql, copy) if not attack.is_expensive else []
            found += told(heard(face, "validate_query", ask(doors, face, sql, token, "validate_query")), sql, lair)
            found += told(heard(face, "explain_query", ask(doors, face, sql, token, "explain_query")), sql, lair)
        return found

    for face, found in zip(FACES, pool.map(one, FACES), strict=True):
        siege.problems += [f"{attack.name} as {caller} ({face}): {problem}\n    {sql[:200]}" for problem in found]


def _changed(lair: Lair, before: tuple[dict[str, str], dict[str, str], list[str]]) -> list[str]:
    found = []
    for was, now in zip(before[:2], (files(lair.folder), outside()), strict=True):
        changed = {name for name in was.keys() | now.keys() if was.get(name) != now.get(name)}
        found += [f"changed {name}" for name in sorted(changed)]
    state = engine_state(lair)
    found += [f"engine: {fact}" for fact in sorted(set(before[2]) ^ set(state))]
    if lair.web.hits:
        found.append(f"asked the web for {lair.web.hits}")
        lair.web.hits.clear()
    return found
