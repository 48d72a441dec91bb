"""How sure a share or a difference is."""

from dataclasses import dataclass
from math import comb, sqrt

Z95 = 1.959963984540054


@dataclass(frozen=True, slots=True)
class Share:
    """A share of cases and its 95 % interval (Wilson 1927), all from 0 to 1."""

    right: int
    of: int
    low: float
    high: float

    @property
    def value(self) -> float:
        return self.right / self.of if self.of else 0.0

    def __str__(self) -> str:
        return f"{self.right}/{self.of} = {self.value:.0%} [{self.low:.0%}, {self.high:.0%}]"


def wilson(right: int, of: int) -> Share:
    """The share `right / of` with its interval; 0 to 1 where there are no cases."""
    if of == 0:
        return Share(0, 0, 0.0, 1.0)
    share, z2 = right / of, Z95 * Z95
    middle = (share + z2 / (2 * of)) / (1 + z2 / of)
    half = Z95 * sqrt(share * (1 - share) / of + z2 / (4 * of * of)) / (1 + z2 / of)
    return Share(right, of, max(0.0, middle - half), min(1.0, middle + half))


@dataclass(frozen=True, slots=True)
class Difference:
    """What one run does better than another on the same cases.

    `p` is of the exact McNemar test, two-sided; the interval is Agresti and Min's (2005)."""

    won: int
    lost: int
    of: int
    p: float
    low: float
    high: float

    @property
    def value(self) -> float:
        return (self.won - self.lost) / self.of if self.of else 0.0

    @property
    def is_noise(self) -> bool:
        return self.p >= 0.05

    def __str__(self) -> str:
        return (
            f"{self.value:+.1%} [{self.low:+.1%}, {self.high:+.1%}], won {self.won}, lost {self.lost}, p = {self.p:.3f}"
        )


def paired(won: int, lost: int, of: int) -> Difference:
    """The difference of two runs over `of` shared cases."""
    n, b, c = of + 2, won + 0.5, lost + 0.5
    middle = (b - c) / n
    half = Z95 * sqrt(max(0.0, (b + c) - (b - c) ** 2 / n)) / n
    return Difference(won, lost, of, mcnemar(won, lost), max(-1.0, middle - half), min(1.0, middle + half))


def mcnemar(won: int, lost: int) -> float:
    """Two-sided exact p that as many of the discordant pairs would fall to one side by chance (McNemar 1947)."""
    discordant, fewer = won + lost, min(won, lost)
    if discordant == 0:
        return 1.0
    tail = sum(comb(discordant, k) for k in range(fewer + 1)) / 2**discordant
    return float(min(1.0, 2 * tail))
