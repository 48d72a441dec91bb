"""What a commit asks for: who may ask it, and what no client may ask."""

import re
import time
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from core.context import Principal
from core.errors import InvalidArgument, Unauthorized
from engine.rest_catalog.paths import check_below
from engine.rest_catalog.refusals import UnsupportedOperation

if TYPE_CHECKING:  # pyiceberg comes with the first commit
    from pyiceberg.table.update import TableRequirement, TableUpdate

MAX_UPDATES = 1000
MAX_PROPERTIES = 500
MAX_KEY, MAX_VALUE = 256, 64 * 1024
MAX_VERSION = 2
DAY_MS = 24 * 3600 * 1000

EVOLVE, WRITE, MAINTAIN = "tables.evolve", "records.write", "tables.maintain"
NEEDS: Mapping[str, str] = {
    "assign-uuid": EVOLVE,
    "upgrade-format-version": EVOLVE,
    "add-schema": EVOLVE,
    "set-current-schema": EVOLVE,
    "remove-schemas": EVOLVE,
    "add-spec": EVOLVE,
    "set-default-spec": EVOLVE,
    "remove-partition-specs": EVOLVE,
    "add-sort-order": EVOLVE,
    "set-default-sort-order": EVOLVE,
    "set-location": EVOLVE,
    "set-properties": EVOLVE,
    "remove-properties": EVOLVE,
    "add-snapshot": WRITE,
    "set-snapshot-ref": MAINTAIN,  # of `main` to a snapshot of the same commit: WRITE
    "remove-snapshot-ref": MAINTAIN,
    "remove-snapshots": MAINTAIN,
    "set-statistics": MAINTAIN,
    "remove-statistics": MAINTAIN,
    "set-partition-statistics": MAINTAIN,
    "remove-partition-statistics": MAINTAIN,
}
# They name code or places for whoever opens the table next, this server among them. The marks of finished imports are
# let through: another Headwater, whose lakehouse lies here, sets them.
_NOT_FOR_CLIENTS = re.compile(
    r"(py-|s3\.|gcs?\.|gs\.|adls?\.|azure\.|abfs|wasb|hdfs\.|hf\.|oss\.|client\.|fs\.|glue\.|dynamodb\.|rest\.|pyarrow\.|"
    r"headwater\.(?!import\.[0-9A-Za-z-]{1,64}$)|io-impl$|uri$|warehouse$|token$|credential$|write\.py-location-provider\.|write\.location-provider\.|"
    r"write\.object-storage\.path$|write\.folder-storage\.path$)",
    re.IGNORECASE,
)
_PLACES = ("write.data.path", "write.metadata.path")
_METADATA_CODEC = "write.metadata.compression-codec"
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


def read_commit(body: Mapping[str, Any]) -> "tuple[tuple[TableRequirement, ...], tuple[TableUpdate, ...]]":
    """Raises InvalidArgument for kinds that nobody knows and for forms that are not those of the protocol."""
    from pydantic import TypeAdapter
    from pyiceberg.table.update import TableRequirement, TableUpdate

    for name in ("requirements", "updates"):
        if not isinstance(body.get(name, []), list) or len(body.get(name, [])) > MAX_UPDATES:
            raise InvalidArgument(f"`{name}` is not a list of at most {MAX_UPDATES}.", hint="Commit in parts.")
    requirements: TypeAdapter[tuple[TableRequirement, ...]] = TypeAdapter(tuple[TableRequirement, ...])
    updates: TypeAdapter[tuple[TableUpdate, ...]] = TypeAdapter(tuple[TableUpdate, ...])
    with read_errors("commit"):
        return (
            requirements.validate_python(body.get("requirements", [])),
            updates.validate_python(body.get("updates", [])),
        )


class read_errors:  # noqa: N801 - used as a statement
    """Turns what pyiceberg's models raise on a client's words into InvalidArgument."""

    def __init__(self, what: str):
        self._what = what

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        from pyiceberg.exceptions import ValidationException

        wrong = (ValueError, TypeError, KeyError, AttributeError, IndexError, ValidationException, NotImplementedError)
        # StopIteration: a schema or spec that is not there; it must not reach a future, which would wait for ever.
        if isinstance(error, (*wrong, OverflowError, RecursionError, AssertionError, StopIteration)):
            raise InvalidArgument(f"The {self._what} cannot be read: {told(error)}.") from error


