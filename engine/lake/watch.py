"""Notices commits to a catalog's database, of this process or another, at the price of one pragma."""

import sqlite3
import threading
from pathlib import Path

MAX_WATCHED = 256


class CommitWatch:
    """SQLite's `data_version` of each watched database, through a connection that writes nothing."""

    def __init__(self) -> None:
        self._open: dict[Path, tuple[int, sqlite3.Connection]] = {}
        self._turn = threading.Lock()

    def token(self, database: Path) -> str:
        """Another text after every commit to the database; empty where there is none yet."""
        try:
            inode = database.stat().st_ino
        except FileNotFoundError:
            return ""
        with self._turn:
            known, connection = self._open.get(database, (None, None))
            if connection is None or known != inode:
                if connection is not None:
                    connection.close()
                connection = sqlite3.connect(f"{database.as_uri()}?mode=ro", uri=True, check_same_thread=False)
                self._open[database] = (inode, connection)
                if len(self._open) > MAX_WATCHED:
                    self._open.pop(next(iter(self._open)))[1].close()
            return f"{inode}.{id(connection)}.{connection.execute('PRAGMA data_version').fetchone()[0]}"

    def close(self) -> None:
        with self._turn:
            while self._open:
                self._open.popitem()[1][1].close()
