"""The same desk as the query tools have."""

from tests.fixtures_catalog import desk, sqlite_store
from tests.fixtures_postgres import postgres, postgres_database
from tests.tools.query.conftest import call, results, service, usage

__all__ = ["call", "desk", "postgres", "postgres_database", "results", "service", "sqlite_store", "usage"]
