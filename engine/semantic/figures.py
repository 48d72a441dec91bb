"""Figures of metrics: expressions over the columns of what has been aggregated."""

from collections.abc import Mapping
from dataclasses import dataclass

from core.errors import Conflict
from engine.semantic.binding import Bind, bound
from engine.semantic.models import Input, Metric
from engine.sql.definitions import Expression

MAX_PARTS = 4000
COMPARED = ("previous", "change", "growth")


@dataclass(frozen=True, slots=True)
class Figure:
    """A metric over columns of leaves, and how many parts that has."""

    expression: Expression
    size: int = 1


def compared(name: str, now: Expression, then: Expression) -> dict[str, Expression]:
    """The columns beside a figure that is compared with an earlier one."""
    previous, change, growth = (f"{name}_{what}" for what in COMPARED)
    difference = Expression(operator="-", args=[now, then])
    return {
        previous: then,
        change: difference,
        growth: ratio(difference, Expression(function="abs", args=[then])),
    }


def figure_of(shown: Mapping[str, Expression]) -> Bind:
    """Names of the result as its figures. What it returns raises Conflict for others."""

    def figure(name: str) -> Expression:
        if name not in shown:
            raise Conflict(f"The result has no figure {name[:80]!r}.", hint=f"It has {', '.join(shown)}.")
        return shown[name]

    return figure


def derived(metric: Metric, figures: dict[str, Figure]) -> Figure:
    """A metric's expression over its inputs. Raises Conflict."""
    assert metric.expression is not None, "a derived metric has an expression"
    size = 0

    def figure(name: str) -> Expression:
        nonlocal size
        if name not in figures:
            raise Conflict(
                f"The metric {metric.name!r} names {name[:80]!r}, which is none of its inputs.",
                hint=f"Its inputs are {', '.join(figures)}.",
            )
        size += figures[name].size + 1
        if size > MAX_PARTS:
            raise Conflict(f"The metric {metric.name!r} has too many parts.", hint="Simplify its definition.")
        return figures[name].expression

    return Figure(bound(metric.expression, figure), size)


def ratio(top: Expression, bottom: Expression) -> Expression:
    """Null where the bottom is 0."""
    zero = Expression(function="nullif", args=[Expression(cast="double", args=[bottom]), Expression(value=0)])
    return Expression(operator="/", args=[Expression(cast="double", args=[top]), zero])


def filled(figure: Figure, given: Input) -> Figure:
    """With what stands where there is none."""
    if given.fill is None:
        return figure
    known = Expression(function="coalesce", args=[figure.expression, Expression(value=given.fill)])
    return Figure(known, figure.size + 2)
