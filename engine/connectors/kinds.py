"""The kinds of connections and the options each takes, as models that forms and documents can show."""

from collections.abc import Mapping

from pydantic import Field, SecretStr, ValidationError

from core.errors import Conflict, InvalidArgument
from core.portable import Model

SECRET_FIELDS = frozenset({"password", "write_password"})
WRITING_SECRETS = frozenset({"write_password"})
"""Secrets of the writing credential, which no reader is given."""


class LakehouseOptions(Model):
    """The tenant's own Iceberg tables."""


class DuckdbOptions(Model):
    """A DuckDB database file, opened read-only."""

    path: str = Field(min_length=1, max_length=4096, description="Absolute path of the database file.")


class FilesOptions(Model):
    """A Parquet, CSV or JSON file, or a folder in which each file or sub-folder is one table."""

    path: str = Field(min_length=1, max_length=4096, description="Absolute path of the file or folder.")


class SqliteOptions(Model):
    """A SQLite database file, opened read-only by queries."""

    path: str = Field(min_length=1, max_length=4096, description="Absolute path of the database file.")
    allow_writes: str = Field(
        "false", pattern="^(true|false)$", description="true: records may be written, where the operator allows it too."
    )


class PostgresqlOptions(Model):
    """A PostgreSQL database, read in read-only transactions. Give it a role that can only read.

    Records are written by another role, `write_user`, where one is given."""

    host: str = Field(min_length=1, max_length=255, description="Host name or address.")
    port: str = Field("5432", pattern=r"^\d{1,5}$", description="Port.")
    database: str = Field(min_length=1, max_length=255, description="Database.")
    user: str = Field(min_length=1, max_length=255, description="Role to connect as.")
    password: SecretStr = Field(SecretStr(""), description="Password of the role; stored encrypted, never shown.")
    write_user: str = Field("", max_length=255, description="Role that writes records; empty: the connection reads.")
    write_password: SecretStr = Field(
        SecretStr(""), description="Password of that role; stored encrypted, never shown."
    )
    sslmode: str = Field(
        "prefer",
        pattern="^(disable|allow|prefer|require|verify-ca|verify-full)$",
        description="libpq's sslmode; verify-full checks the server's certificate.",
    )


OPTIONS: Mapping[str, type[Model]] = {
    "lakehouse": LakehouseOptions,
    "duckdb": DuckdbOptions,
    "files": FilesOptions,
    "sqlite": SqliteOptions,
    "postgresql": PostgresqlOptions,
}


def read_options(kind: str, options: Mapping[str, str], secret: Mapping[str, str]) -> Model:
    """The options of a connection as its model. Raises Conflict that never shows a secret.

    No request schema can say which options go with which kind, so wrong ones are no InvalidArgument."""
    if kind == "share":
        raise Conflict("A dataset that is shared with you can only be read.", hint="Its owner changes it.")
    if kind not in OPTIONS:
        raise InvalidArgument(f"No connection kind {kind[:40]!r}.", hint=f"Kinds: {', '.join(OPTIONS)}.")
    try:
        return OPTIONS[kind].model_validate({**options, **secret})
    except ValidationError as error:
        wrong = ", ".join(f"{'.'.join(map(str, item['loc']))}: {item['msg']}" for item in error.errors()[:5])
        names = ", ".join(OPTIONS[kind].model_fields) or "none"
        raise Conflict(f"Wrong options for {kind}: {wrong}.", hint=f"Options: {names}.") from None


def split_options(kind: str, given: Mapping[str, str]) -> tuple[dict[str, str], dict[str, str]]:
    """Options apart from secrets, both checked; what `create_connection` stores."""
    read_options(kind, given, {})
    plain = {name: value for name, value in given.items() if name not in SECRET_FIELDS}
    return plain, {name: value for name, value in given.items() if name in SECRET_FIELDS}
