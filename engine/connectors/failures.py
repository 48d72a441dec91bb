"""What went wrong in an engine, said without its words: they may hold row values, paths and other people's SQL.

The statement was one that we let through, so its clash with types or values of the data is a Conflict."""

import re

from core.errors import Conflict, PlatformError, Unavailable

_TYPES_HINT = "Check the types of the columns in get_table; cast explicitly, or use TRY_CAST."

# Pattern in the engine's message, what to say, what to do next. First match wins.
_KNOWN: tuple[tuple[str, str, str], ...] = (
    ("INTERRUPT|interrupted", "The query was interrupted.", "Run it again."),
    (
        "File too large|failed to offload|temporary file size limit|database or disk is full",
        "The query needs more temporary disk than it may use.",
        "Filter or aggregate before sorting, joining or grouping, and select fewer columns.",
    ),
    (
        "Out of Memory|could not allocate|failed to allocate|out of memory|too big|max_allowed",
        "The query needs more memory than it may use.",
        "Filter or aggregate earlier, and avoid huge lists and strings.",
    ),
    ("division by zero|divide by zero", "The query divides by zero.", "Divide by NULLIF(x, 0)."),
    (
        "Conversion Error|could not convert|could not cast|Unimplemented type for cast|invalid input syntax|malformed",
        "A value could not be converted to the type that the query asks for.",
        "Use TRY_CAST where there is one, or filter such values out.",
    ),
    ("out of range|overflow", "A value is out of the range of its type.", "Cast to a wider type first."),
    (
        "must appear in the GROUP BY",
        "A selected column is neither grouped nor aggregated.",
        "Add it to GROUP BY, or wrap it in an aggregate.",
    ),
    (
        "cannot be nested|cannot contain aggregates|clause cannot contain|misuse of (aggregate|window)|not allowed in",
        "An aggregate or window function stands where none is allowed.",
        "Use HAVING, QUALIFY or a subquery.",
    ),
    ("ambiguous", "A column name is ambiguous.", "Write it as table.column."),
    (
        "Values were not provided|prepared statement|could not determine data type of parameter|wrong number of param",
        "The query's parameters and the values given do not match.",
        "Give one value for each $name, and cast it: $name::DATE.",
    ),
    (
        "No function matches|best candidate|explicit type cast|does not exist|no such function|number of arguments",
        "A function or operator does not exist for arguments of these types.",
        _TYPES_HINT,
    ),
    ("Cannot compare|Cannot mix|mismatch|cannot be matched|cannot cast", "Types do not match.", _TYPES_HINT),
    (
        "Set operations can only apply|same number of",
        "The sides of a set operation differ in columns.",
        "Select the same columns on both sides.",
    ),
    (
        "More than one row returned",
        "A scalar subquery returns more than one row.",
        "Aggregate it, or add LIMIT 1.",
    ),
    ("syntax error|Parser Error", "The engine could not parse the query.", "Write it in plain SQL of its dialect."),
)


def failure(text: str) -> PlatformError:
    """The error that stands for an engine's message."""
    first_line = text.partition("\n")[0][:2000]
    planned = re.match(r"Binder Error: ([^/]{1,300})$", first_line)
    if planned:  # said before any row was read: it names only what the caller wrote and may see
        return Conflict(f"The engine cannot plan the query: {planned[1]}", hint="Correct it and run it again.")
    if "No space left" in first_line:
        return Unavailable("There is no disk space left for this query.", hint="Ask the operator to make room.")
    for pattern, message, hint in _KNOWN:
        if re.search(pattern, first_line, re.IGNORECASE):
            return Conflict(message, hint=hint)
    if re.search("IO Error|HTTP Error|Connection Error|Permission Error|disk I/O|database is locked", first_line):
        return Unavailable("The data of this query could not be read.", hint="check_connection says more.")
    return Conflict("The engine refused the query.", hint="validate_query and explain_query help to find out.")
