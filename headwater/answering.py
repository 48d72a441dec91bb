"""What answers questions, put together: from SQL over the semantic layer to the search for what to ask about."""

from dataclasses import dataclass
from functools import partial

from core.settings import Settings
from engine.catalog.catalog import Catalog
from engine.documents.documents import Documents
from engine.identity.seals import TenantSeals
from engine.planner.questions import Questions
from engine.queries import SavedQueries
from engine.results.kept import KeptResults
from engine.retrieval.retrieval import Retrieval
from engine.semantic.service import Semantic
from engine.sql.budget import GroupingBudget
from engine.sql.builder import QueryBuilder
from engine.sql.lineage import LineageLog
from engine.sql.run import SqlService
from engine.store.db import Store
from engine.transfer.uploads import Uploads
from engine.usage.usage import Usage
from headwater.models import read_models
from headwater.retrieval import add_values, build_documents, build_retrieval
from headwater.semantic import build_questions


@dataclass(frozen=True, slots=True)
class Answers:
    """Parts that know each other."""

    sql: SqlService
    lineage: LineageLog
    results: KeptResults
    builder: QueryBuilder
    saved: SavedQueries
    questions: Questions
    semantic: Semantic
    retrieval: Retrieval
    uploads: Uploads
    documents: Documents


def build_answers(settings: Settings, store: Store, seals: TenantSeals, catalog: Catalog, usage: Usage) -> Answers:
    """The way from SQL to data, and all that is found or asked by words."""
    results = KeptResults(
        settings.home / "results",
        seal=partial(seals.seal, "results"),
        unseal=partial(seals.open, "results"),
        look=catalog.view,
    )
    lineage = LineageLog(store)
    sql = SqlService(
        catalog=catalog,
        store=store,
        settings=settings.query,
        usage=usage,
        results=results,
        charge=GroupingBudget(store).charge_aggregate_budget,
        record=lineage.record,
    )
    builder = QueryBuilder(catalog)
    retrieval = build_retrieval(settings, seals, catalog, read_models(settings))
    add_values(retrieval, catalog, sql, builder)
    questions, semantic = build_questions(store, catalog, sql, builder, retrieval)
    uploads = Uploads(store, folder=settings.home / "uploads", max_bytes=settings.results.max_mb * 2**20)
    return Answers(
        sql=sql,
        lineage=lineage,
        results=results,
        builder=builder,
        saved=SavedQueries(store, reader=builder),
        questions=questions,
        semantic=semantic,
        retrieval=retrieval,
        uploads=uploads,
        documents=build_documents(store, seals, uploads, retrieval),
    )
