"""Whether an Avro file is whole. DuckDB reads a cut one as far as it goes, and says nothing."""

from pathlib import Path
from typing import BinaryIO

from core.errors import Conflict

MAGIC_BYTES, SYNC_BYTES = 4, 16


def check_blocks(path: Path) -> None:
    """Walk over the blocks of a file without reading them. Raises Conflict where one is cut off or damaged."""
    size = path.stat().st_size
    with path.open("rb") as file:
        file.seek(MAGIC_BYTES)
        while count := _long(file):
            if count < 0:
                _long(file)
            for _ in range(2 * abs(count)):  # keys and values
                _skip(file, _long(file), size)
        sync = file.read(SYNC_BYTES)
        while file.tell() < size:
            _long(file)
            _skip(file, _long(file), size)
            if file.read(SYNC_BYTES) != sync:
                raise _damaged()


def _long(file: BinaryIO) -> int:
    value = 0
    for shift in range(0, 70, 7):
        byte = file.read(1)
        if not byte:
            raise _damaged()
        value |= (byte[0] & 0x7F) << shift
        if byte[0] < 0x80:
            return (value >> 1) ^ -(value & 1)
    raise _damaged()


def _skip(file: BinaryIO, count: int, size: int) -> None:
    if count < 0 or file.tell() + count > size:
        raise _damaged()
    file.seek(count, 1)


def _damaged() -> Conflict:
    return Conflict("The file is damaged or cut off.", hint="Send it again.")
