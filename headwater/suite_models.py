"""The semantic models of a suite: imported for a run on the suite's own connection, and taken away after it."""

import contextlib
from collections.abc import AsyncIterator
from typing import Any

from core.context import Caller, Principal
from core.errors import Conflict, NotFound
from engine.semantic.importing import Exchange
from evals.cases import Suite
from evals.runner import Place

ENDINGS = (".yaml", ".yml")


@contextlib.asynccontextmanager
async def suite_models(
    exchange: Exchange, call: Caller, by: Principal, suite: Suite, place: Place
) -> AsyncIterator[None]:
    """Nothing where the suite names none. Raises NotFound, and Conflict for names that the tenant's own layer has."""
    if suite.semantic_models is None:
        yield
        return
    if len(place.connections) != 1:  # on a connection that is not the suite's own they would take the place of others
        raise Conflict(
            f"The suite {suite.name!r} names semantic models, and not one database of its own.",
            hint="Leave semantic_models out, or name one database.",
        )
    folder, connection_id = suite.semantic_models, next(iter(place.connections.values()))
    paths = sorted(path for path in folder.rglob("*") if path.suffix in ENDINGS)
    if not paths:
        raise NotFound(f"The semantic models of the suite {suite.name!r} are not at hand: no YAML in {folder}.")
    files: Any = {str(path.relative_to(folder)): path.read_text(encoding="utf-8") for path in paths}
    await exchange.unload(by, connection_id)  # of a run that was killed
    await call("import_semantic_model", {"files": files, "connection_id": connection_id})
    try:
        yield
    finally:
        await exchange.unload(by, connection_id)
