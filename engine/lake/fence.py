"""pyiceberg's catalogs, kept to one storage: whatever a catalog, a table or a server's answer says.

Loaded by the first writer only: pyiceberg costs 66 MB."""

from typing import Any

from pyiceberg.catalog.sql import SqlCatalog
from pyiceberg.io.pyarrow import PyArrowFileIO

from engine.lake.bucket import CONNECT_S, TIMEOUT_S, BucketStorage
from engine.lake.buckets import pyarrow_s3_options
from engine.lake.names import CATALOG
from engine.lake.storage import Storage, outside

STORAGE = "headwater.storage"  # among a catalog's properties: never a text


class StorageIO(PyArrowFileIO):
    """Reads and writes files of one storage, with that storage's own properties and no others."""

    def __init__(self, properties: Any):
        self.storage: Storage = properties[STORAGE]
        is_bucket = isinstance(self.storage, BucketStorage)
        super().__init__(dict(self.storage.bucket.properties) if is_bucket else {})

    def new_input(self, location: str) -> Any:
        return super().new_input(self._checked(location))

    def new_output(self, location: str) -> Any:
        return super().new_output(self._checked(location))

    def delete(self, location: Any) -> None:
        super().delete(self._checked(location))

    def _checked(self, location: Any) -> Any:
        if not self.storage.holds(str(getattr(location, "location", location))):
            raise outside()
        return location

    def _initialize_fs(self, scheme: str, netloc: str | None = None) -> Any:
        if not isinstance(self.storage, BucketStorage) or self.storage.bucket.scheme == "abfss":
            return super()._initialize_fs(scheme, netloc)
        from pyarrow.fs import S3FileSystem

        options = pyarrow_s3_options(self.storage.bucket)
        return S3FileSystem(**options, connect_timeout=CONNECT_S, request_timeout=TIMEOUT_S)


def io_properties(storage: Storage) -> dict[str, Any]:
    """What makes every part of pyiceberg read and write through the storage."""
    return {"py-io-impl": f"{__name__}.{StorageIO.__name__}", STORAGE: storage}


class FencedSql(SqlCatalog):
    """A SQL catalog; `prepare` is given its engine before the first connection."""

    def __init__(self, uri: str, storage: Storage, *, warehouse: str, prepare: Any = None):
        self._prepare = prepare
        super().__init__(CATALOG, uri=uri, warehouse=warehouse, **io_properties(storage))

    def _init_catalog(self) -> None:
        if self._prepare is not None:
            self._prepare(self.engine)
        super()._init_catalog()

    def _load_file_io(self, properties: Any = None, location: str | None = None) -> StorageIO:
        return StorageIO(self.properties)  # what the database says about how to read files does not count
