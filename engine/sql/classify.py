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
    (exp.Transaction, "BEGIN"),
    (exp.Commit, "COMMIT"),
    (exp.Rollback, "ROLLBACK"),
    (exp.TruncateTable, "TRUNCATE"),
    (exp.Install, "INSTALL"),
)
_COMMANDS = {
    word: word
    for word in ("EXPLAIN", "CALL", "LOAD", "PREPARE", "EXECUTE", "VACUUM", "ANALYZE", "GRANT", "REVOKE", "EXPORT")
}
_INSTEAD = {
    "DESCRIBE": "get_table and list_columns describe tables.",
    "SHOW": "list_tables shows the tables.",
    "SUMMARIZE": "Select count, min, max, avg of the columns you want.",
    "EXPLAIN": "explain_query shows the plan of a SELECT.",
}


def check_kind(tree: exp.Expr) -> exp.Query:
    """The tree as a query. Raises QueryUnauthorized for every statement that is not a SELECT."""
    if isinstance(tree, (exp.Select, exp.SetOperation)) or (
        isinstance(tree, exp.Subquery) and isinstance(tree.unnest(), (exp.Select, exp.SetOperation))
    ):
        return tree
    if isinstance(tree, exp.Values):
        return exp.Select(expressions=[exp.Star()], from_=exp.From(this=tree))
    word = next((word for kind, word in _WORDS if isinstance(tree, kind)), "That kind of statement")
    if isinstance(tree, exp.Command):
        word = _COMMANDS.get(tree.name.upper(), word)
    raise QueryUnauthorized(
        f"Access denied: {word} does not run here, only SELECT does.",
        hint=_INSTEAD.get(word, "Write one SELECT, WITH ... SELECT, or a UNION, INTERSECT or EXCEPT of SELECTs."),
    )
