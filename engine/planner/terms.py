"""Terms of a question that are calculated: put among its measures, or in the place of a column."""

import re
from dataclasses import dataclass, replace

from engine.planner.calculations import is_divided, measures_in
from engine.planner.elements import Element
from engine.planner.formulas import columns_of
from engine.planner.intent import Having, Measure
from engine.planner.leaves import Frame, Leaves, Unreadable
from engine.planner.meanings import Heard
from engine.planner.scene import Scene
from engine.planner.those import count_those

BACK = 3


@dataclass(frozen=True, slots=True)
class Terms:
    """The step of reading that gives calculated terms their measures."""

    heard: Heard
    frame: Frame
    those: tuple[tuple[str, str], ...] = ()

    def read(self, scene: Scene) -> None:
        """Raises nothing: what cannot be read stays a word that nothing explains."""
        scene.intent.conditions += self.heard.conditions
        for at, element in enumerate(scene.elements):
            definition = element.meant
            if definition is None:
                continue
            try:
                measure = self._measure(scene, at, element)
            except Unreadable as error:
                scene.intent.doubt(f"{str(error)[:60]!r} in what {definition.names[0]} is, is not read", 0.6)
                element.is_used = False
                continue
            scene.read_at[at] = measure
            if not _is_compared(scene, at, measure):
                scene.add(measure)
            _for_all(scene, measure)
            for place in range(max(0, at - BACK), at):
                if scene.cue(place, "aggregates") or scene.cue(place, "count"):
                    is_ranking = scene.cue(place, "superlatives") is not None
                    scene.elements[place].is_used = scene.elements[place].is_used or not is_ranking

        if any(item.calculation is not None and item.calculation.operator == "rank" for item in scene.intent.measures):
            for element in scene.elements:  # said again: `and the rank`
                element.is_used = element.is_used or element.text.lower() in ("rank", "ranking")
        count_those(scene, list(self.those), self.frame)

    def _measure(self, scene: Scene, at: int, element: Element) -> Measure:
        assert element.meant is not None
        definition, said = element.meant, self.heard.said[element.meant.text]
        leaves = Leaves(self.frame, scene)
        name = re.sub(r"\W+", "_", definition.names[0].lower()).strip("_") or "term"
        row = leaves.row_value(said, name)
        aggregate = next(
            (kind for place in range(max(0, at - BACK), at) if (kind := scene.cue(place, "aggregates"))), None
        )
        if row is None:
            made = leaves.measure(said, name)
            is_of_row = made.calculation is None and made.aggregate == "sum" and made.column is not None
            if is_of_row and aggregate in ("avg", "median", "max", "min") and not scene.cue(at - 1, "superlatives"):
                return replace(made, aggregate=aggregate)  # type: ignore[arg-type]
            return made
        if aggregate is not None and not scene.cue(at - 1, "superlatives"):
            return Measure(aggregate, row)  # type: ignore[arg-type]
        if not is_divided(said):
            return Measure("sum", row)
        return leaves.measure(said, name)


def _for_all(scene: Scene, measure: Measure) -> None:
    """`for all sales` of something that is calculated of sales: of all together."""
    tables = {part.table.name for part in measures_in(measure) if part.table is not None}
    tables |= {column.table for part in measures_in(measure) for column in columns_of(part.column)}
    for at, element in enumerate(scene.elements):
        if (
            element.is_used
            or "group" not in element.cues
            or element.text.lower() not in ("for all", "across", "across all")
        ):
            continue
        last = at
        while last + 1 < len(scene.elements) and scene.elements[last + 1].is_schema:
            last += 1
        table = scene.table(last) if last > at else None
        if table is not None and table.name in tables:
            scene.use(*range(at, last + 1))


def _is_compared(scene: Scene, at: int, measure: Measure) -> bool:
    """`with an ARPU above 20`"""
    for place in range(at + 1, min(at + 4, len(scene.elements) - 1)):
        operator, number = scene.cue(place, "compare"), scene.elements[place + 1].number
        if operator is not None and number is not None:
            scene.intent.havings.append(Having(measure, operator, number))
            scene.use(place, place + 1)
            return True
        if not scene.elements[place].is_ignored:
            return False
    return False
