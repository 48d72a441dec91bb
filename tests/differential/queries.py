"""Random queries over tables as somebody knows them: every clause, deep scopes, and names chosen to be confused."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from tests.differential.choices import Choices
from tests.differential.expressions import Expressions, Field, Relation, aggregate
from tests.differential.worlds import COLUMN_NAMES, Column, quote

TOP_DEPTH = 2


@dataclass(frozen=True, slots=True)
class Known:
    """A table under the names a query may give it."""

    schema: str
    name: str
    columns: tuple[Column, ...]
    has_more: bool = False  # columns that only aggregates may read: a star would cover them


@dataclass(frozen=True, slots=True)
class Query:
    """`is_ordered`: the order of rows is total, so lists can be compared."""

    sql: str
    columns: tuple[Column, ...]
    is_ordered: bool = False


@dataclass(slots=True)
class Queries:
    choices: Choices
    dialect: str
    tables: Sequence[Known]
    _count: int = field(default=0)

    def make(self) -> Query:
        return self._query({}, [], TOP_DEPTH)

    # Whole queries

    def _query(self, ctes: dict[str, tuple[Column, ...]], outer: list[Relation], depth: int) -> Query:
        choices = self.choices
        known, heads = dict(ctes), list[str]()
        names: set[str] = set()
        if depth and choices.chance(25):
            for _ in range(choices.number(1, 2)):
                name = self._cte_name()
                name = name if name not in names else self._fresh("c")
                names.add(name)
                inner = self._query(known, outer, depth - 1)
                heads.append(f"{quote(name)} AS ({inner.sql})")
                known[name] = inner.columns
        body = self._set_operation(known, outer, depth) if depth and choices.chance(14) else None
        body = body or self._select(known, outer, depth)
        ending, is_ordered = self._ending(body.columns)
        with_ = f"WITH {', '.join(heads)} " if heads else ""
        return Query(f"{with_}{body.sql}{ending}", body.columns, is_ordered)

    def _cte_name(self) -> str:
        if self.dialect != "sqlite" and self.choices.chance(35):  # to SQLite such a name is a circle
            return self.choices.pick(self.tables).name
        return self._fresh("c")

    def _ending(self, columns: Sequence[Column]) -> tuple[str, bool]:
        """An order over every output column, and then perhaps a limit: equal rows are equal, whichever stay."""
        choices = self.choices
        if not columns or not choices.chance(30):
            return "", False
        keys = [f"{number}{choices.pick(['', ' DESC', ' ASC NULLS FIRST'])}" for number in range(1, len(columns) + 1)]
        limit = f" LIMIT {choices.number(0, 6)}" if choices.chance(50) else ""
        limit += f" OFFSET {choices.number(0, 3)}" if limit and choices.chance(30) else ""
        return f" ORDER BY {', '.join(keys)}{limit}", True

    def _set_operation(self, ctes: dict[str, tuple[Column, ...]], outer: list[Relation], depth: int) -> Query | None:
        left = self._listed(ctes, outer, depth, None)
        right = self._listed(ctes, outer, depth, [column.family for column in left.columns])
        word = self.choices.pick(["UNION ALL", "UNION", "EXCEPT", "INTERSECT"])
        return Query(f"{left.sql} {word} {right.sql}", left.columns)

    def _listed(
        self, ctes: dict[str, tuple[Column, ...]], outer: list[Relation], depth: int, families: list[str] | None
    ) -> Query:
        """A SELECT whose columns have these families."""
        scope, text = self._from(ctes, outer, depth - 1)
        make = self._expressions(ctes, scope + outer, depth - 1)
        families = families or [self.choices.pick(["int", "text"]) for _ in range(self.choices.number(1, 3))]
        columns = tuple(Column(self._fresh("u"), family) for family in families)
        items = ", ".join(f"{make.value(column.family, 1)} AS {column.name}" for column in columns)
        return Query(f"SELECT {items} FROM {text}{self._where(make)}", columns)

    def _select(self, ctes: dict[str, tuple[Column, ...]], outer: list[Relation], depth: int) -> Query:
        scope, text = self._from(ctes, outer, depth)
        make = self._expressions(ctes, scope + outer, depth)
        where = self._where(make)
        kind = self.choices.number(0, 9)
        if kind < 2:
            return self._star(make, scope, text, where)
        if kind < 5:
            return self._grouped(make, text, where)
        return self._plain(make, text, where)

    def _expressions(self, ctes: dict[str, tuple[Column, ...]], relations: list[Relation], depth: int) -> Expressions:
        def subquery(families: list[str]) -> str:
            return self._listed(ctes, relations, depth, families).sql

        names = [relation.alias.lower() for relation in relations]
        # Engines differ in what a shadowed name may still mean, so it is rarely used.
        reached = [
            relation
            for place, relation in enumerate(relations)
            if relation.alias.lower() not in names[:place] or self.choices.chance(3)
        ]
        return Expressions(self.choices, self.dialect, reached, subquery if depth > 0 else None)

    def _where(self, make: Expressions) -> str:
        return f" WHERE {make.value('bool', 2)}" if self.choices.chance(40) else ""

    # Kinds of SELECT

    def _plain(self, make: Expressions, text: str, where: str) -> Query:
        choices = self.choices
        taken: set[str] = set()
        columns, items = [], []
        for _ in range(choices.number(1, 4)):
            family, expression = make.any_value(2)
            if choices.chance(12):
                family, expression = "int", make.window()
            name = self._output_name(taken)
            taken.add(name.lower())
            columns.append(Column(name, family))
            items.append(f"{expression} AS {quote(name)}")
        distinct = "DISTINCT " if choices.chance(15) else ""
        qualify = ""
        if self.dialect == "duckdb" and not distinct and choices.chance(6):
            qualify = f" QUALIFY {make.window()} <= {choices.number(1, 5)}"
        return Query(f"SELECT {distinct}{', '.join(items)} FROM {text}{where}{qualify}", tuple(columns))

    def _output_name(self, taken: set[str]) -> str:
        """Often the name of a column, also of one that is hidden somewhere: aliases shadow."""
        name = self.choices.pick(COLUMN_NAMES) if self.choices.chance(40) else self._fresh("x")
        return name if name.lower() not in taken else self._fresh("x")

    def _star(self, make: Expressions, scope: list[Relation], text: str, where: str) -> Query:
        choices = self.choices
        if any(relation.has_more for relation in scope):
            return self._plain(make, text, where)
        if choices.chance(50) or any(relation.is_merged for relation in scope):
            columns = [item.column for relation in scope for item in relation.fields]
            star = "*"
        else:
            relation = choices.pick(scope)
            star, columns = f"{quote(relation.alias)}.*", [item.column for item in relation.fields]
        if self.dialect == "duckdb" and len(columns) > 1 and choices.chance(25):
            name = choices.pick(columns).name
            if [column.name.lower() for column in columns].count(name.lower()) == 1:
                star += f" EXCLUDE ({quote(name)})"
                columns = [column for column in columns if column.name.lower() != name.lower()]
        names = [column.name.lower() for column in columns]
        # A column that comes twice cannot be named from outside, nor counted on by position where USING merges.
        is_known = not any(relation.is_merged or not relation.fields for relation in scope)
        is_plain = is_known and len(set(names)) == len(names)
        return Query(f"SELECT {star} FROM {text}{where}", tuple(columns) if is_plain else ())

    def _grouped(self, make: Expressions, text: str, where: str) -> Query:
        choices = self.choices
        keys = [make.any_value(1) for _ in range(choices.number(0, 2))]
        columns, items = [], []
        for family, expression in keys:
            columns.append(Column(self._fresh("g"), family))
            items.append(f"{expression} AS {columns[-1].name}")
        for _ in range(choices.number(1, 3)):
            family, expression = aggregate(make)
            columns.append(Column(self._fresh("a"), family))
            items.append(f"{expression} AS {columns[-1].name}")
        group = f" GROUP BY {', '.join(str(number + 1) for number in range(len(keys)))}" if keys else ""
        if keys and self.dialect == "duckdb" and choices.chance(25):
            group = " GROUP BY ALL"
        having = f" HAVING {aggregate(make, 'int')[1]} >= {choices.number(0, 3)}" if choices.chance(25) else ""
        return Query(f"SELECT {', '.join(items)} FROM {text}{where}{group}{having}", tuple(columns))

    # FROM

    def _from(
        self, ctes: dict[str, tuple[Column, ...]], outer: list[Relation], depth: int
    ) -> tuple[list[Relation], str]:
        choices = self.choices
        relation, text = self._source(ctes, outer, depth)
        scope = [relation]
        for _ in range(choices.pick([0, 0, 0, 1, 1, 1, 1, 2])):
            right, item = self._source(ctes, outer, depth)
            if right.alias.lower() in [other.alias.lower() for other in scope]:
                break
            text = self._joined(scope, right, text, item)
            scope.append(right)
        if depth and self.dialect != "sqlite" and choices.chance(8):
            alias = self._fresh("l")
            inner = self._listed(ctes, scope + outer, depth, None)
            text += f", LATERAL ({inner.sql}) AS {alias}"
            scope.append(Relation(alias, tuple(Field(column) for column in inner.columns)))
        return scope, text

    def _joined(self, scope: list[Relation], right: Relation, text: str, item: str) -> str:
        choices = self.choices
        kind = choices.pick(["JOIN", "LEFT JOIN", "RIGHT JOIN", "FULL JOIN", "CROSS JOIN", ","])
        if self.dialect == "sqlite" and kind in ("RIGHT JOIN", "FULL JOIN"):
            kind = "LEFT JOIN"
        if kind == ",":
            return f"{text}, {item}"
        if kind == "CROSS JOIN":
            return f"{text} CROSS JOIN {item}"
        left = scope[-1]
        shared = [
            (mine.column.name, mine.column.family)
            for mine in left.fields
            for other in right.fields
            if mine.column.name == other.column.name and mine.column.family == other.column.family
        ]
        usable = [name for name, family in shared if family in ("int", "text", "date")]
        if usable and len(scope) == 1 and choices.chance(40):
            using = choices.some(usable, 1, 2)
            left.is_merged = right.is_merged = True
            return f"{text} {kind} {item} USING ({', '.join(map(quote, using))})"
        condition = self._condition(left, right) if choices.chance(95) else "true"
        if kind == "FULL JOIN" and self.dialect == "postgres":
            kind = "LEFT JOIN"  # PostgreSQL demands a condition that it can merge or hash
        return f"{text} {kind} {item} ON {condition}"

    def _condition(self, left: Relation, right: Relation) -> str:
        mine = [item for item in left.fields if item.column.family in ("int", "text")]
        theirs = [item for item in right.fields if item.column.family in ("int", "text")]
        pairs = [(one, two) for one in mine for two in theirs if one.column.family == two.column.family]
        if not pairs:
            return "true"
        one, two = self.choices.pick(pairs)
        return f"{left.qualified(one)} {self.choices.pick(['=', '=', '<>'])} {right.qualified(two)}"

    def _source(self, ctes: dict[str, tuple[Column, ...]], outer: list[Relation], depth: int) -> tuple[Relation, str]:
        choices = self.choices
        if ctes and choices.chance(50):
            name = choices.pick(list(ctes))
            return self._named(quote(name), name, ctes[name])
        if depth and choices.chance(22):
            return self._derived(ctes, outer, depth)
        table = choices.pick(self.tables)
        shown = quote(table.name)
        is_default = table.schema in ("main", "public")
        if not is_default or choices.chance(20):
            shown = f"{quote(table.schema)}.{shown}"
        return self._named(shown, table.name, table.columns, has_more=table.has_more)

    def _derived(self, ctes: dict[str, tuple[Column, ...]], outer: list[Relation], depth: int) -> tuple[Relation, str]:
        alias = self.choices.pick(self.tables).name if self.choices.chance(25) else self._fresh("d")
        if self.choices.chance(12):
            column = Column(self._fresh("v"), "int")
            rows = ", ".join(f"({self.choices.number(0, 5)})" for _ in range(self.choices.number(1, 3)))
            if self.dialect == "sqlite":
                column, text = Column("column1", "int"), f"(SELECT * FROM (VALUES {rows})) AS {quote(alias)}"
            else:
                text = f"(VALUES {rows}) AS {quote(alias)}({column.name})"
            return Relation(alias, (Field(column),)), text
        inner = self._query(ctes, outer, depth - 1)
        return Relation(alias, tuple(Field(column) for column in inner.columns)), f"({inner.sql}) AS {quote(alias)}"

    def _named(
        self, shown: str, name: str, columns: Sequence[Column], *, has_more: bool = False
    ) -> tuple[Relation, str]:
        choices = self.choices
        if choices.chance(30):
            return Relation(name, tuple(Field(column) for column in columns), has_more=has_more), shown
        alias = choices.pick(self.tables).name if choices.chance(20) else self._fresh("t")
        renamed, suffix = list(columns), ""
        if self.dialect != "sqlite" and columns and not has_more and choices.chance(15):
            count = choices.number(1, len(columns))
            given = [self._fresh("r") if choices.chance(50) else column.name for column in columns[:count]]
            if len({name.lower() for name in given}) == len(given):
                renamed[:count] = [
                    Column(name, column.family) for name, column in zip(given, columns[:count], strict=True)
                ]
                suffix = f"({', '.join(map(quote, given))})"
        fields = tuple(Field(column) for column in renamed)
        return Relation(alias, fields, has_more=has_more), f"{shown} AS {quote(alias)}{suffix}"

    def _fresh(self, prefix: str) -> str:
        self._count += 1
        return f"{prefix}{self._count}"
