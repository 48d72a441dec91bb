"""Words before a thing that are a value of its own: `active customers` where customers have a status active."""

from engine.planner.scene import Scene


def read_adjectives(scene: Scene) -> None:
    """A word that the next thing holds as a value is that, rather than a column of something else."""
    for at, element in enumerate(scene.elements[:-1]):
        if not element.values or not element.is_schema or not scene.is_table_first(at + 1):
            continue
        table = scene.table(at + 1)
        if table is None or all(column.table != table.name for column, _ in element.values):
            continue
        if any(
            item.table is not None or (item.column and item.column.table == table.name) for item in element.candidates
        ):
            continue
        element.candidates = []
        element.values = [item for item in element.values if item[0].table == table.name]
