from tests.fixtures_postgres import postgres, postgres_database, postgres_url
from tests.fixtures_store import empty_url, store, store_url

__all__ = ["empty_url", "postgres", "postgres_database", "postgres_url", "store", "store_url"]
