"""Looks into the manifests of a commit before it is made: every file that they name is the table's own."""

import os
import stat
import zlib
from io import BytesIO
from typing import TYPE_CHECKING, BinaryIO

from core.errors import Conflict, InvalidArgument
from engine.lake.metadata import local_path
from engine.rest_catalog.paths import check_below

if TYPE_CHECKING:  # pyiceberg comes with the first commit
    from pyiceberg.io import FileIO
    from pyiceberg.table.snapshots import Snapshot

MAX_FILE = 64 * 2**20
MAX_COMMIT = 256 * 2**20
MAX_BLOCK = 64 * 2**20
CODECS = (b"null", b"deflate")


def check_snapshot(snapshot: "Snapshot", parent: "Snapshot | None", location: str, io: "FileIO") -> None:
    """Raises InvalidArgument for a file outside of the table, and for a manifest that cannot be read.

    What the parent has was looked into when that was committed."""
    known = set(_list(parent.manifest_list, io)) if parent is not None else set()
    check_below(location, snapshot.manifest_list, "manifest list")
    check_container(snapshot.manifest_list, io)
    budget = MAX_COMMIT
    for path in _list(snapshot.manifest_list, io):
        if path in known:
            continue
        check_below(location, path, "manifest")
        budget -= check_container(path, io)
        if budget < 0:
            raise Conflict(f"The new manifests have more than {MAX_COMMIT // 2**20} MB.", hint="Commit in parts.")
        _check_manifest(path, location, io)


def _list(path: str, io: "FileIO") -> list[str]:
    from pyiceberg.manifest import read_manifest_list

    try:
        return [manifest.manifest_path for manifest in read_manifest_list(io.new_input(path))]
    except BROKEN as error:
        raise _unreadable("manifest list") from error


def _check_manifest(path: str, location: str, io: "FileIO") -> None:
    from pyiceberg.avro.file import AvroFile
    from pyiceberg.manifest import (
        MANIFEST_ENTRY_SCHEMAS,
        DataFile,
        DataFileContent,
        FileFormat,
        ManifestEntry,
        ManifestEntryStatus,
    )

    try:
        with AvroFile[ManifestEntry](
            io.new_input(path),
            MANIFEST_ENTRY_SCHEMAS[2],
            read_types={-1: ManifestEntry, 2: DataFile},
            read_enums={0: ManifestEntryStatus, 101: FileFormat, 134: DataFileContent},
        ) as reader:
            paths = [entry.data_file.file_path for entry in reader]
    except BROKEN as error:
        raise _unreadable("manifest") from error
    for file_path in paths:  # also of deleted entries: an expiry deletes the files that they name
        check_below(location, file_path, "data file")


def check_container(path: str, io: "FileIO") -> int:
    """The size of an Avro file whose blocks are all of a sane size. Raises InvalidArgument.

    The library that reads it afterwards unpacks any block whole, however much comes out."""
    try:
        with _open_local(path) if path.startswith(("/", "file:")) else _fetch(path, io) as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(0)
            if size > MAX_FILE:
                raise _unreadable("manifest or manifest list")
            _check_blocks(file)
            return size
    except (OSError, EOFError, zlib.error) as error:
        raise _unreadable("manifest or manifest list") from error


def _open_local(path: str) -> BinaryIO:
    descriptor = os.open(local_path(path), os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError("not a file")
    return os.fdopen(descriptor, "rb")


def _fetch(path: str, io: "FileIO") -> BinaryIO:
    found = io.new_input(path)
    if len(found) > MAX_FILE:
        raise _unreadable("manifest or manifest list")
    with found.open() as stream:
        return BytesIO(stream.read(MAX_FILE))


def _check_blocks(file: BinaryIO) -> None:
    if file.read(4) != b"Obj\x01":
        raise _unreadable("manifest or manifest list")
    codec = b"null"
    while (count := _long(file)) != 0:
        if count < 0:
            _long(file)
        for _ in range(abs(count)):
            key, value = _bytes(file), _bytes(file)
            codec = value if key == b"avro.codec" else codec
    if codec not in CODECS:
        raise InvalidArgument(
            f"Manifests packed with {codec[:20]!r} are not read.", hint="Set write.avro.compression-codec to gzip."
        )
    sync = file.read(16)
    while head := file.read(1):
        file.seek(-len(head), os.SEEK_CUR)
        _long(file)
        block = _bytes(file)
        unpacking = zlib.decompressobj(-zlib.MAX_WBITS)
        if codec == b"deflate" and len(unpacking.decompress(block, MAX_BLOCK)) >= MAX_BLOCK:
            raise _unreadable("manifest or manifest list")
        if file.read(16) != sync:
            raise EOFError


def _long(file: BinaryIO) -> int:
    value = shift = 0
    while True:
        byte = file.read(1)
        if not byte or shift > 63:
            raise EOFError
        value |= (byte[0] & 0x7F) << shift
        shift += 7
        if byte[0] < 0x80:
            return (value >> 1) ^ -(value & 1)


def _bytes(file: BinaryIO) -> bytes:
    size = _long(file)
    if not 0 <= size <= MAX_FILE:
        raise EOFError
    found = file.read(size)
    if len(found) != size:
        raise EOFError
    return found


# What pyiceberg's reader raises on bytes that are no manifest: it has no error of its own for that.
BROKEN = (OSError, EOFError, ValueError, TypeError, KeyError, IndexError, AttributeError, OverflowError, AssertionError)


def _unreadable(what: str) -> InvalidArgument:
    return InvalidArgument(
        f"A {what} of the commit cannot be read.", hint="Write it as Avro, below the table's location, and then commit."
    )
