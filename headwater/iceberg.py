"""The wiring of the Iceberg REST catalog: the gate of the tools before the operations of that protocol."""

from core.dispatch import Dispatcher
from core.registry import Registry
from engine.rest_catalog.catalog import RestCatalog
from headwater.build import Platform

OPERATIONS = ("engine.rest_catalog.operations",)


def iceberg_gate(platform: Platform) -> Dispatcher[RestCatalog]:
    """Runs the protocol's operations under the limits, permissions and audit of tools."""
    engine = platform.engine
    catalog = RestCatalog(engine.lake, engine.catalog, engine.datasets)
    return platform.dispatcher.beside(Registry.walk(OPERATIONS), catalog)
