"""The tables that maintenance is tested on."""

from tests.engine.maintenance.conftest import empty_warehouse, tables

__all__ = ["empty_warehouse", "tables"]
