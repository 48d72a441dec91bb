"""Run by itself: compacts tables and is killed (SIGKILL) at a chosen point of each; forked, so that it starts once."""

import inspect
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pyiceberg.catalog.sql import SqlCatalog
from pyiceberg.table import Transaction

from engine.lake.warehouse import Lake
from engine.maintenance import compaction, writing
from engine.maintenance.planning import CompactionOptions
from engine.maintenance.replace import Replacement
from engine.maintenance.writing import WriterLimits

POINTS: dict[str, tuple[Any, str, bool]] = {
    "written": (writing, "_describe", False),
    "staged": (Replacement, "commit", False),
    "manifests": (Transaction, "commit_transaction", False),
    "metadata": (SqlCatalog, "_write_metadata", True),
    "committed": (SqlCatalog, "commit_table", True),
}
"""At which function a run is killed: before it, or once it has done its work."""


def die_at(place: Any, name: str, *, is_after: bool) -> None:
    real: Callable[..., Any] = getattr(place, name)

    def dying(*args: Any, **kwargs: Any) -> None:
        if is_after:
            real(*args, **kwargs)
        os.kill(os.getpid(), signal.SIGKILL)

    is_static = isinstance(inspect.getattr_static(place, name), staticmethod)
    setattr(place, name, staticmethod(dying) if is_static else dying)


def main() -> None:
    for point, (place, name, is_after) in POINTS.items():
        child = os.fork()
        if child == 0:
            lake = Lake(Path(sys.argv[1]))
            table = lake.commit_now("default", lambda catalog, point=point: catalog.load_table(("shop", point)))  # type: ignore[misc]
            die_at(place, name, is_after=is_after)
            options = CompactionOptions(min_input_files=2)
            compaction.run_compaction(table, options, run_id="job", limits=WriterLimits(threads=1))
            os._exit(0)
        _, status = os.waitpid(child, 0)
        if not os.WIFSIGNALED(status) or os.WTERMSIG(status) != signal.SIGKILL:
            sys.exit(f"{point}: {status}")


if __name__ == "__main__":
    main()
