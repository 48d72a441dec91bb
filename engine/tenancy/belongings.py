"""Everything that belongs to a tenant: rows of the store, files of the home, places of its lakehouse."""

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import Column, Connection, LargeBinary, Table, or_, select
from sqlalchemy.sql.elements import ColumnElement

from core.errors import NotFound
from engine.store.tables import audit, audit_heads, audit_starts, catalog_configs, metadata, tenants

ID = re.compile(r"[A-Za-z0-9_-]{1,64}")
KEPT = (audit.name, audit_heads.name, audit_starts.name, tenants.name)
"""Tables whose rows a purge leaves: the audit stays verifiable, though nobody can read it; the id stays taken."""

SECRET = re.compile(r"(^|_)(secret|hash|password|token|mac|wrapped|key)(_|$)")


@dataclass(frozen=True, slots=True)
class Folders:
    """The folders of a home that hold a sub-folder for each tenant, and what else they may hold of one."""

    home: Path

    def of(self, tenant: str) -> list[Path]:
        """Every folder of a tenant's."""
        if not ID.fullmatch(tenant):
            raise NotFound("No such tenant.")
        names = ("results", "uploads", "imports/rejects", "warehouse", "edge/results", "tmp", "index")
        return [self.home / name / tenant for name in names]

    def of_job(self, job_id: str) -> Path:
        """Where an import of the tenant's works."""
        return self.home / "imports" / "work" / job_id


def tables_of(*, but: Sequence[str] = ()) -> list[Table]:
    """Tables with rows of tenants, those that refer to others first."""
    return [table for table in reversed(metadata.sorted_tables) if table.name not in but and tenant_columns(table)]


def tenant_columns(table: Table) -> list[Column[str]]:
    """The columns that hold a tenant's id: the row's own, and those of the other side of what is shared."""
    return [column for column in table.columns if re.search(r"(^|_)tenant(_id)?$", column.name)]


def rows_of(table: Table, tenant: str) -> ColumnElement[bool]:
    """The rows that are a tenant's, or that name it as the other side."""
    return or_(*(column == tenant for column in tenant_columns(table)))


def shown_columns(table: Table) -> list[Column[object]]:
    """What an export holds of a row: no secrets, and nothing that is sealed."""
    return [
        column
        for column in table.columns
        if not isinstance(column.type, LargeBinary) and not SECRET.search(column.name)
    ]


def named_places(connection: Connection, tenant: str) -> list[str]:
    """Every folder or prefix that a tenant's lakehouse has ever been configured to."""
    query = select(catalog_configs.c.config).where(catalog_configs.c.tenant_id == tenant)
    row = connection.scalar(query)
    config = json.loads(row) if row else {}
    found = [*config.get("earlier", ()), *config.get("shared", ()), config.get("warehouse")]
    return sorted({str(place) for place in found if place})


def files_below(folder: Path) -> Iterator[Path]:
    """Every file below a folder, in order; links are not followed."""
    for path in sorted(folder.rglob("*")) if folder.is_dir() else ():
        if path.is_file() and not path.is_symlink():
            yield path
