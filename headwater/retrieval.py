"""The index of what a tenant may look for, put together."""

from functools import partial

from core.settings import Settings
from engine.catalog.catalog import Catalog
from engine.documents.documents import Documents
from engine.egress.client import EgressClient
from engine.identity.seals import TenantSeals
from engine.models.file import private_hosts
from engine.models.model import ModelsFile
from engine.retrieval.embedding import Embedder
from engine.retrieval.folders import SealedFolders
from engine.retrieval.lexical import LexicalEmbedder
from engine.retrieval.onnx import OnnxEmbedder
from engine.retrieval.remote import RemoteEmbedder
from engine.retrieval.retrieval import Retrieval
from engine.retrieval.server import ServedVectors
from engine.retrieval.tables import TableSource
from engine.retrieval.values import ValueSource
from engine.retrieval.vectors import VectorStore
from engine.sql.builder import QueryBuilder
from engine.sql.run import SqlService
from engine.store.db import Store
from engine.transfer.uploads import Uploads


def build_retrieval(settings: Settings, seals: TenantSeals, catalog: Catalog, file: ModelsFile) -> Retrieval:
    """Search by words and by meaning, as models.yml says. Other sources register with it."""
    return Retrieval(
        [TableSource(catalog)], vectors=_open_vectors(settings, seals, file), embedder=_open_embedder(settings, file)
    )


def add_values(retrieval: Retrieval, catalog: Catalog, sql: SqlService, builder: QueryBuilder) -> None:
    """Values of columns are searched too."""
    tables = retrieval.source(TableSource.name)
    assert isinstance(tables, TableSource), "build_retrieval has made it"
    retrieval.register(ValueSource(catalog, tables, sql, builder))


def build_documents(store: Store, seals: TenantSeals, uploads: Uploads, retrieval: Retrieval) -> Documents:
    """Assets and their documents, whose passages are searched too."""
    documents = Documents(
        store, uploads=uploads, seal=partial(seals.seal, "documents"), unseal=partial(seals.open, "documents")
    )
    retrieval.register(documents)
    return documents


def _open_vectors(settings: Settings, seals: TenantSeals, file: ModelsFile) -> VectorStore:
    if file.index_url:
        return ServedVectors(file.index_url, _egress(settings, file))
    return SealedFolders(
        settings.home / "index",
        settings.home / "tmp",
        seal=partial(seals.seal, "index"),
        unseal=partial(seals.open, "index"),
    )


def _open_embedder(settings: Settings, file: ModelsFile) -> Embedder:
    config = file.embedder
    if config.kind == "openai":
        return RemoteEmbedder(config, _egress(settings, file))
    return OnnxEmbedder(config) if config.kind == "onnx" else LexicalEmbedder()


def _egress(settings: Settings, file: ModelsFile) -> EgressClient:
    """A way out that also leads to the hosts that models.yml names."""
    hosts = [*settings.egress.allowed_private_hosts, *private_hosts(file)]
    return EgressClient(settings.egress.model_copy(update={"allowed_private_hosts": hosts}))
