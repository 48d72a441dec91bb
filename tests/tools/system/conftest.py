from tests.fixtures_catalog import call, desk, shop

__all__ = ["call", "desk", "shop"]
