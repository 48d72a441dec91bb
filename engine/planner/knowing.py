"""Knowledge beside the data while a question is planned: what of it belongs to the question, and what it does."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from engine.dates.calendar import Calendar
from engine.dates.ranges import Found
from engine.planner.definitions import stems_of
from engine.planner.elements import Element
from engine.planner.intent import Intent
from engine.planner.leaves import Frame
from engine.planner.linking import Linker
from engine.planner.meanings import Heard, hear
from engine.planner.scene import Scene
from engine.planner.schema import Schema
from engine.planner.terms import Terms
from engine.planner.words import cues

UNUSED = 0.7
"""Of a plan that leaves out what a term was defined as."""


@dataclass(frozen=True, slots=True)
class Knowing:
    """A question with what is known of its words."""

    heard: Heard
    schema: Schema
    now: datetime
    calendar: Calendar
    left_out: tuple[str, ...] = ()

    @property
    def question(self) -> str:
        return self.heard.question

    @property
    def is_used(self) -> bool:
        return bool(self.heard.used)

    def without(self) -> "Knowing":
        """The same as if nothing was known, and what was therefore left out."""
        names = tuple(definition.names[0] for definition in self.heard.used)
        return replace(self, heard=Heard(self.heard.question), left_out=names)

    def mark(self, elements: list[Element], dates: Found) -> tuple[list[Element], Found]:
        """The elements and times of the question, where knowledge says what they are."""
        return self.heard.mark(elements), dates

    @property
    def terms(self) -> Callable[[Scene], None] | None:
        """The step that reads calculated terms."""
        if not self.heard.said:
            return None
        said = {
            " ".join(stems_of(name)): (definition, self.heard.said[definition.text])
            for definition in self.heard.used
            if definition.text in self.heard.said
            for name in definition.names
        }
        frame = Frame(Linker(self.schema, cues()), cues(), self.now, self.calendar, said, {})
        return Terms(self.heard, frame).read

    def settle(self, intent: Intent) -> None:
        """What an answer says of the knowledge that it uses or leaves out."""
        for definition in self.heard.used:
            intent.doubt(f"{definition.names[0]} is read as {definition.bodies[0][:120]}", 1.0)
        for name in self.left_out:
            intent.doubt(f"what is known of {name} is not used", UNUSED)


def know(question: str, knowledge: Sequence[str], schema: Schema, now: datetime, calendar: Calendar) -> Knowing:
    """What of some texts, and of what a question says itself, belongs to the question."""
    return Knowing(hear(question, knowledge), schema, now, calendar)
