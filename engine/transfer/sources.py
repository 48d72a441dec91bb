"""What a file is (its format and outer compression), and the plain form of a compressed one within bounds."""

import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from core.errors import Conflict

Format = Literal["CSV", "JSON", "PARQUET", "AVRO", "ARROW"]
ENDINGS: dict[str, Format] = {
    ".csv": "CSV",
    ".tsv": "CSV",
    ".txt": "CSV",
    ".json": "JSON",
    ".jsonl": "JSON",
    ".ndjson": "JSON",
    ".parquet": "PARQUET",
    ".avro": "AVRO",
    ".arrow": "ARROW",
    ".arrows": "ARROW",
    ".feather": "ARROW",
    ".ipc": "ARROW",
}
_MAGIC: tuple[tuple[bytes, Format], ...] = ((b"PAR1", "PARQUET"), (b"Obj\x01", "AVRO"), (b"ARROW1", "ARROW"))
_ARCHIVES = ((b"PK\x03\x04", "ZIP"), (b"7z\xbc\xaf", "7z"), (b"Rar!", "RAR"), (b"BZh", "bzip2"), (b"\xfd7zXZ", "xz"))
MAX_RATIO = 300  # of text to its compressed form; more is no data
FREE_BYTES = 64 * 2**20  # below which no ratio is looked at
PIECE = 2**20


@dataclass(frozen=True, slots=True)
class Source:
    """A plain file to read, and what it is."""

    path: Path
    format: Format


def open_source(path: Path, name: str, asked: Format | None, *, spool: Path, max_bytes: int) -> Source:
    """The file as its bytes and its name tell; a compressed one is written out into `spool`. Raises Conflict."""
    head = _head(path)
    if head[:2] == b"\x1f\x8b" or head[:4] == b"\x28\xb5\x2f\xfd":
        pieces = _gunzip(path) if head[:1] == b"\x1f" else _unzstd(path)
        _spool(pieces, spool, path.stat().st_size, max_bytes)
        path, head = spool, _head(spool)
        name = name.removesuffix(".gz").removesuffix(".gzip").removesuffix(".zst").removesuffix(".zstd")
    for magic, kind in _ARCHIVES:
        if head.startswith(magic):
            raise Conflict(f"The file is a {kind} archive.", hint="Send the file inside, plain or as .gz or .zst.")
    return Source(path, _format(head, name, asked))


def _format(head: bytes, name: str, asked: Format | None) -> Format:
    told: Format | None = next((kind for magic, kind in _MAGIC if head.startswith(magic)), None)
    if told is None and head.startswith(b"\xff\xff\xff\xff"):
        told = "ARROW"  # a stream of IPC messages
    by_name = ENDINGS.get(Path(name).suffix.lower())
    found = told or asked or by_name
    if found is None:
        raise Conflict("What format the file has is not known.", hint="Say `format`: CSV, JSON, PARQUET, AVRO, ARROW.")
    if asked is not None and found != asked:
        raise Conflict(f"The file is {found}, not {asked}.", hint="Leave `format` out.")
    if told is None and found not in ("CSV", "JSON"):
        raise Conflict(f"The file is not {found}: it does not begin like one.", hint="Check that it is whole.")
    return found


def _head(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(16)


def _spool(pieces: Iterator[bytes], spool: Path, packed: int, max_bytes: int) -> None:
    size = 0
    with spool.open("wb") as out:
        spool.chmod(0o600)
        for piece in pieces:
            size += len(piece)
            if size > max_bytes or (size > FREE_BYTES and size > MAX_RATIO * packed):
                raise Conflict(
                    "The compressed file grows beyond all bounds when it is unpacked.",
                    hint="Split it, or send it in a format such as Parquet.",
                )
            out.write(piece)


def _gunzip(path: Path) -> Iterator[bytes]:
    inflate = zlib.decompressobj(31)
    with path.open("rb") as file:
        while data := file.read(PIECE):
            while data:
                try:
                    piece = inflate.decompress(data, PIECE)
                except zlib.error:
                    raise _broken() from None
                if piece:
                    yield piece
                data = inflate.unconsumed_tail
                if inflate.eof:
                    data = inflate.unused_data.lstrip(b"\0")
                    if data:  # gzip files may stand one after another
                        inflate = zlib.decompressobj(31)
    if not inflate.eof:
        raise _broken()


def _unzstd(path: Path) -> Iterator[bytes]:
    import pyarrow as pa

    try:
        with pa.OSFile(str(path), "rb") as file, pa.CompressedInputStream(file, "zstd") as stream:
            while piece := stream.read(PIECE):
                yield piece
    except (OSError, pa.ArrowException):
        raise _broken() from None


def _broken() -> Conflict:
    return Conflict("The compressed file is damaged or cut off.", hint="Send it again.")
