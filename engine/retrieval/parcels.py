"""A folder as one sealed file: what cannot be opened was changed or is not ours, and is never unpacked."""

import io
import json
import os
import secrets
import struct
import tarfile
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path

from core.errors import PlatformError
from engine.retrieval.vectors import Broken, Mark

Transform = Callable[[str, bytes, bytes], bytes]
"""Seals or opens bytes for a tenant; the last argument names what the bytes belong to."""

MAGIC = b"HWIX1\n"
PIECE_BYTES = 4 * 2**20
MAX_MARK_BYTES = 64 * 1024
_LENGTH = struct.Struct(">I")


def read_mark(path: Path) -> Mark | None:
    """What a parcel was made of, or None where there is none that can be read. It is not proven until unpacked."""
    try:
        with path.open("rb") as file:
            return Mark(**json.loads(_head(file)))
    except (OSError, ValueError, TypeError, Broken):
        return None


def pack(folder: Path, path: Path, mark: Mark, seal: Callable[[bytes, bytes], bytes]) -> None:
    """Write a folder to a parcel; it is there whole or not at all."""
    head = json.dumps(asdict(mark)).encode()
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    temporary = path.with_name(f".{path.name}-{secrets.token_hex(4)}")
    try:
        with os.fdopen(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(MAGIC + _LENGTH.pack(len(head)) + head)
            pieces = _Pieces(file, head, seal)
            with tarfile.open(fileobj=pieces, mode="w|", bufsize=512 * 1024) as archive:
                archive.add(folder, arcname=".")
            pieces.finish()
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def unpack(path: Path, folder: Path, unseal: Callable[[bytes, bytes], bytes]) -> Mark:
    """Unpack a parcel to a new folder. Raises Broken."""
    try:
        with path.open("rb") as file:
            head = _head(file)
            source = io.BufferedReader(_Plain(_opened(file, head, unseal)), 512 * 1024)
            with tarfile.open(fileobj=source, mode="r|") as archive:
                archive.extractall(folder, filter="data")
            return Mark(**json.loads(head))
    except (OSError, ValueError, TypeError, tarfile.TarError, PlatformError) as error:
        raise Broken("The index of a tenant cannot be read.", hint="It is made anew by the next search.") from error


def _head(file: io.BufferedReader) -> bytes:
    start = file.read(len(MAGIC) + _LENGTH.size)
    if not start.startswith(MAGIC) or len(start) != len(MAGIC) + _LENGTH.size:
        raise Broken("Not an index.")
    (length,) = _LENGTH.unpack(start[len(MAGIC) :])
    if length > MAX_MARK_BYTES:
        raise Broken("Not an index.")
    return file.read(length)


def _opened(file: io.BufferedReader, head: bytes, unseal: Callable[[bytes, bytes], bytes]) -> Iterator[bytes]:
    """The pieces in order, each opened as the one that it must be; the last one is empty."""
    number = 0
    while True:
        start = file.read(_LENGTH.size)
        if len(start) != _LENGTH.size:
            raise Broken("An index breaks off.")
        (length,) = _LENGTH.unpack(start)
        if length > 2 * PIECE_BYTES:
            raise Broken("An index was changed.")
        plain = unseal(file.read(length), _binding(head, number))
        if not plain:
            return
        yield plain
        number += 1


def _binding(head: bytes, number: int) -> bytes:
    return head + _LENGTH.pack(number)


class _Pieces(io.RawIOBase):
    """Seals what is written to it, piece by piece."""

    def __init__(self, file: io.BufferedWriter, head: bytes, seal: Callable[[bytes, bytes], bytes]):
        self._file = file
        self._head = head
        self._seal = seal
        self._held = bytearray()
        self._number = 0

    def writable(self) -> bool:
        return True

    def write(self, data: object) -> int:
        view = memoryview(data)  # type: ignore[arg-type]
        self._held += view
        while len(self._held) >= PIECE_BYTES:
            self._put(bytes(self._held[:PIECE_BYTES]))
            del self._held[:PIECE_BYTES]
        return view.nbytes

    def finish(self) -> None:
        if self._held:
            self._put(bytes(self._held))
        self._put(b"")

    def _put(self, piece: bytes) -> None:
        sealed = self._seal(piece, _binding(self._head, self._number))
        self._file.write(_LENGTH.pack(len(sealed)) + sealed)
        self._number += 1


class _Plain(io.RawIOBase):
    """Pieces read as one stream."""

    def __init__(self, pieces: Iterator[bytes]):
        self._pieces = pieces
        self._held = b""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: object) -> int:
        view = memoryview(buffer)  # type: ignore[arg-type]
        if not self._held:
            self._held = next(self._pieces, b"")
        taken = self._held[: view.nbytes]
        view[: len(taken)] = taken
        self._held = self._held[len(taken) :]
        return len(taken)
