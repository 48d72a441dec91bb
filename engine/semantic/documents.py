"""YAML of bounded size and depth as plain data, without anchors, tags or keys that are given twice."""

from typing import Any

import yaml

from core.errors import Conflict

MAX_FILE_CHARS = 256 * 1024
MAX_DEPTH = 24


class Lined(dict[str, Any]):
    """A mapping that knows its line."""

    line = 0


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


def _lined(loader: _Loader, node: yaml.MappingNode) -> Any:
    made = Lined()
    made.line = node.start_mark.line + 1
    yield made
    made.update(loader.construct_mapping(node))


# Days stay texts, as they are in JSON.
_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in kinds if not tag.endswith(":timestamp")]
    for first, kinds in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
_Loader.add_constructor("tag:yaml.org,2002:map", _lined)


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


def write_document(document: Any) -> str:
    """Plain YAML that reads back the same: keys in their order, texts of several lines as blocks."""
    return yaml.dump(document, Dumper=_Writer, sort_keys=False, allow_unicode=True, width=110)


class _Writer(yaml.SafeDumper):
    """What a safe dumper writes, without anchors for what occurs twice."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def _text(writer: _Writer, text: str) -> yaml.ScalarNode:
    is_block = "\n" in text and text == "\n".join(line.rstrip() for line in text.split("\n"))
    return writer.represent_scalar("tag:yaml.org,2002:str", text, style="|" if is_block else None)


_Writer.add_representer(str, _text)
_Writer.add_representer(Lined, yaml.SafeDumper.represent_dict)


_HINT = "Use plain YAML: no aliases, no tags, little nesting, each key once."
