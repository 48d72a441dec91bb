"""Which statements run: those that only read. Anything else is refused by not being listed."""

from sqlglot import exp

from core.errors import QueryUnauthorized

_WORDS: tuple[tuple[type[exp.Expr], str], ...] = (
    (exp.Insert, "INSERT"),
    (exp.Update, "UPDATE"),
    (exp.Delete, "DELETE"),
    (exp.Merge, "MERGE"),
    (exp.Create, "CREATE"),
    (exp.Drop, "DROP"),
    (exp.Alter, "ALTER"),
    (exp.Copy, "COPY"),
    (exp.Attach, "ATTACH"),
    (exp.Detach, "DETACH"),
    (exp.Set, "SET"),
    (exp.Pragma, "PRAGMA"),
    (exp.Use, "USE"),
    (exp.Show, "SHOW"),
    (exp.Describe, "DESCRIBE"),
    (exp.Summarize, "SUMMARIZE"),
    (exp.Pivot, "PIVOT"),
    (exp.Values, "VALUES"),
    (exp.Transaction, "BEGIN"),
    (exp.Commit, "COMMIT"),
    (exp.Rollback, "ROLLBACK"),
    (exp.TruncateTable, "TRUNCATE"),
    (exp.Install, "INSTALL"),
)
_INSTEAD = {
    "DESCRIBE": "get_table and list_columns describe tables.",
    "SHOW": "list_tables shows the tables.",
    "SUMMARIZE": "Select count, min, max, avg of the columns you want.",
    "PIVOT": "Use aggregates with FILTER (WHERE ...) instead, one for each column.",
    "VALUES": "Write SELECT * FROM (VALUES ...) AS t(a, b).",
}


def check_kind(tree: exp.Expr) -> exp.Query:
    """The tree as a query. Raises QueryUnauthorized for every statement that is not a SELECT."""
    if isinstance(tree, (exp.Select, exp.SetOperation)) or (
        isinstance(tree, exp.Subquery) and isinstance(tree.unnest(), (exp.Select, exp.SetOperation))
    ):
        return tree
    word = next((word for kind, word in _WORDS if isinstance(tree, kind)), "That kind of statement")
    raise QueryUnauthorized(
        f"Access denied: {word} does not run here, only SELECT does.",
        hint=_INSTEAD.get(word, "Write one SELECT, WITH ... SELECT, or a UNION, INTERSECT or EXCEPT of SELECTs."),
    )
