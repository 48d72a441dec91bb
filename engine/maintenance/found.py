"""A lakehouse table as one caller may see it, and the way to its writable form."""

import asyncio
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeVar

from core.context import Principal
from core.errors import NotFound
from engine.catalog.catalog import Catalog
from engine.catalog.holding import Holding
from engine.lake.history import History, read_history
from engine.lake.names import TableName, parse_table_name
from engine.lake.storage import ANYWHERE, Storage
from engine.lake.warehouse import Lake
from engine.policy.rules import Governed

if TYPE_CHECKING:  # pyiceberg comes with the first change of a table, not with the server's start
    from pyiceberg.table import Table

T = TypeVar("T")
LAKEHOUSE = "lakehouse"


@dataclass(frozen=True, slots=True)
class Found:
    """A table that the caller may see, as it was when it was looked for."""

    name: TableName
    metadata_location: str
    governed: Governed
    storage: Storage = field(default=ANYWHERE, repr=False)

    @property
    def sees_all(self) -> bool:
        """False where policies hide some of its rows or columns."""
        return self.governed.is_open

    @property
    def columns(self) -> frozenset[str]:
        """The columns that the caller sees, some perhaps masked."""
        return frozenset(column.name for column in self.governed.relation.columns)

    @property
    def plain_columns(self) -> frozenset[str]:
        """The columns whose values the caller may read as they are."""
        return frozenset(name for name in self.columns if self.governed.privacy(name) == "public")

    def history(self) -> History:
        return read_history(self.metadata_location, self.storage)

    def check_columns(self, names: Iterable[str], *, plain: Iterable[str] = ()) -> None:
        """Raises NotFound for a column that the caller does not see, or in `plain` may not read as it is."""
        for allowed, wanted in ((self.columns, names), (self.plain_columns, plain)):
            for name in wanted:
                if name not in allowed:
                    raise NotFound(
                        f"The table has no column {name[:80]!r}.", hint="get_table_schema shows the columns."
                    )


class TableFinder:
    """Finds tables for callers, and opens them for writing in threads."""

    def __init__(self, lake: Lake, catalog: Catalog):
        self.lake = lake
        self._catalog = catalog
        self._holding = Holding(catalog.policies, catalog.annotations, LAKEHOUSE)

    async def find(self, by: Principal, table: str) -> Found:
        """The table by its name, if the caller may see it. Raises NotFound."""
        view = await self._catalog.table(by, LAKEHOUSE, table)
        name = parse_table_name(view.relation.name)
        opened = await asyncio.to_thread(self.lake.open_now, by.tenant, name)
        storage = await asyncio.to_thread(self.lake.storage, by.tenant)
        return Found(opened.name, opened.metadata.metadata_location, view.governed, storage)

    async def hold(self, by: Principal, found: Found, *, dropped: str = "") -> None:
        """Tie policies and tags to the table's columns before those are called otherwise, or one of them is dropped.

        Raises Conflict."""
        if dropped:
            await self._holding.check_needless(by.tenant, found.governed.source, dropped)
        await self._holding.hold(by.tenant, found.governed.source)

    async def run(self, by: Principal, found: Found, work: "Callable[[Table], T]") -> T:
        """Run blocking work on the table as it is now. Raises NotFound, Conflict, Unavailable."""
        return await self.lake.commit(by.tenant, lambda catalog: work(catalog.load_table(found.name.parts)))
