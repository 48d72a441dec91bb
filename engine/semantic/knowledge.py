"""Knowledge: what a tenant's words mean, written by people for questions and models."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from core.context import Principal
from core.errors import NotFound, QueryUnauthorized, Unavailable
from engine.connectors.stream import in_thread
from engine.semantic.store import Kind, SemanticStore, Status
from engine.semantic.written import Writings
from engine.sql.run import Catalog

LAKEHOUSE = "lakehouse"  # whose tables are meant where no connection is named


@dataclass(frozen=True, slots=True)
class Draft:
    """A text to write. tables: only those who see all of them see it."""

    title: str
    text: str
    connection: str = ""
    tables: Sequence[str] = ()
    synonyms: Sequence[str] = ()
    subject_path: str = ""
    status: Status | None = None

    @property
    def connection_id(self) -> str:
        return self.connection or (LAKEHOUSE if self.tables else "")

    def definition(self) -> dict[str, Any]:
        return {
            "title": self.title,
            "text": self.text,
            "tables": list(self.tables),
            "synonyms": list(self.synonyms),
        }


class Knowledge(Writings[Draft]):
    """A tenant's texts."""

    kind: ClassVar[Kind] = "knowledge"
    prefix: ClassVar[str] = "kn"

    def __init__(self, items: SemanticStore, catalog: Catalog):
        super().__init__(items)
        self._catalog = catalog

    async def sees(self, by: Principal, connection_id: str, definition: Mapping[str, Any]) -> bool:
        if not connection_id:
            return True
        view = await self._catalog.view(by, connection_id, "")
        return await in_thread(lambda: all(_governed(str(table), view) for table in definition["tables"]))

    async def check(self, by: Principal, draft: Draft) -> None:
        try:
            is_seen = await self.sees(by, draft.connection_id, draft.definition())
        except (NotFound, Unavailable):
            is_seen = False
        if not is_seen:
            raise QueryUnauthorized(hint="It names a table that you cannot query; list_tables shows those you can.")


def _governed(table: str, view: Any) -> bool:
    from engine.semantic.sight import governed_of  # brings sqlglot

    return governed_of(table, view) is not None
