"""What things are worth: the column of a table that holds amounts, or a price times how many there are."""

from dataclasses import dataclass

from engine.planner.formulas import Formula, Value, columns_of
from engine.planner.schema import Column, Schema, Table

TOTALS = {"total": 1.0, "amount": 0.95, "revenue": 0.95, "paid": 0.9, "price": 0.9, "fee": 0.85, "fare": 0.85}
TOTALS |= {"charge": 0.85, "value": 0.7, "cost": 0.7, "sum": 0.8, "payment": 0.8, "spend": 0.9, "earnings": 0.9}
PARTIAL = frozenset(
    [
        "unit",
        "per",
        "list",
        "standard",
        "base",
        "max",
        "min",
        "minimum",
        "maximum",
        "limit",
        "monthly",
        "hourly",
        "daily",
        "yearly",
        "annual",
        "nightly",
        "weekly",
        "rate",
        "declared",
        "tax",
        "discount",
        "budget",
        "balance",
        "credit",
        "percent",
        "commission",
        "refund",
        "insured",
        "estimated",
        "market",
        "count",
        "number",
        "year",
    ]
)
"""Words of numbers that are no amounts of what happened: prices of one, limits, parts."""
QUANTITIES = frozenset(["quantity", "sold", "unit", "ordered", "bought"])
NO_SALES = frozenset([*TOTALS, "stock", "inventory", "hand", "available", "reorder", "min", "max", "minimum"])
FAR = 0.3
"""What each join to a table that is spoken of takes away."""
FARTHEST, FAR_OFF, PLAIN, RIVAL = 6, 2, 0.9, 0.12
GUESSED, FAR_GUESSED, UNCLEAR = 0.92, 0.87, 0.75


@dataclass(frozen=True, slots=True)
class Amount:
    """A value in money, and how well it fits."""

    value: Value
    fit: float


def amounts_of(schema: Schema, table: Table) -> list[Amount]:
    """What rows of a table are worth, the best first."""
    numbers = [item for item in table.columns if item.family == "number" and not item.is_id and item.is_readable]
    made = _products(schema, table, numbers)
    priced = {column for item in made for column in columns_of(item.value)}
    plain = [
        Amount(column, max(TOTALS.get(word, 0.0) for word in column.words))
        for column in numbers
        if set(column.words) & set(TOTALS)
        and not set(column.words) & PARTIAL
        and not {"cost", "price"} <= set(column.words)
        and column not in priced
    ]
    totals = [item for item in plain if "total" in columns_of(item.value)[0].words]
    return sorted(totals or [*made, *plain], key=lambda item: -item.fit)


def _products(schema: Schema, table: Table, numbers: list[Column]) -> list[Amount]:
    """Quantity times price, both here or the price where one link leads."""
    parents = [schema.tables[link.parent.table] for link in schema.links if link.child.table == table.name]
    near = [item for other in parents for item in other.columns if item.family == "number" and item.is_readable]
    for prices, fit in ((numbers, 1.0), (near, 0.95)):
        for price in prices:
            quantity = _quantity_of(price, numbers) if {"price", "cost"} & set(price.words) else None
            if quantity is not None and not set(price.words) & {"total", "tax", "monthly", "ticket"}:
                return [Amount(Formula("*", (quantity, price), ("amount",)), fit)]
    return []


def _quantity_of(price: Column, numbers: list[Column]) -> Column | None:
    """How many there are of what has a price: kilos for a price per kilo."""
    unit = price.words[price.words.index("per") + 1 :] if "per" in price.words else ()
    for column in numbers:
        if column != price and set(unit) & set(column.words):
            return column
    if unit:
        return None
    return next((item for item in numbers if set(item.words) & QUANTITIES and not set(item.words) & NO_SALES), None)


def distance(schema: Schema, source: str, target: str) -> int:
    """How many joins lie between two tables; many where there is no way."""
    reached, edge, steps = {source}, {source}, 0
    while target not in reached:
        edge = {
            there
            for link in schema.links
            for here, there in ((link.child.table, link.parent.table), (link.parent.table, link.child.table))
            if here in edge
        } - reached
        if not edge:
            return 99
        reached |= edge
        steps += 1
    return steps


def nearest_amount(schema: Schema, tables: list[str], said: frozenset[str]) -> tuple[Value, float] | None:
    """The amount that is nearest to the tables that are spoken of, and what its choice leaves open.

    What things are worth by a fee or a value is none of far tables, unless it is said."""
    options = []
    for table in schema.tables.values():
        for amount in amounts_of(schema, table)[:1]:
            ends = {column.table for column in columns_of(amount.value)}
            far = [min(distance(schema, name, end) for end in ends) for name in tables]
            is_near = bool(ends & set(tables)) or not tables
            is_plain = amount.fit >= PLAIN or bool(said & set(amount.value.words))
            if max(far, default=0) <= (FARTHEST if is_near else FAR_OFF) and (is_near or is_plain):
                options.append((amount.fit - FAR * sum(far), amount.value, GUESSED if is_near else FAR_GUESSED))
    options.sort(key=lambda item: -item[0])
    if not options:
        return None
    is_only = len(options) == 1 or options[1][0] < options[0][0] - RIVAL
    return options[0][1], options[0][2] * (1.0 if is_only else UNCLEAR)
