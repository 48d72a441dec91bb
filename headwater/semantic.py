"""Questions in words, and the semantic layer that goes before them, put together."""

from engine.catalog.catalog import Catalog
from engine.planner.questions import Questions
from engine.retrieval.retrieval import Retrieval
from engine.semantic.service import Semantic
from engine.semantic.sources import register_sources
from engine.sql.builder import QueryBuilder
from engine.sql.run import SqlService
from engine.store.db import Store


def build_questions(
    store: Store, catalog: Catalog, sql: SqlService, builder: QueryBuilder, retrieval: Retrieval
) -> tuple[Questions, Semantic]:
    """What answers questions: metrics where they cover them, else a plan over tables."""
    questions = Questions(catalog, sql, builder, retrieval=retrieval)
    semantic = Semantic(store, catalog=catalog, builder=builder, sql=sql, schemas=questions)
    register_sources(retrieval, semantic)
    questions.prefer(semantic)
    return questions, semantic
