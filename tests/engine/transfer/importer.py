"""A worker process that runs one import, waits before its commit for a file to appear, and may die after it."""

import os
import signal
import sys
import time
from pathlib import Path
from typing import Any

from core.errors import PlatformError
from engine.lake.warehouse import Lake
from engine.transfer import importing
from engine.transfer.sources import Source


def main(home: Path, attempt: str, ending: str) -> None:
    steps: Any = importing
    real = steps.commit

    def commit(*arguments: Any, **named: Any) -> Any:
        (home / f"{attempt}.ready").touch()
        while not (home / f"{attempt}.go").exists():
            time.sleep(0.01)
        done = real(*arguments, **named)
        if ending == "dies":
            os.kill(os.getpid(), signal.SIGKILL)
        return done

    steps.commit = commit
    lake = Lake(home / "lake")
    table: Any = lake.commit_now("acme", lambda catalog: catalog.load_table(("t", "t")))
    work = home / f"work-{attempt}"
    work.mkdir()
    run = importing.Run("job", attempt, time.time())
    try:
        source = Source(home / "file.csv", "CSV")
        importing.run_import(table, source, importing.Wish(), importing.Rules(), importing.Limits(256, 1, work), run)
    except PlatformError as error:
        sys.stdout.write(error.code)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], sys.argv[3])
