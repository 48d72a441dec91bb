"""What is done with all of a tenant's data at once."""

from dataclasses import dataclass

from engine.tenancy.archive import Archive
from engine.tenancy.purge import Purge


@dataclass(frozen=True, slots=True)
class Tenancy:
    """Export and deletion."""

    archive: Archive
    purge: Purge
