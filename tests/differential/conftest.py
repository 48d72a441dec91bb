from tests.fixtures_postgres import postgres

__all__ = ["postgres"]
