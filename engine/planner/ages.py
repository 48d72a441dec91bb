"""Ages: `members older than 40`, `patients under 30 years old`, `the average age of employees`."""

from datetime import datetime

from engine.dates.calendar import Unit, shifted
from engine.planner.formulas import TIMES, Formula, Value
from engine.planner.intent import Condition, Measure
from engine.planner.scene import Scene
from engine.planner.schema import Column

OPPOSITE = {"gt": "lt", "ge": "le", "lt": "gt", "le": "ge"}
OLDER, YOUNGER = ("older", "over"), ("younger", "under")
MOST_YEARS = 130
ENDS = {"oldest": "max", "youngest": "min", "average": "avg"}


def read_ages(scene: Scene) -> None:
    """Conditions on how old somebody is, and how old they are on average."""
    born = _birth(scene)
    if born is None:
        return
    for at, element in enumerate(scene.elements):
        if not element.is_used:
            _compared(scene, at, born)
            _averaged(scene, at, born)


def _birth(scene: Scene) -> Column | None:
    """The one column that says when somebody was born; none where ages are held by themselves."""
    names = [*scene.named, *([scene.intent.entity.name] if scene.intent.entity else [])]
    columns = [item for name in dict.fromkeys(names) for item in scene.schema.tables[name].columns if item.is_readable]
    if any("age" in item.words and item.family == "number" for item in columns):
        return None
    found = [item for item in columns if set(item.words) & {"birth", "born", "dob", "birthday", "birthdate"}]
    found = [item for item in found if item.family in (*TIMES, "number")]
    return found[0] if len(found) == 1 else None


def _compared(scene: Scene, at: int, born: Column) -> None:
    """`older than 40`, `under 30 years old`, `aged 65 or over`."""
    number = scene.elements[at].number
    if not isinstance(number, int) or not 0 < number < MOST_YEARS or scene.elements[at].date is not None:
        return
    years = at + 1 if scene.unit(at + 1) == "year" else at
    places = [at, *([years] if years != at else [])]
    before, operator = scene.word(at - 1), scene.cue(at - 1, "compare")
    is_old = scene.word(years + 1) in ("old", "age")
    if before == "than" and scene.word(at - 2) in ("older", "younger"):
        operator, places = ("gt" if scene.word(at - 2) == "older" else "lt"), [*places, at - 1, at - 2]
    elif (after := scene.cue(years + 1, "compare")) is not None and scene.word(years + 1).startswith("or "):
        operator, places, is_old = after, [*places, years + 1], before == "aged" or scene.word(years + 2) == "old"
    elif operator is not None and scene.word(at - 1) in ("over", "under", "above", "below", "at least", "more than"):
        places.append(at - 1)
        is_who = years == at and scene.word(at - 1) in ("over", "under") and _is_predicate(scene, at)
        if not (is_old or is_who or scene.word(at - 2) in ("age", "aged")):
            return
    elif before == "aged":
        operator, is_old = "eq", True
    else:
        return
    if operator not in (*OPPOSITE, "eq") or not (is_old or before == "than" or len(places) > 1):
        return
    extra = [p for p in (years + 1, at - 2) if scene.word(p) in ("old", "aged", "age", "age of")]
    extra += [p for p in (years + 1, years + 2) if scene.word(p) in ("today", "now", "currently", "right now")]
    scene.intent.conditions += _aged(scene, born, operator, number)
    for place in [*places, *extra, *([at - 1] if before == "aged" else [])]:
        scene.elements[place].is_used = True


def _is_predicate(scene: Scene, at: int) -> bool:
    """`who are over 60`: nothing follows that the number may be of."""
    after = scene.elements[at + 1] if at + 1 < len(scene.elements) else None
    is_last = after is None or bool(after.sign) or after.text.lower() in ("and", "or", "with", "who", "today", "now")
    return is_last and scene.word(at - 2) in ("are", "is", "were", "aged", "currently")


def _aged(scene: Scene, born: Column, operator: str, number: int) -> list[Condition]:
    """Conditions on a birth: older than 40 is 41 years and more, as far as a year of birth tells."""
    if born.family == "number":
        return [Condition(Formula("-", (scene.now.year, born), ("age",)), operator, number)]
    day = scene.now.replace(hour=0, minute=0, second=0, microsecond=0)
    if operator == "eq":
        return [
            Condition(born, "le", _years_before(day, number)),
            Condition(born, "gt", _years_before(day, number + 1)),
        ]
    return [Condition(born, OPPOSITE[operator], _years_before(day, number))]


def _years_before(day: datetime, number: int) -> str:
    return f"{shifted(day, Unit('year'), -number):%Y-%m-%d}"


def _averaged(scene: Scene, at: int, born: Column) -> None:
    """`the average age`, `how old is the oldest cat`."""
    kind = scene.cue(at, "aggregates")
    if scene.word(at) in ENDS and [scene.word(p) for p in range(2)] == ["how", "old"]:
        kind, scene.elements[at].cues, scene.elements[1].is_used = ENDS[scene.word(at)], {}, True
        scene.elements[at].is_used = True
        at -= 1
    elif kind is None or scene.word(at + 1) != "age" or scene.elements[at + 1].is_used:
        return
    value: Value = Formula("-", (scene.now.year, born), ("age",))
    if born.family in TIMES:
        value = Formula("span", (born, scene.now.date()), ("age",), "year")
    else:
        scene.intent.doubt("only the year of birth is known", 0.95)
    scene.elements[at].is_used = scene.elements[at + 1].is_used = True
    scene.add(Measure(kind, value))  # type: ignore[arg-type]
