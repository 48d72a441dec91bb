"""What is counted: requests, what queries read and cost, what models read, wrote and cost."""

from dataclasses import astuple, dataclass
from decimal import Decimal
from typing import Literal, get_args

from engine.usage.prices import to_nano, to_usd

Metric = Literal["requests", "rows_scanned", "bytes_scanned", "query_usd", "model_tokens", "model_usd", "storage_bytes"]
METRICS: tuple[str, ...] = get_args(Metric)
Scope = Literal["tenant", "project", "user"]
EACH = "*"
MOST_UNITS = 2**62
_NAMES = {"query_usd": "query_nano", "model_usd": "model_nano"}


@dataclass(frozen=True, slots=True)
class Amount:
    """An amount of everything, in whole units; money in nano-dollars."""

    requests: int = 0
    queries: int = 0
    rows_scanned: int = 0
    bytes_scanned: int = 0
    query_nano: int = 0
    model_tokens: int = 0
    model_nano: int = 0

    def __add__(self, other: "Amount") -> "Amount":
        return Amount(*(mine + theirs for mine, theirs in zip(astuple(self), astuple(other), strict=True)))

    def of(self, metric: str) -> int:
        """How much of one thing; of storage nothing, which is not used up but measured."""
        return int(getattr(self, _NAMES.get(metric, metric), 0))


@dataclass(frozen=True, slots=True)
class Who:
    """Whom something is charged to: the tenant, a user of it, and the project where there is one."""

    tenant: str
    subject: str
    project_id: str = ""

    @property
    def scopes(self) -> list[tuple[Scope, str]]:
        """Kinds and ids, in the one order in which their rows are locked."""
        found: list[tuple[Scope, str]] = [("tenant", "")]
        found = [("project", self.project_id), *found] if self.project_id else found
        return [*found, ("user", self.subject)] if self.subject else found


def shown(metric: str, units: int) -> Decimal:
    """Units as people read them: USD of money."""
    return to_usd(units) if metric in _NAMES else Decimal(units)


def units(metric: str, value: Decimal) -> int:
    """The whole units of what people write, in the bounds of what the store counts with."""
    return min(MOST_UNITS, to_nano(value) if metric in _NAMES else int(value))


def said(metric: str, amount: int) -> str:
    """An amount in a sentence."""
    if metric in _NAMES:
        return f"{to_usd(amount):f} USD"
    return f"{amount:,} {metric.replace('_', ' ')}"
