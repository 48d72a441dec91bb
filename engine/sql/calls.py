"""Checks one call: its function is listed, and it does not make gigabytes out of a few characters."""

from sqlglot import exp

from core.errors import QueryUnauthorized
from engine.sql.functions import ALLOWED, MAX_MULTIPLIER, MAX_SERIES, MULTIPLIERS, SERIES

_ARITHMETIC = (exp.Add, exp.Sub, exp.Mul, exp.Div, exp.IntDiv, exp.Pow)
_INSTEAD = {
    "columns": "COLUMNS stands in the list of a SELECT; elsewhere name the columns one by one; list_columns shows them."
}
_TIMES = ("DATE", "TIMESTAMP", "TIMESTAMPTZ", "INTERVAL")


def check_call(call: exp.Anonymous, dialect: str) -> None:
    """Raises QueryUnauthorized when the function is not allowed, or not with this size."""
    name = call.name.lower()
    if name not in ALLOWED[dialect]:
        raise QueryUnauthorized(
            f"Access denied: the function {_shown(name)} is not allowed.",
            hint=_INSTEAD.get(name, "Use standard scalar, aggregate and window functions."),
        )
    check_series(call)
    for position in MULTIPLIERS.get(name, ()):
        if position < len(call.expressions) and _too_many(call.expressions[position], MAX_MULTIPLIER):
            raise _too_much(name, MAX_MULTIPLIER)


def check_series(call: exp.Anonymous) -> None:
    """A series over constants has a bounded length."""
    name = call.name.lower()
    if name not in SERIES:
        return
    if any(_too_many(argument, MAX_SERIES) for argument in call.expressions):
        raise _too_much(name, MAX_SERIES)


def _too_many(argument: exp.Expr, most: int) -> bool:
    """Whether a constant is above `most`. What depends on rows or parameters is left to the limits at run time."""
    if argument.find(exp.Column, exp.Placeholder, exp.Identifier) is not None or _is_time(argument):
        return False
    value = _constant(argument)
    return value is None or abs(value) > most


def _is_time(argument: exp.Expr) -> bool:
    casts = argument.find_all(exp.Cast, exp.TryCast)
    is_cast = any(cast.to.this.value.startswith(_TIMES) for cast in casts)
    return is_cast or argument.find(exp.Interval, exp.CurrentDate, exp.CurrentTimestamp) is not None


def _constant(argument: exp.Expr) -> float | None:
    """The value of plain arithmetic over numbers; None when it is anything else."""
    if isinstance(argument, exp.Literal):
        try:
            return float(argument.this)
        except ValueError:
            return None
    if isinstance(argument, (exp.Paren, exp.Cast, exp.TryCast)):
        return _constant(argument.this)
    if isinstance(argument, exp.Neg):
        value = _constant(argument.this)
        return None if value is None else -value
    if isinstance(argument, _ARITHMETIC):
        return _computed(argument, _constant(argument.left), _constant(argument.right))
    return None


def _computed(node: exp.Binary, left: float | None, right: float | None) -> float | None:
    if left is None or right is None:
        return None
    try:
        if isinstance(node, exp.Add):
            return left + right
        if isinstance(node, exp.Sub):
            return left - right
        if isinstance(node, exp.Mul):
            return left * right
        return float(left**right) if isinstance(node, exp.Pow) else left / right
    except (OverflowError, ZeroDivisionError, TypeError):
        return float("inf")


def _too_much(name: str, most: int) -> QueryUnauthorized:
    return QueryUnauthorized(
        f"Access denied: {name} is limited to {most:,} here.", hint="Ask for less, or read from a table."
    )


def _shown(name: str) -> str:
    return name if name.isidentifier() and len(name) <= 64 else "called"
