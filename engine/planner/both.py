"""Things that must have each of some values: `farms that grow both wheat and barley`."""

from engine.planner.intent import Having, Measure
from engine.planner.joins import join_tree, multiplies
from engine.planner.scene import Scene
from engine.planner.schema import Column

FAR = 14


def read_both(scene: Scene) -> None:
    """Of values that one row cannot hold together, each must be held by some row of a thing."""
    at = next((p for p in range(len(scene.elements)) if scene.word(p) == "both"), None)
    intent = scene.intent
    if at is None or intent.entity is None or intent.measures or intent.ratio is not None:
        return
    for item in intent.conditions:
        is_near = item.operator == "in" and at < item.at < at + FAR
        if not is_near or not isinstance(item.column, Column) or not isinstance(item.value, (tuple, list)):
            continue
        tree = join_tree(scene.schema, [intent.entity.name, item.column.table])
        if tree is None or not multiplies(tree, intent.entity.name):
            intent.doubt("no row can hold both", 0.5)
            return
        having = Having(Measure("count", item.column, is_distinct=True), "eq", len(item.value))
        intent.havings.append(having)
        intent.is_grouped = True
        scene.elements[at].is_used = True
        return
