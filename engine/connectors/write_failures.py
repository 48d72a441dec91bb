"""What went wrong while writing, said without the engine's words: they may hold values of other rows."""

from core.errors import Conflict, PlatformError, Unavailable

TAKEN = "A record with the same key is there already."
RULES: dict[str, tuple[str, str]] = {
    "unique": (TAKEN, "Change the key, or let on_conflict be ignore or update."),
    "foreign": ("A record refers to one that is not there, or is referred to.", "Write what is referred to first."),
    "null": ("A column that may not be null has no value.", "list_columns shows which columns are nullable."),
    "check": ("A rule of the table does not allow one of the records.", "See the table's constraints."),
    "value": ("A value does not fit its column.", "list_columns shows the types."),
    "target": (
        "The key columns are no key of the table: on_conflict needs a unique constraint on them.",
        "Name the columns of its primary key.",
    ),
    "busy": ("Other writers hold the same records.", "Retry in a moment."),
    "denied": ("The writing role may not do that.", "Grant it INSERT, UPDATE, DELETE and SELECT on the table."),
    "generated": ("One of the columns is made by the database.", "Leave it out."),
    "other": ("The database refused the change.", "check_connection says more."),
}


def broken_rule(name: str) -> PlatformError:
    """The error that stands for a rule of the database; nothing was written."""
    message, hint = RULES[name]
    return Conflict(message, hint=f"{hint} Nothing was written.")


def unknown_end() -> Unavailable:
    """The connection broke while the transaction was being committed."""
    return Unavailable(
        "The database did not say whether it has written.", hint="Look at the records before trying again."
    )
