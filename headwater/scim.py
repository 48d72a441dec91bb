"""The wiring of SCIM: the gate of the tools before the operations of that protocol."""

from core.dispatch import Dispatcher
from core.registry import Registry
from engine.scim.provisioning import Provisioning
from headwater.build import Platform

OPERATIONS = ("engine.scim.operations",)


def scim_gate(platform: Platform) -> Dispatcher[Provisioning]:
    """Runs the protocol's operations under the limits, permissions and audit of tools."""
    engine = platform.engine
    admin = engine.identity.admin
    provisioning = Provisioning(store=engine.store, people=admin.people, roles=admin.roles)
    return platform.dispatcher.beside(Registry.walk(OPERATIONS), provisioning)
