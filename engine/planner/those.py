"""A second count of the things that were counted: `How many of these were on weekends?`"""

import re
from dataclasses import replace

from engine.planner.calculations import Calculation
from engine.planner.intent import Measure
from engine.planner.leaves import Frame, Leaves, Unreadable
from engine.planner.scene import Scene
from engine.planner.words import tokens_of

_THOSE = re.compile(
    r"(?:(?<=[.?!;,])\s*|\s+)(?:and )?(?:also )?(?:,? )?(?:how many|what "
    r"(?P<share>percentage|percent|share|proportion|fraction)) of (?:these|those|them)\b(?P<rest>[^.?!;]{3,160})[.?!]?",
    re.I,
)


def split_those(question: str) -> tuple[str, list[tuple[str, str]]]:
    """A question without what it counts again, and that: a word for a share or none, and what is said of the things."""
    match = _THOSE.search(question)
    if match is None or "how many" not in question[: match.start()].lower():
        return question, []
    rest = question[: match.start()].rstrip(" ,;") + " " + question[match.end() :]
    return " ".join(rest.split()), [(match["share"] or "", match["rest"].strip())]


def count_those(scene: Scene, told: list[tuple[str, str]], frame: Frame) -> None:
    """Count the same rows again, as far as they are as is said."""
    base = next((item for item in scene.intent.measures if item.aggregate == "count" and item.table is not None), None)
    for share, rest in told:
        measure = None if base is None else _again(scene, base, rest, frame)
        if base is None or measure is None:
            scene.intent.doubt(f"{rest[:60]!r} is not read", 0.5)
            continue
        if share:
            part = Calculation("/", (measure, base), share.lower())
            whole = Calculation("*", (part, 100), share.lower()) if "perc" in share.lower() else part
            measure = Measure("sum", table=base.table, calculation=whole)
        scene.add(measure)


def _again(scene: Scene, base: Measure, rest: str, frame: Frame) -> Measure | None:
    assert base.table is not None
    words = tokens_of(rest)
    if words and words[0].stem == base.table.words[-1]:
        rest = rest[words[0].end :]
    phrase = f"number of {' '.join(base.table.words)} {rest.strip()}"
    try:
        found = Leaves(frame, scene).read(phrase)
    except Unreadable:
        return None
    extra = tuple(item for item in found.conditions if item not in base.conditions)
    return replace(base, conditions=(*base.conditions, *extra)) if extra else None
