"""Expressions and conditions with their names replaced; only what a semantic model may say is let through."""

from collections.abc import Callable

from core.errors import Conflict
from engine.sql.definitions import Condition, Expression, Selected, When

_SCALARS = """
    abs ceil ceiling floor round trunc sign sqrt power pow exp ln log mod coalesce nullif ifnull greatest least
    lower upper trim ltrim rtrim substr substring replace concat length left right split_part date_trunc date_part
    datediff date_diff year quarter month week day hour minute strftime to_char"""
SCALARS = frozenset(_SCALARS.split())
Bind = Callable[[str], Expression]


def path(alias: str, column: str) -> str:
    """A column of one item of FROM, as definitions name it."""
    escaped = column.replace('"', '""')
    return f'{alias}."{escaped}"'


def bound(item: Expression, bind: Bind) -> Expression:
    """The expression with each column replaced. Raises Conflict on anything but plain computing."""
    if item.column is not None:
        return bind(item.column)
    if item.over is not None or item.distinct or (item.function is not None and item.function.lower() not in SCALARS):
        raise Conflict(
            "An expression of a semantic model computes from one row at a time.",
            hint=f"Functions that may be used: {', '.join(sorted(SCALARS))}.",
        )
    changes: dict[str, object] = {"args": [bound(arg, bind) for arg in item.args]}
    if item.case is not None:
        changes["case"] = [When(when=met(each.when, bind), then=bound(each.then, bind)) for each in item.case]
    if item.otherwise is not None:
        changes["otherwise"] = bound(item.otherwise, bind)
    return item.model_copy(update=changes)


def met(item: Condition, bind: Bind) -> Condition:
    """The condition with each column replaced. Raises Conflict on queries inside it."""
    if item.query is not None or item.exists is not None:
        raise Conflict(
            "A filter of a metric holds no query.", hint="Compare dimensions with values, or with each other."
        )
    if item.all_of is not None:
        return Condition.model_validate({"and": [met(each, bind) for each in item.all_of]})
    if item.any_of is not None:
        return Condition.model_validate({"or": [met(each, bind) for each in item.any_of]})
    if item.none_of is not None:
        return Condition.model_validate({"not": met(item.none_of, bind)})
    left = bound(item.expression, bind) if item.expression is not None else bind(item.column or "")
    is_column = left.column is not None
    changes: dict[str, object] = {
        "column": left.column,  # a plain column brings its type, which the value is checked against
        "expression": None if is_column else left,
        "other": None if item.other is None else bound(item.other, bind),
    }
    return item.model_copy(update=changes)


def selected(item: Expression, alias: str) -> Selected:
    """The expression as an item of a select list."""
    given = {name: getattr(item, name) for name in item.model_fields_set}
    return Selected.model_validate({**given, "alias": alias})
