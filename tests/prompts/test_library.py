"""Prompts: every file reads, slots are exactly the declared ones, people's prompts name tools that exist."""

import pytest

from core.registry import Registry
from headwater.build import TOOL_PACKAGES
from prompts.library import BadPrompt, for_people, load, names, parse

GOOD = "---\nname: x\nversion: 1\nslots: {a: what}\n---\n<!-- system -->\nSay {{a}}.\n<!-- user -->\nNow.\n"


@pytest.mark.parametrize("name", names())
def test_every_prompt_reads_and_fills(name: str) -> None:
    prompt = load(name)
    text = prompt.fill(**dict.fromkeys(prompt.slots, "FILLED"))
    assert "{{" not in text and prompt.version >= 1
    assert ("FILLED" in text) == bool(prompt.slots)


def test_schema_comes_before_the_question() -> None:
    for name in ("generate_sql", "plan_query", "repair_sql", "query_metric"):
        text = load(name).fill(**{slot: f"<{slot}>" for slot in load(name).slots})
        first = "<metrics>" if name == "query_metric" else "<schema>"
        assert text.index(first) < text.index("<notes>") < text.index("<question>"), name
        assert text.rstrip().endswith("<question>")


def test_slots_are_exactly_the_declared_ones() -> None:
    prompt = parse(GOOD, "x")
    assert prompt.messages(a="hello") == [
        {"role": "system", "content": "Say hello."},
        {"role": "user", "content": "Now."},
    ]
    for wrong in ({}, {"a": "1", "b": "2"}):
        with pytest.raises(BadPrompt):
            prompt.fill(**wrong)
    assert prompt.fill(a="{{b}} {{a}}") == "Say {{b}} {{a}}.\n\nNow."  # what fills a slot has no slots


@pytest.mark.parametrize(
    "text",
    [
        GOOD.replace("{{a}}", "{{b}}"),
        GOOD.replace("name: x", "name: y"),
        "no front matter",
        GOOD.replace("Say {{a}}.", ""),
    ],
)
def test_a_wrong_file_is_refused(text: str) -> None:
    with pytest.raises(BadPrompt):
        parse(text, "x")


@pytest.mark.parametrize("name", ["../secrets", "nothing_here", "", "Chat"])
def test_there_is_no_prompt_of_another_name(name: str) -> None:
    with pytest.raises(BadPrompt):
        load(name)


def test_prompts_for_people_name_tools_that_exist() -> None:
    registry = Registry.walk(TOOL_PACKAGES)
    found = for_people()
    assert {prompt.name for prompt in found} >= {"explore_data", "weekly_report", "slow_table"}
    for prompt in found:
        assert prompt.tools and all(tool in registry for tool in prompt.tools), prompt.name
