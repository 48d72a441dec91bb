"""The parts of a tree that a query may have. New kinds of sqlglot are refused until they are listed here."""

from collections.abc import Mapping

from sqlglot import exp

from core.errors import QueryUnauthorized


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


EXPRESSIONS: frozenset[type[exp.Expr]] = frozenset(
    {
        # values and names
        *(exp.Literal, exp.Boolean, exp.Null, exp.Var, exp.Identifier, exp.Placeholder, exp.Interval, exp.IntervalSpan),
        *(exp.HexString, exp.ByteString, exp.RawString, exp.UnicodeString, exp.Heredoc, exp.National, exp.BitString),
        # operators
        *(exp.And, exp.Or, exp.Xor, exp.Not, exp.Paren, exp.Tuple, exp.EQ, exp.NEQ, exp.GT, exp.GTE, exp.LT, exp.LTE),
        *(exp.NullSafeEQ, exp.NullSafeNEQ, exp.Is, exp.In, exp.Between, exp.Like, exp.ILike, exp.SimilarTo, exp.Escape),
        *(exp.Glob, exp.RegexpLike, exp.RegexpILike, exp.RegexpFullMatch, exp.StartsWith, exp.Any, exp.All, exp.Exists),
        *(exp.Add, exp.Sub, exp.Mul, exp.Div, exp.IntDiv, exp.Mod, exp.Pow, exp.Neg, exp.Abs, exp.DPipe, exp.Collate),
        *(exp.BitwiseAnd, exp.BitwiseOr, exp.BitwiseXor, exp.BitwiseNot, exp.BitwiseLeftShift, exp.BitwiseRightShift),
        *(exp.AtTimeZone, exp.Overlaps, exp.ArrayContainsAll, exp.ArrayContainedBy, exp.ArrayOverlaps, exp.Adjacent),
        *(exp.JSONExtract, exp.JSONExtractScalar, exp.JSONBExtract, exp.JSONBExtractScalar, exp.JSONBContains),
        *(exp.JSONBContainsTopKey, exp.JSONPath, exp.JSONPathRoot, exp.JSONPathKey, exp.JSONPathSubscript),
        *(exp.JSONPathWildcard, exp.JSONPathSlice, exp.JSONPathRecursive, exp.JSONPathUnion),
        # calls and what belongs to them
        *(exp.Case, exp.If, exp.Cast, exp.TryCast, exp.Extract, exp.Trim, exp.Substring, exp.StrPosition, exp.Overlay),
        *(exp.Filter, exp.Where, exp.WithinGroup, exp.IgnoreNulls, exp.RespectNulls, exp.Distinct, exp.Window),
        *(exp.WindowSpec, exp.Order, exp.Ordered, exp.Limit, exp.LimitOptions, exp.Offset, exp.Fetch),
        *(exp.CurrentDate, exp.CurrentTime, exp.CurrentTimestamp, exp.Localtime, exp.Localtimestamp, exp.Variadic),
        # nested values
        *(exp.Array, exp.Struct, exp.PropertyEQ, exp.Kwarg, exp.ToMap, exp.Map, exp.Bracket, exp.Slice),
        # clauses
        *(exp.Group, exp.GroupingSets, exp.Rollup, exp.Cube, exp.Having, exp.Qualify, exp.Alias, exp.TableSample),
    }
)

# What a SELECT, a table and so on may carry. A part beside these, such as INTO or FOR UPDATE, is refused.
PARTS: Mapping[type[exp.Expr], frozenset[str]] = {
    exp.Select: _words(
        """with_ expressions distinct from_ joins laterals where group having qualify windows order limit offset
        sample"""
    ),
    exp.Union: _words("with_ this expression distinct by_name order limit offset"),
    exp.Intersect: _words("with_ this expression distinct by_name order limit offset"),
    exp.Except: _words("with_ this expression distinct by_name order limit offset"),
    exp.Subquery: _words("this alias with_ joins order limit offset sample"),
    exp.Table: _words("this alias db catalog joins laterals sample ordinality"),
    exp.Join: _words("this on using side kind method"),
    exp.With: _words("expressions recursive"),
    exp.CTE: _words("this alias materialized"),
    exp.Lateral: _words("this alias ordinality view outer"),
    exp.Unnest: _words("expressions alias offset"),
    exp.Values: _words("expressions alias"),
}

_TYPES: frozenset[exp.DType] = frozenset(
    exp.DType[name]
    for name in _words(
        """ARRAY LIST MAP STRUCT BIGINT BINARY BIT BOOLEAN BPCHAR CHAR DATE DATETIME DECIMAL DOUBLE FLOAT INT INT128
        UINT128 INTERVAL JSON JSONB MEDIUMINT NAME NCHAR NVARCHAR SMALLINT TEXT TIME TIMETZ TIMESTAMP TIMESTAMPTZ
        TIMESTAMP_S TIMESTAMP_MS TIMESTAMP_NS TIMESTAMPNTZ TIMESTAMPLTZ TINYINT UBIGINT UINT USMALLINT UTINYINT UUID
        VARBINARY VARCHAR BLOB BIGDECIMAL"""
    )
)


def check_parts(node: exp.Expr) -> None:
    """Raises QueryUnauthorized when a clause is there that only looks like reading."""
    allowed = PARTS[type(node)]
    for name, value in node.args.items():
        if value and name not in allowed:
            raise refuse_part(name.rstrip("_"))


def check_type(node: exp.DataType) -> None:
    """Casts go to plain types: names of other types could look things up in the engine's catalog."""
    for inner in node.walk():
        if isinstance(inner, exp.DataType):
            if inner.this not in _TYPES:
                raise QueryUnauthorized(
                    "Access denied: the query casts to a type that is not allowed.", hint="Cast to a plain SQL type."
                )
        elif not isinstance(inner, (exp.DataTypeParam, exp.ColumnDef, exp.Identifier, exp.Literal, exp.Var)):
            raise refuse_part("type")


def refuse_part(name: str) -> QueryUnauthorized:
    if name == "when":
        return QueryUnauthorized(
            "Access denied: AT (VERSION or TIMESTAMP) is not allowed in the text of a query.",
            hint="Give the snapshot, time, branch or tag as the parameter as_of.",
        )
    return QueryUnauthorized(
        f"Access denied: the query uses {name.upper().replace('_', ' ')} in a way that is not allowed.",
        hint="Use plain SELECT with joins, WHERE, GROUP BY, HAVING, QUALIFY, ORDER BY, LIMIT, windows and CTEs.",
    )
