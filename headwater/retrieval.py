"""The index of what a tenant may look for, put together."""

from functools import partial

from core.settings import Settings
from engine.catalog.catalog import Catalog
from engine.documents.documents import Documents
from engine.identity.seals import TenantSeals
from engine.retrieval.folders import SealedFolders
from engine.retrieval.retrieval import Retrieval
from engine.retrieval.tables import TableSource
from engine.store.db import Store
from engine.transfer.uploads import Uploads


def build_retrieval(settings: Settings, seals: TenantSeals, catalog: Catalog) -> Retrieval:
    """Search by words and by meaning. Other sources register with it."""
    vectors = SealedFolders(
        settings.home / "index",
        settings.home / "tmp",
        seal=partial(seals.seal, "index"),
        unseal=partial(seals.open, "index"),
    )
    return Retrieval([TableSource(catalog)], vectors=vectors)


def build_documents(store: Store, seals: TenantSeals, uploads: Uploads, retrieval: Retrieval) -> Documents:
    """Assets and their documents, whose passages are searched too."""
    documents = Documents(
        store, uploads=uploads, seal=partial(seals.seal, "documents"), unseal=partial(seals.open, "documents")
    )
    retrieval.register(documents)
    return documents
