from tests.fixtures_jobs import queue
from tests.fixtures_postgres import postgres, postgres_database, postgres_url
from tests.fixtures_store import store, store_url

__all__ = ["postgres", "postgres_database", "postgres_url", "queue", "store", "store_url"]
