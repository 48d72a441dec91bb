"""YAML of bounded size and depth as plain data, without anchors, tags or keys that are given twice."""

from typing import Any

import yaml

from core.errors import Conflict

MAX_FILE_CHARS = 256 * 1024
MAX_DEPTH = 24


class _Loader(yaml.SafeLoader):
    """What a safe loader reads, less what makes much out of little."""

    depth = 0

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        if self.check_event(yaml.AliasEvent):
            raise yaml.YAMLError("aliases")
        if self.depth >= MAX_DEPTH:
            raise yaml.YAMLError("depth")
        self.depth += 1
        node = super().compose_node(parent, index)
        self.depth -= 1
        return node

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        made = super().construct_mapping(node, deep)
        if len(made) != len(node.value) or not all(isinstance(key, str) for key in made):
            raise yaml.MarkedYAMLError(problem="a key is given twice, or is no text", problem_mark=node.start_mark)
        return made


def read_document(text: str) -> Any:
    """The only document of a file. Raises Conflict with the line."""
    if len(text) > MAX_FILE_CHARS:
        raise Conflict(f"The file is longer than {MAX_FILE_CHARS} characters.", hint="Split it.")
    try:
        return _Loader(text).get_single_data()
    except (yaml.YAMLError, ValueError, OverflowError, RecursionError) as error:
        raise Conflict(f"The file is no YAML that can be read{_place(error)}.", hint=_HINT) from None


def _place(error: Exception) -> str:
    mark = getattr(error, "problem_mark", None)
    problem = str(getattr(error, "problem", None) or "")[:100]
    return "" if mark is None else f": {problem}, line {mark.line + 1}"


_HINT = "Use plain YAML: no aliases, no tags, little nesting, each key once."
