from tests.fixtures_catalog import call, desk, shop, sqlite_store

__all__ = ["call", "desk", "shop", "sqlite_store"]
