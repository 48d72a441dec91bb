"""What is said about files."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Note:
    """Something about a place in a file; line 0 where it has none."""

    file: str
    place: str
    message: str
    line: int = 0
