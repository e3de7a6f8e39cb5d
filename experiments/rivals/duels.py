"""Ours against each rival: who it is, what it builds, how much of the log it can bear, and what is compared.

Three kinds of comparison, since rivals differ by four orders of magnitude:

- *same log*: both build the features of the same families from one log, and the ratio is that of their times;
- *extrapolated*: the rival gets a smaller log of equally active users; its seconds for each event are held against
  ours for each event of the whole log, same families;
- *per feature computed*: as extrapolated, and its seconds divided also by how many features came out, ours by ours.

Ours always computes whole families, also where a rival's share of them is smaller.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from . import entrants
from .foreign import python_of_rivals, run_foreign
from .stopwatch import middle
from .track import figures

if TYPE_CHECKING:
    from collections.abc import Callable

    from .entrants import Course, Size
    from .stopwatch import Run
    from .track import Track

__all__ = ["RIVALS", "Rival", "duel"]

_KEYS = {"entity", "as_of", "k"}


@dataclass(frozen=True)
class Rival:
    """Somebody to race against.

    Attributes
    ----------
    name : str
    families : tuple of str
        The families whose features it builds, wholly or in part; none given means those of the race.
    most : int or None
        The most events it gets; none means the whole log.
    ratio : "same log", "extrapolated" or "per feature computed"
    entrant : callable or None
        Runs in a process of its own; none means a script in the rivals' environment.
    """

    name: str
    families: tuple[str, ...]
    most: int | None
    ratio: Literal["same log", "extrapolated", "per feature computed"]
    entrant: Callable[..., Any] | None = None

    @property
    def said(self) -> str:
        """Its name as one says it."""
        return {
            "pandas": "vectorised pandas",
            "duckdb": "DuckDB",
            "polars": "Polars",
            "groupby_apply": "pandas' groupby-apply",
            "featuretools": "Featuretools",
        }.get(self.name, self.name)


_FIVE = ("volume", "velocity", "breadth", "timing", "baseline")
_THREE = ("volume", "breadth", "timing")
RIVALS = {
    rival.name: rival
    for rival in (
        Rival("pandas", _FIVE, 2_000_000, "same log", entrants.pandas),
        Rival("polars", _THREE, None, "same log", entrants.polars),
        Rival("duckdb", _THREE, None, "same log", entrants.duckdb),
        Rival("groupby_apply", _THREE, 20_000, "extrapolated", entrants.groupby_apply),
        Rival("featuretools", (), 100_000, "per feature computed"),
        Rival("tsfresh", (), 100_000, "per feature computed"),
    )
}


def duel(rival: Rival, size: Size, track: Track, *, most: int | None = None) -> dict[str, Any]:
    """Race one rival.

    Parameters
    ----------
    rival : Rival
    size : Size
        The whole log.
    track : Track
    most : int, optional
        How many events it gets at most, instead of ``rival.most``.

    Returns
    -------
    dict
        The size of its log, its figures, ``built`` and ``features`` (how many of its features are ours by name),
        ``ours`` (our figures), ``compared`` and the ``ratio`` and ``ratio_cpu`` of times.

    Raises
    ------
    ConfigError
        If it has no environment.
    ImportError
        If it is not installed.
    """
    if rival.entrant is None:
        python_of_rivals()
    limit = min(size.events, most or rival.most or size.events)
    sample = size if limit == size.events else size.scaled(limit)
    families = rival.families or track.families
    raced = sample if rival.ratio == "same log" else size
    _, ours = track.ours(raced, families)
    if sample != raced:
        track.run(entrants.fit, track.course(sample, families))
    course = track.course(sample, families)
    theirs = track.run(rival.entrant, course) if rival.entrant else _foreign(rival, track, course)
    told, our = figures(sample.events, theirs), figures(raced.events, ours)
    built = set(theirs[0].names) - _KEYS
    told |= {"features": len(built & set(middle(ours).names)), "built": len(built)}
    work = (sample.events / raced.events) * (len(built) / our["features"] if "feature" in rival.ratio else 1.0)
    ratios = {
        key: told[field] / our[field] / work for key, field in (("ratio", "seconds"), ("ratio_cpu", "cpu_seconds"))
    }
    return {**sample.__dict__, **told, "ours": our, "compared": rival.ratio, **ratios}


def _foreign(rival: Rival, track: Track, course: Course) -> list[Run]:
    with track.console.status(f"{rival.name} on {course.log.parent.name}"):
        return [run_foreign(rival.name, course)]
