"""What is done with all of a tenant's data at once."""

from dataclasses import dataclass

from engine.tenancy.archive import Archive
from engine.tenancy.purge import Purge
from engine.tenancy.retention import Retention


@dataclass(frozen=True, slots=True)
class Tenancy:
    """Export, deletion, and what is not kept for ever."""

    archive: Archive
    purge: Purge
    retention: Retention
