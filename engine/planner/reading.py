"""Reads the elements of a question into an intent, one concern after the other."""

from collections.abc import Callable
from datetime import datetime

from engine.dates.ranges import Found
from engine.planner.adjectives import read_adjectives
from engine.planner.ages import read_ages
from engine.planner.both import read_both
from engine.planner.comparing import free_percent, read_comparing
from engine.planner.conditions import read_comparisons, read_texts, read_values
from engine.planner.days import read_days, settle_days
from engine.planner.either import read_either, read_within
from engine.planner.elements import Element
from engine.planner.events import read_events
from engine.planner.firsts import read_firsts, settle_firsts
from engine.planner.grouping import read_group_averages, settle_groups
from engine.planner.intent import Intent
from engine.planner.lengths import read_lengths
from engine.planner.levels import read_levels
from engine.planner.measures import count_again, read_measures
from engine.planner.missing import read_missing, scope_missing
from engine.planner.money import read_money
from engine.planner.polarity import read_done, read_empty, read_flags
from engine.planner.ranking import read_limit, read_order, read_ranking
from engine.planner.roles import assign_roles
from engine.planner.scene import Scene
from engine.planner.schema import Schema
from engine.planner.shares import close_ratio, read_ratio, read_share
from engine.planner.showing import read_groups, show_rest
from engine.planner.spans import read_spans
from engine.planner.states import read_states, read_undone
from engine.planner.subjects import doubt_agents, find_entity
from engine.planner.times import free_verbs, read_times
from engine.planner.trends import read_trends, settle_trends
from engine.planner.words import Cues

STEPS = (
    free_percent,
    read_adjectives,
    read_ratio,
    read_limit,
    read_days,
    free_verbs,
    read_ages,
    read_spans,
    read_lengths,
    read_trends,
    read_firsts,
    read_events,
    read_group_averages,
    read_undone,
    read_missing,
    read_empty,
    read_share,
    read_levels,
    read_comparisons,
    read_within,
    read_texts,
    read_either,
    read_flags,
    read_done,
    read_states,
    read_money,
    read_measures,
    read_ranking,
    count_again,
    read_groups,
    read_order,
    settle_firsts,
    read_values,
    read_both,
    settle_days,
    read_comparing,
    read_times,
    close_ratio,
    settle_groups,
    settle_trends,
    show_rest,
    scope_missing,
)


def read_intent(
    elements: list[Element],
    dates: Found,
    schema: Schema,
    cues: Cues,
    now: datetime,
    *,
    terms: Callable[[Scene], None] | None = None,
) -> Intent:
    """What a question asks for; `terms` reads those that are defined. Elements that nothing used stay unmarked."""
    assign_roles(elements, schema, cues)
    scene = Scene(elements, dates, schema, cues, now)
    find_entity(scene)
    for step in STEPS:
        step(scene)
        if step is read_measures and terms is not None:
            terms(scene)
    scene.doubt_rivals()
    doubt_agents(scene)
    return scene.intent
