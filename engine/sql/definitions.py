"""A query as data: what a program or a model states instead of SQL text. Strict, and the same in every dialect."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, JsonValue, ValidationError, model_validator

from core.arguments import explain
from core.errors import Conflict

Name = Annotated[str, Field(min_length=1, max_length=255)]
Path = Annotated[str, Field(min_length=1, max_length=1024)]
# fmt: off
Aggregate = Literal[
    "count", "sum", "avg", "min", "max", "median", "stddev", "variance", "approx_count_distinct",
    "percentile_cont", "percentile_disc",
]
Operator = Literal[
    "eq", "ne", "lt", "le", "gt", "ge", "in", "not_in", "like", "not_like", "ilike", "is_null", "not_null", "between",
]
# fmt: on
CastTo = Literal["text", "integer", "bigint", "double", "boolean", "date", "timestamp"]
MAX_ITEMS = 1000
MAX_VALUES = 5000


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class Expression(_Part):
    """Exactly one of a column, a value, a function, arithmetic, a cast or a choice. A text alone is a column."""

    column: Path | None = None
    value: JsonValue = None
    function: Name | None = None
    operator: Literal["+", "-", "*", "/", "%", "||"] | None = None
    cast: CastTo | None = None
    case: Annotated[list["When"], Field(min_length=1, max_length=100)] | None = None
    otherwise: "Expression | None" = None
    args: Annotated[list["Expression"], Field(max_length=100)] = []
    distinct: bool = False
    over: "Over | None" = None

    @model_validator(mode="before")
    @classmethod
    def _from_name(cls, given: Any) -> Any:
        return {"column": given} if isinstance(given, str) else given

    @model_validator(mode="after")
    def _is_one_thing(self) -> "Expression":
        kinds = [self.column, self.function, self.operator, self.cast, self.case]
        if sum(kind is not None for kind in kinds) + ("value" in self.model_fields_set) != 1:
            raise ValueError("give exactly one of column, value, function, operator, cast, case")
        wanted = {"operator": 2, "cast": 1}
        for kind, count in wanted.items():
            if getattr(self, kind) is not None and len(self.args) != count:
                raise ValueError(f"{kind} takes {count} args")
        if self.function is None and (self.distinct or self.over is not None):
            raise ValueError("distinct and over belong to a function")
        if self.args and not (self.function or self.operator or self.cast):
            raise ValueError("args belong to a function, an operator or a cast")
        return self


class When(_Part):
    """One branch of a choice."""

    when: "Condition"
    then: Expression


class Over(_Part):
    """The window of a function: its partitions and their order, from the first row to the current one."""

    partition_by: Annotated[list[Expression], Field(max_length=32)] = []
    order: Annotated[list["Order"], Field(max_length=32)] = []
    rows_before: Annotated[int, Field(ge=0, le=1_000_000)] | None = None


class Selected(Expression):
    """An item of the select list."""

    alias: Name | None = None


class Measure(_Part):
    """An aggregate over the rows of a group. Without a column, `count` counts rows. fraction: which percentile."""

    aggregate: Aggregate
    column: Path | None = None
    expression: Expression | None = None
    alias: Name | None = None
    distinct: bool = False
    filters: Annotated[list["Condition"], Field(max_length=MAX_ITEMS)] = []
    fraction: Annotated[float, Field(ge=0, le=1)] | None = None

    @model_validator(mode="after")
    def _has_an_argument(self) -> "Measure":
        if self.aggregate.startswith("percentile") != (self.fraction is not None) or (self.fraction and self.distinct):
            raise ValueError("fraction belongs to a percentile, and distinct does not")
        if self.column is not None and self.expression is not None:
            raise ValueError("give a column or an expression, not both")
        if self.aggregate != "count" and self.column is None and self.expression is None:
            raise ValueError(f"{self.aggregate} needs a column")
        if self.distinct and self.column is None and self.expression is None:
            raise ValueError("distinct needs a column")
        return self


class Condition(_Part):
    """A comparison, or a tree of them."""

    column: Path | None = None
    expression: Expression | None = None
    operator: Operator | None = None
    value: JsonValue = None
    other: Expression | None = None
    query: "Query | None" = None
    exists: "Query | None" = None
    all_of: list["Condition"] | None = Field(None, min_length=1, max_length=MAX_ITEMS, alias="and")
    any_of: list["Condition"] | None = Field(None, min_length=1, max_length=MAX_ITEMS, alias="or")
    none_of: "Condition | None" = Field(None, alias="not")

    @model_validator(mode="after")
    def _is_one_thing(self) -> "Condition":
        groups = [self.all_of, self.any_of, self.none_of, self.exists]
        is_comparison = self.operator is not None
        if sum(group is not None for group in groups) + is_comparison != 1:
            raise ValueError("give an operator, or exactly one of and, or, not, exists")
        if is_comparison == (self.column is None and self.expression is None) or (self.column and self.expression):
            raise ValueError("a comparison has one column or expression on its left")
        rights = [self.other is not None, self.query is not None, "value" in self.model_fields_set]
        if sum(rights) > is_comparison:
            raise ValueError("a comparison has one right side: value, other or query")
        return self


class On(_Part):
    """A pair of columns that a join compares."""

    left: Path
    right: Path
    operator: Literal["eq", "ne", "lt", "le", "gt", "ge"] = "eq"


class Values(_Part):
    """Rows that are given, in the place of a table: texts and numbers, each column of one type."""

    columns: Annotated[list[Name], Field(min_length=1, max_length=16)]
    types: Annotated[list[CastTo], Field(min_length=1, max_length=16)]
    rows: Annotated[list[list[JsonValue]], Field(min_length=1, max_length=MAX_VALUES)]

    @model_validator(mode="after")
    def _is_even(self) -> "Values":
        if len({name.lower() for name in self.columns}) != len(self.columns):
            raise ValueError("name each column once")
        if {len(self.columns)} != {len(self.types), *map(len, self.rows)}:
            raise ValueError("types and every row have as many items as columns")
        return self


class Join(_Part):
    """One more table, subquery or given rows, and how its rows are matched."""

    type: Literal["inner", "left", "right", "full", "cross"] = "inner"
    table: Path | None = None
    subquery: "Query | None" = None
    values: Values | None = None
    alias: Name | None = None
    on: Annotated[list[On], Field(max_length=32)] = []

    @model_validator(mode="after")
    def _has_a_condition(self) -> "Join":
        if sum(source is not None for source in (self.table, self.subquery, self.values)) != 1:
            raise ValueError("a join names a table, or holds a subquery or values")
        if (self.type == "cross") == bool(self.on):
            raise ValueError("every join but a cross join has pairs under on")
        return self


class Order(_Part):
    """A sort key: an alias of the select list, a column, or an expression."""

    column: Path | None = None
    expression: Expression | None = None
    direction: Literal["asc", "desc"] = "asc"
    nulls: Literal["first", "last"] | None = None

    @model_validator(mode="before")
    @classmethod
    def _from_name(cls, given: Any) -> Any:
        return {"column": given} if isinstance(given, str) else given

    @model_validator(mode="after")
    def _has_a_key(self) -> "Order":
        if (self.column is None) == (self.expression is None):
            raise ValueError("order by a column or by an expression")
        return self


class SetOperation(_Part):
    """Rows of another query put to these, or taken away."""

    type: Literal["union", "union_all", "intersect", "except"]
    query: "Query"


class Query(_Part):
    """One SELECT, with what may follow it. `filters` must all hold; `group` is every plain item unless given."""

    table: Path | None = None
    subquery: "Query | None" = None
    values: Values | None = None
    alias: Name | None = None
    joins: Annotated[list[Join], Field(max_length=32)] = []
    select: Annotated[list[Selected], Field(max_length=MAX_ITEMS)] = []
    measures: Annotated[list[Measure], Field(max_length=100)] = []
    distinct: bool = False
    filters: Annotated[list[Condition], Field(max_length=MAX_ITEMS)] = []
    group: Annotated[list[Expression], Field(max_length=100)] = []
    having: Annotated[list[Condition], Field(max_length=100)] = []
    set_operations: Annotated[list[SetOperation], Field(max_length=16)] = []
    order: Annotated[list[Order], Field(max_length=32)] = []
    limit: Annotated[int, Field(ge=0, le=1_000_001)] | None = None
    offset: Annotated[int, Field(ge=0, le=10**12)] = 0

    @model_validator(mode="after")
    def _reads_something(self) -> "Query":
        if sum(source is not None for source in (self.table, self.subquery, self.values)) != 1:
            raise ValueError("name a table, or give a subquery or values to read from")
        if self.table is None and self.alias is None:
            raise ValueError("a subquery to read from needs an alias, as values do")
        return self


for _model in (Expression, When, Over, Selected, Measure, Condition, Values, Join, Order, SetOperation, Query):
    _model.model_rebuild()


def read_definition(given: dict[str, Any]) -> Query:
    """The definition as a query. Raises Conflict naming the parts that are wrong, without their values."""
    try:
        return Query.model_validate(given)
    except ValidationError as error:
        errors = error.errors(include_url=False, include_input=False, include_context=False)
        message = explain(errors).replace("Value error, ", "")
        raise Conflict(f"The definition is wrong: {message}"[:1000], hint=_HINT) from None
    except RecursionError:
        raise Conflict("The definition nests too deep.", hint="Nest less.") from None


_HINT = "The guide on building queries shows every part with an example."
