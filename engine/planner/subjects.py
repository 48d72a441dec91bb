"""Things that are called by a value: `which receptionists` are staff whose job it is."""

from engine.planner.scene import STRONG, Scene
from engine.planner.schema import Column, Table
from engine.planner.words import lemma_of


def find_entity(scene: Scene) -> None:
    """The first table that a question names plainly, or whose things it calls by a kind, is what it is about."""
    for at, element in enumerate(scene.elements):
        if element.is_schema and scene.is_table_first(at) and max(i.score for i in element.candidates) >= STRONG:
            table = scene.table(at)
            if table is not None:
                scene.set_entity(table)
                return
        column = kind_at(scene, at)
        if column is not None:
            scene.kinds[at] = scene.schema.table_of(column)
            scene.set_entity(scene.kinds[at])
            return


def kind_at(scene: Scene, at: int) -> Column | None:
    """The column whose value is a word for things of its table: of people a job, of titles a type."""
    element = scene.elements[at]
    if element.is_schema or element.quoted is not None or element.text[:1].isupper() or element.number is not None:
        return None
    options = [column for column, _ in element.values if is_kind(scene, column)]
    if not options or not _is_led(scene, at) or _says_more(scene, at):
        return None
    return options[0] if len({column.table for column in options}) == 1 else None


def is_kind(scene: Scene, column: Column) -> bool:
    """Whether values of a column may stand for things of its table: they sort them, and things have names."""
    table = scene.schema.table_of(column)
    return column not in table.labels and column not in table.key and bool(table.labels)


def _is_led(scene: Scene, at: int) -> bool:
    before = scene.elements[at - 1].text.lower() if at else "which"
    is_counted = scene.elements[at - 1].number is not None or "superlatives" in scene.elements[at - 1].cues
    return is_counted or before.split()[-1:][0] in scene.cues.sets["leads"]


def _says_more(scene: Scene, at: int) -> bool:
    """Whether the value is said of a table that follows: `the active members`."""
    for place in range(at + 1, len(scene.elements)):
        element = scene.elements[place]
        if element.is_schema and scene.is_table_first(place):
            return True
        if element.is_schema and max(item.score for item in element.candidates) >= STRONG:
            return True
        if not element.values:
            return False
    return False


def doubt_agents(scene: Scene) -> None:
    """`farmers who own a farm` where some are owners and others are not: a verb whose doer the data knows apart."""
    used = set(scene.intent.tables())
    conditions = {item.column for item in scene.intent.conditions}
    for at, element in enumerate(scene.elements):
        verb = lemma_of(element.text)
        before = scene.elements[at - 1].text.lower() if at else ""
        if verb not in scene.cues.sets["verbs"] or before in ("their", "its", "his", "her", "our") or element.values:
            continue
        doers = {root + end for root in (verb, verb.rstrip("e")) for end in ("er", "or")}
        flags = [
            column
            for name in used
            for column in scene.schema.tables[name].columns
            if column.family == "boolean" and set(column.words) & doers
        ]
        values = [column for doer in doers for column, _ in scene.schema.values.get(doer, ()) if column.table in used]
        if any(column not in conditions for column in (*flags, *values)):
            scene.intent.doubt(f"{element.text} may be meant of some of them only", 0.75)


def thing_at(scene: Scene, at: int) -> Table | None:
    """The table whose rows are meant by what stands at a place."""
    if at >= len(scene.elements):
        return None
    if at in scene.kinds:
        return scene.kinds[at]
    return scene.table(at) if scene.elements[at].is_schema and scene.is_table_first(at) else None
