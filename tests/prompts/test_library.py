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


LASTING = ("schema", "metrics", "tools", "instructions", "dialect", "today")
"""Slots that are the same for many questions."""


@pytest.mark.parametrize("name", [name for name in names() if load(name).audience == "models"])
def test_what_lasts_comes_first_and_the_question_last(name: str) -> None:
    """So that servers can reuse what they have read: the first message is the same for the next question."""
    prompt = load(name)
    first, *rest = prompt.messages(**{slot: f"<{slot}>" for slot in prompt.slots})
    assert first["role"] == "system"
    assert {slot for slot in prompt.slots if f"<{slot}>" in first["content"]} <= set(LASTING)
    if "question" in prompt.slots:
        assert {"schema", "metrics"} & set(prompt.slots) and rest[-1]["content"].endswith("<question>")
    else:
        assert not rest  # a talk: the person's own words follow, the last of them at the end


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