def told(error: BaseException) -> str:
    """The first line of what a library says about a client's input, without its links and values."""
    from pydantic import ValidationError

    if isinstance(error, ValidationError):
        first = error.errors(include_url=False, include_input=False, include_context=False)[0]
        place = ".".join(str(part) for part in first["loc"] if not str(part).startswith("function-"))
        return f"{place}: {first['msg']}"[:200]
    return str(error).partition("\n")[0][:200].rstrip(".")


def check_rights(by: Principal, updates: "Sequence[TableUpdate]", *, is_new: bool) -> None:
    """Raises Unauthorized when the caller may not ask for one of the updates."""
    needed = {"datasets.manage"} if is_new else needs_of(updates)
    if is_new and any(update.action == "add-snapshot" for update in updates):
        needed.add(WRITE)
    for permission in sorted(needed):
        if not by.may(permission):
            raise Unauthorized(
                f"This commit needs the permission {permission}.", hint="Ask an administrator for a role that has it."
            )


def needs_of(updates: "Sequence[TableUpdate]") -> set[str]:
    """The permissions that updates of a table need."""
    added = {update.snapshot.snapshot_id for update in updates if update.action == "add-snapshot"}
    needed = set()
    for update in updates:
        is_write = update.action == "set-snapshot-ref" and update.ref_name == "main" and update.snapshot_id in added
        needed.add(WRITE if is_write else NEEDS[update.action])
    return needed


def check_updates(updates: "Iterable[TableUpdate]", location: str, identity: str) -> None:
    """Raises InvalidArgument for an update that would lead a reader or writer out of the table's location."""
    for update in updates:
        _check_identity(update, location, identity)
        if update.action == "set-properties":
            check_properties(update.updates, location)
        elif update.action == "remove-properties" and any(_NOT_FOR_CLIENTS.match(key) for key in update.removals):
            raise InvalidArgument("The commit removes a property that is not a client's.")
        elif update.action == "set-statistics":
            check_below(location, update.statistics.statistics_path, "statistics file")
        elif update.action == "set-partition-statistics":
            check_below(location, update.partition_statistics.statistics_path, "statistics file")
        elif update.action == "add-snapshot":
            check_time(update.snapshot.timestamp_ms)
        elif update.action == "add-schema":
            check_names(update.schema_)


def _check_identity(update: "TableUpdate", location: str, identity: str) -> None:
    if update.action == "set-location" and update.location.rstrip("/") != location:
        raise InvalidArgument("A table stays where it is.", hint="Leave set-location out.")
    if update.action == "assign-uuid" and str(update.uuid) != identity:
        raise InvalidArgument("A table keeps its uuid.", hint="Leave assign-uuid out.")
    if update.action == "upgrade-format-version":
        check_version(update.format_version)


def check_properties(properties: Mapping[str, str], location: str = "") -> None:
    """Raises InvalidArgument for properties that are not for clients to set."""
    if len(properties) > MAX_PROPERTIES:
        raise InvalidArgument(f"There are more than {MAX_PROPERTIES} properties.")
    for key, value in properties.items():
        if len(key) > MAX_KEY or len(value) > MAX_VALUE or _CONTROL.search(key):
            raise InvalidArgument(f"The property {key[:80]!r} is too long.")
        if _NOT_FOR_CLIENTS.match(key) or (key in _PLACES and not location):
            raise InvalidArgument(f"The property {key[:80]!r} is not for clients to set.", hint="Leave it out.")
        if key in _PLACES:
            check_below(location, f"{value.rstrip('/')}/x", f"property {key}")
        if key == _METADATA_CODEC and value.lower() not in ("none", ""):
            raise InvalidArgument("Metadata files are not packed here.", hint=f"Leave {_METADATA_CODEC} out.")
        if key.startswith("commit.retry.") and not re.fullmatch(r"[0-9]{1,6}", value):
            raise InvalidArgument(f"The property {key[:80]!r} is no number of at most 6 digits.")


def check_version(version: int) -> None:
    if not 1 <= version <= MAX_VERSION:
        raise UnsupportedOperation(
            f"Tables of format version {version} are only read here.", hint="Write tables of version 2."
        )


def check_time(timestamp_ms: int) -> None:
    if not 0 < timestamp_ms < time.time() * 1000 + DAY_MS:
        raise InvalidArgument("The snapshot's timestamp lies in the future.", hint="Check the client's clock.")


def check_names(schema: Any) -> None:
    """Raises InvalidArgument for a column that could not be named in SQL."""
    for name in schema.column_names:
        if not name or len(name) > 1000 or _CONTROL.search(name):
            raise InvalidArgument("A column's name is empty, too long or has control characters.")
