"""A bucket of S3, Google Cloud Storage or Azure as the store of results, by obstore."""

from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from core.errors import NotFound, Unavailable
from engine.results.objects import Found

if TYPE_CHECKING:
    from obstore.store import ObjectStore

PART_BYTES = 8 * 2**20
PARTS_AT_ONCE = 2
TRIES = 3
PATIENCE_S = 20.0
_AWAY = "The store of results does not answer."
SIGNABLE = ("s3", "gs", "az")


class BucketObjects:
    """Objects in a bucket, uploaded in parts; an upload that fails is aborted.

    Parts of a killed process stay in the bucket, unlisted, until its own lifecycle rule removes them."""

    def __init__(self, url: str, options: Mapping[str, str]):
        self._url = url.rstrip("/")
        self._options = dict(options)
        self._opened: ObjectStore | None = None

    @property
    def _store(self) -> Any:
        if self._opened is None:
            from obstore.store import from_url  # brings a TLS stack: 20 MB that a local folder does not need

            is_plain = self._options.get("endpoint", "").startswith("http://")
            client: Any = {"allow_http": True} if is_plain else {}
            retry: Any = {"max_retries": TRIES, "retry_timeout": timedelta(seconds=PATIENCE_S)}
            options: Any = self._options
            self._opened = from_url(self._url, client_options=client, retry_config=retry, **options)
        return self._opened

    def uri(self, path: str) -> str:
        return f"{self._url}/{path}"

    async def put(self, path: str, chunks: AsyncIterator[bytes]) -> None:
        import obstore

        try:
            with _translated():
                await obstore.put_async(
                    self._store, path, chunks, use_multipart=True, chunk_size=PART_BYTES, max_concurrency=PARTS_AT_ONCE
                )
        except NotFound as error:  # of the bucket itself
            raise Unavailable(_AWAY, hint="Have the operator check results.url and its options.") from error

    async def read(self, path: str, start: int, end: int) -> bytes:
        import obstore

        if end <= start:
            return b""
        with _translated():
            return bytes(await obstore.get_range_async(self._store, path, start=start, end=end))

    async def delete(self, found: Found) -> None:
        import obstore

        try:
            with _translated():
                await obstore.delete_async(self._store, found.path)
        except NotFound:
            return

    async def list(self, prefix: str) -> AsyncIterator[Found]:
        import obstore

        with _translated():
            async for page in obstore.list(self._store, prefix):
                for meta in page:
                    yield Found(meta["path"])

    async def sign(self, path: str, lifetime_s: float) -> str | None:
        import obstore

        if not self._url.startswith(SIGNABLE):
            return None
        with _translated():
            return str(await obstore.sign_async(self._store, "GET", path, timedelta(seconds=lifetime_s)))


@contextmanager
def _translated() -> Iterator[None]:
    from obstore.exceptions import BaseError

    try:
        yield
    except FileNotFoundError:
        raise NotFound("The stored result is gone.", hint="Run the query again.") from None
    except (BaseError, OSError) as error:
        # The store's words may hold its address or key names.
        raise Unavailable(_AWAY, hint="Retry in a moment.") from error
