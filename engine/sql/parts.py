"""Parts of a stream, for faces that show them as rows."""

from core.portable import Rows
from engine.sql.rows import make_rows


def read_part(chunk: bytes) -> Rows:
    """The rows of one self-contained Arrow IPC stream."""
    import pyarrow as pa  # 60 MB that a start does not need

    with pa.ipc.open_stream(chunk) as reader:
        return make_rows(reader.schema, list(reader))
