"""Amounts that are not named: `how much did they spend`, `revenue by region`, `orders worth more than 100`."""

from engine.planner.amounts import amounts_of, nearest_amount
from engine.planner.formulas import Value
from engine.planner.intent import Condition, Having, Measure
from engine.planner.scene import STRONG, Scene

SURE_COLUMN = 0.85
GUESSED = 0.92
NEAR = 4


def read_money(scene: Scene) -> None:
    """The sum of what things are worth, where a question speaks of money and names no column."""
    _worth(scene)
    places = [at for at in range(len(scene.elements)) if _is_money(scene, at)]
    if not places or scene.intent.ratio is not None:
        return
    asked = _asked(scene, places)
    if asked is None:
        return
    said = frozenset(stem for element in scene.elements for stem in element.stems)
    found = nearest_amount(scene.schema, _spoken_of(scene, asked), said)
    if found is None:
        return
    value, factor = found
    if value.words[-1:] and value.words[-1] in scene.cues.sets["scales"]:
        return
    before = range(asked - 1, max(-1, asked - 4), -1)
    kind = next((scene.cue(p, "aggregates") for p in before if _is_kind(scene, p)), None)
    measure = Measure(kind if kind in ("avg", "median") else "sum", value)  # type: ignore[arg-type]
    scene.intent.doubt(f"{scene.elements[asked].text} is read as {' '.join(value.words)}", factor)
    _take(scene, places, asked, measure)


def _is_money(scene: Scene, at: int) -> bool:
    element = scene.elements[at]
    word = element.text.lower()
    is_named = element.is_schema and any(
        item.score >= SURE_COLUMN and item.column is not None and item.column.family == "number"
        for item in element.candidates
    )
    is_verb = word in scene.cues.sets["paying"] and not element.is_schema
    return (
        not element.is_used and not is_named and (is_verb or word in scene.cues.sets["money"] or _is_stated(scene, at))
    )


def _is_stated(scene: Scene, at: int) -> bool:
    """`what did we invoice`: a thing as what is done."""
    before = [item.text.lower() for item in scene.elements[max(0, at - 3) : at]]
    table = scene.table(at) if before[:2] == ["what", "did"] and scene.is_table_first(at) else None
    return table is not None and bool(amounts_of(scene.schema, table)) and before[2:] != ["the"]


def _is_kind(scene: Scene, at: int) -> bool:
    return scene.cue(at, "aggregates") in ("sum", "avg", "median")


def _asked(scene: Scene, places: list[int]) -> int | None:
    """The place that asks for an amount: a word for money, or a verb with `how much`, `the most`, `more than`."""
    for at in places:
        if scene.elements[at].text.lower() in scene.cues.sets["money"]:
            return at
        before = [item.text.lower() for item in scene.elements[:at]]
        if "much" in before or _is_most(scene, at) or _is_stated(scene, at):
            return at
    return None


def _is_most(scene: Scene, at: int) -> bool:
    """`spent the most`, `paid more than 100`: how much is what is put in order or compared."""
    for place in range(at + 1, min(at + NEAR, len(scene.elements))):
        if scene.cue(place, "compare") is not None:
            return True
        if scene.cue(place, "superlatives") is not None:
            after = scene.elements[place + 1] if place + 1 < len(scene.elements) else None
            return after is None or (after.is_ignored and not after.is_schema) or bool(after.sign or after.date)
    return False


def _spoken_of(scene: Scene, asked: int) -> list[str]:
    """The tables that a question names, and those whose values it does."""
    for table in scene.elements[asked].related:
        if amounts_of(scene.schema, table):
            return [table.name]
    tables = [name for name, score in scene.named.items() if score >= STRONG]
    for at, element in enumerate(scene.elements):
        if element.values and not element.is_schema:
            tables.append(scene.value_of(at).column.table)
        tables += [table.name for table in element.related]
    return list(dict.fromkeys(tables))


def _take(scene: Scene, places: list[int], asked: int, measure: Measure) -> None:
    """Mark all that says so, and put things in order by it or compare it where that is asked."""
    for at in places:
        scene.elements[at].is_used = True
    for element in scene.elements[asked:]:  # said again: `and show the amount`
        element.is_used = element.is_used or element.text.lower() in ("amount", "amounts", "total amount")
    for at in range(max(0, asked - 3), asked):
        if _is_kind(scene, at) or scene.elements[at].text.lower() in ("how", "much"):
            scene.elements[at].is_used = True
    scene.read_at[asked] = measure
    for at in range(asked + 1, min(asked + NEAR, len(scene.elements))):
        operator, number = scene.cue(at, "compare"), None
        if operator is not None and at + 1 < len(scene.elements):
            number = scene.elements[at + 1].number
        if operator is not None and number is not None and not scene.elements[at].is_used:
            scene.intent.havings.append(Having(measure, operator, number))
            scene.use(at, at + 1)
            return
        if scene.cue(at, "superlatives") is not None and not scene.elements[at].is_schema:
            scene.rank(measure, scene.cue(at, "superlatives") == "desc")
            scene.elements[at].is_used = True
            if scene.intent.limit is None and scene.is_singular():
                scene.intent.limit = 1
    scene.add(measure)


def _worth(scene: Scene) -> None:
    """`sales worth more than 400`, `claims above 100 euros`, `payments of at least 50`."""
    for at in range(1, len(scene.elements) - 1):
        operator, number = scene.cue(at, "compare"), scene.elements[at + 1].number
        if operator is None or number is None or scene.elements[at].is_used or scene.elements[at].is_schema:
            continue
        before = scene.elements[at - 1].text.lower()
        unit = scene.elements[at + 2].text.lower() if at + 2 < len(scene.elements) else ""
        is_money = (
            before in ("worth", "of", "for")
            or unit in scene.cues.sets["currencies"]
            or (scene.elements[at + 1].text.startswith("$"))
        )
        value = _amount_before(scene, at)
        if value is not None and (is_money or scene.is_table_first(at - 1)):
            scene.intent.conditions.append(Condition(value, operator, number, at=at))
            scene.use(at, at + 1)
            scene.elements[at - 1].is_used = scene.elements[at - 1].is_used or before == "worth"
            if not is_money or before != "worth":
                scene.intent.doubt(f"{scene.elements[at + 1].text} is compared with {' '.join(value.words)}", GUESSED)


def _amount_before(scene: Scene, at: int) -> Value | None:
    """The only amount of the nearest thing before a place."""
    for place in range(at - 1, max(-1, at - 5), -1):
        if scene.elements[place].is_schema and scene.is_table_first(place):
            table = scene.table(place)
            found = amounts_of(scene.schema, table) if table is not None else []
            return found[0].value if len(found) == 1 else None
    return None
