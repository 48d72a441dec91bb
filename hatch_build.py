"""Build hook: a wheel carries the packages inside `headwater/app`; an editable install needs no copies."""

from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

PACKAGES = ("agents", "api", "core", "engine", "evals", "gateway", "mcp_server", "prompts", "tools")


class BundlePackages(BuildHookInterface):  # type: ignore[type-arg,misc]
    PLUGIN_NAME = "custom"

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        if version == "standard":
            build_data["force_include"].update({name: f"headwater/app/{name}" for name in PACKAGES})
            examples = {
                name: f"headwater/app/{name}"
                for name in ("examples/__init__.py", "examples/flights", "examples/agents")
            }
            build_data["force_include"].update(examples)
