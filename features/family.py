"""What a feature is, and what a family of features has to do.

A family answers one question about behaviour ("how much", "how fast", "how many different"). It declares the features
it emits for a given log and fills their columns, snapshot by snapshot, in one linear pass.
"""

from __future__ import annotations

import re
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, ClassVar, Protocol, runtime_checkable

from .kernels import blank

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    import numpy as np
    from numpy.typing import NDArray

    from .population import Keyed, Population
    from .snapshots import Snapshots, WindowSpec
    from .timeline import Timeline

    Observation = NDArray[np.int64] | Keyed

__all__ = [
    "Annotator",
    "Context",
    "Feature",
    "FeatureFamily",
    "Historian",
    "Judge",
    "Learner",
    "Observer",
    "Relator",
    "Rememberer",
    "Shape",
    "Witness",
    "plural",
]


def plural(column: str) -> str:
    """What several values of a column are called: its plural, if its name is one English word in the singular.

    Examples
    --------
    >>> plural("vehicle"), plural("category"), plural("address_id")
    ('vehicles', 'categories', 'values of address_id')
    """
    if not re.fullmatch(r"[a-z]{3,}(?<!s)", column):
        return f"values of {column}"
    if re.search(r"[^aeiou]y$", column):
        return f"{column[:-1]}ies"
    return f"{column}es" if column.endswith(("ch", "sh", "x", "z")) else f"{column}s"


@dataclass(frozen=True, slots=True)
class Feature:
    """One column of a vector, and how to speak of it.

    Attributes
    ----------
    name : str
        ``<measure>_<statistic>_<window>[_vs_own|_vs_peers]``, unique within a plan.
    family : str
        The family that emits it.
    unit : str
        For example "events", "seconds", "share", "bits", "robust z".
    meaning : str
        One sentence: what the number is.
    null : str
        What a null means; "never null" where it cannot be.
    phrase : str
        How a reason tells it, with ``{value}`` for the number: "{value} different vehicles". Empty for a column that
        helps a detector but would help no reader.
    base : str or None
        The feature whose value this one judges (a robust z of "vehicle_distinct_1d" has that as its base), so that
        a reason can tell the plain number and its usual instead of a z.
    subject : str
        What it is about: a dimension, a measure, an action, "events", "gaps", "hours". Features about one subject are
        one reason, told once.
    level : bool
        True for a plain non-negative quantity of the current window that a baseline can be taken of.
    """

    name: str
    family: str
    unit: str
    meaning: str
    null: str
    phrase: str
    base: str | None = None
    subject: str = ""
    level: bool = False

    def told(self, value: str) -> str:
        """The phrase with a value in it, of one in the singular; braces of a column's own name stay as they are."""
        phrase = self.phrase
        if value == "1":
            phrase = phrase.replace(f"{{value}} different {plural(self.subject)}", f"{{value}} {self.subject}")
            phrase = re.sub(r"^(\{value\} (?:.*? )?)(event|value)s\b", r"\1\2", phrase, count=1)
        return phrase.replace("{value}", value)


@dataclass(frozen=True, slots=True)
class Shape:
    """What a log offers to families, and the windows they look through; part of the plan.

    Attributes
    ----------
    dimensions : tuple of str
        Categorical columns, the action among them.
    measures : tuple of str
        Numeric columns.
    action : str or None
        The dimension that says what was done.
    actions : tuple of str
        The commonest values of ``action``, the commonest first; each gets a count of its own.
    window : str
        The name of the current window: "1d", "1h" or "session".
    trailing : tuple of str
        The names of the longer windows that end with the current one, shortest first; the last is the horizon.
    baskets : tuple of str
        Dimensions of which many entities have values in common, so that combinations of them mean something.
    shared : tuple of str
        Dimensions whose values few entities touch (devices, addresses, terminals), so that it matters who else does.
    risky : tuple of str
        Dimensions at whose values trouble can gather; none where the plan was made without labels.
    crossed : tuple of pairs of str
        The action and a dimension, where what was done to a value makes sets of its own.
    cut : "calendar", "run" or "event"
        What windows are; see :attr:`~peculiar.features.snapshots.WindowSpec.cut`.
    located : bool
        Whether events may have a place.
    peer_by : str or None
        The column whose equal values make entities peers.
    """

    dimensions: tuple[str, ...]
    measures: tuple[str, ...]
    action: str | None
    actions: tuple[str, ...]
    window: str
    trailing: tuple[str, ...]
    baskets: tuple[str, ...] = ()
    shared: tuple[str, ...] = ()
    risky: tuple[str, ...] = ()
    crossed: tuple[tuple[str, str], ...] = ()
    cut: str = "calendar"
    located: bool = False
    peer_by: str | None = None


@dataclass(frozen=True, eq=False)
class Context:
    """All that a family may look at while it fills its columns.

    Attributes
    ----------
    timeline : Timeline
        The events, sorted by entity and time.
    snapshots : Snapshots
        The rows to fill, all rows of some entities.
    population : Population
        What everyone does, frozen.
    shape : Shape
        The plan's view of the log.
    earlier : mapping of str to float32 array of shape (n_snapshots,)
        The columns of the families before this one, for the same rows.
    levels : tuple of str
        Those of them that a baseline can be taken of.
    asked : bool array of shape (n_snapshots,), or None
        The rows that somebody will look at, if not all: the others may stay null.
    """

    timeline: Timeline
    snapshots: Snapshots
    population: Population
    shape: Shape
    earlier: Mapping[str, NDArray[np.float32]]
    levels: tuple[str, ...]
    asked: NDArray[np.bool_] | None = None

    @contextmanager
    def looked_at(self, columns: NDArray[np.float32]) -> Iterator[tuple[NDArray[np.float32], Snapshots]]:
        """The rows that somebody will look at, of some columns that no later window is judged by.

        Parameters
        ----------
        columns : float32 array of shape (n_columns, n_snapshots)

        Yields
        ------
        columns : float32 array of shape (n_columns, n_asked)
            To be filled, null at first.
        snapshots : Snapshots
            Of these rows; of which earlier ones lie within a horizon is not known.
        """
        if self.asked is None:
            yield columns, self.snapshots
            return
        few = blank(len(columns), len(self._few))
        yield few, self._few
        columns[:, self.asked] = few

    @cached_property
    def _few(self) -> Snapshots:
        return self.snapshots if self.asked is None else self.snapshots.only(self.asked)


@runtime_checkable
class FeatureFamily(Protocol):
    """The contract of a family: a frozen dataclass whose fields are its parameters.

    The conformance suite holds every family to this: its columns depend on the events of the horizon alone, and not
    on the order of rows, the partition, the number of threads, or anything at or after ``as_of``.

    ``version`` goes into the plan's fingerprint and rises whenever the definition of a feature changes.
    """

    name: ClassVar[str]
    version: ClassVar[int]

    def features(self, shape: Shape, before: tuple[Feature, ...]) -> tuple[Feature, ...]:
        """The features that this family emits for a log of this shape, in column order; none if it has no use.

        ``before`` holds the features of the families that come earlier in the plan.
        """

    def fill(self, columns: NDArray[np.float32], context: Context) -> None:
        """Write the features into ``columns``, float32 of shape (n_features, n_snapshots), which comes full of NaN."""


@runtime_checkable
class Observer(Protocol):
    """A family that needs to know what everyone does."""

    def observe(self, timeline: Timeline, snapshots: Snapshots, shape: Shape) -> Mapping[str, Observation]:
        """Count it: integers, which add up over partitions of the entities; the names begin with the family's."""


@runtime_checkable
class Relator(Protocol):
    """A family that needs a second look at everyone, in the light of what all families observed in the first."""

    def relate(
        self, timeline: Timeline, snapshots: Snapshots, shape: Shape, population: Population
    ) -> Mapping[str, Observation]:
        """Count more: integers, which add up over partitions of the entities."""


@runtime_checkable
class Learner(Protocol):
    """A family that judges by how the columns of the families before it are spread, in ways histograms do not tell."""

    def learn(self, context: Context) -> Mapping[str, Observation]:
        """Count what the families before made of some entities, before this family is filled.

        Integers, which add up over partitions of the entities; the names begin with the family's.
        """


@runtime_checkable
class Judge(Protocol):
    """A family that looks at how the columns of the families before it are spread over everyone, while it is filled.

    ``judges`` says so. The population of all others than these need not know any histogram yet.
    """

    judges: ClassVar[bool]


@runtime_checkable
class Historian(Protocol):
    """A family that looks at the levels of an entity's other windows: where few are asked for, all get their levels.

    ``looks_back`` says so.
    """

    looks_back: ClassVar[bool]


@runtime_checkable
class Annotator(Protocol):
    """A family that needs to know, for each event, what others did: the one thing that looks across entities.

    The notes are computed once over all entities, point in time, and travel with the events into any partition.
    Entities meet at the values of dimensions and nowhere else: what is noted at a value needs the events there, and of
    all others no more than when which trouble became known.
    """

    def annotate(self, timeline: Timeline, shape: Shape, windows: WindowSpec) -> Mapping[str, NDArray[np.float32]]:
        """One float32 number per event and name, from what had happened, and was known, before it.

        Names do not depend on the events. What is noted at a dimension is null on events without a value there.
        """


@runtime_checkable
class Rememberer(Protocol):
    """A family that needs to know, for each event, what is known of its own entity from elsewhere.

    ``remembers`` names the notes.
    """

    remembers: ClassVar[tuple[str, ...]]

    def remember(self, timeline: Timeline, shape: Shape, windows: WindowSpec) -> Mapping[str, NDArray[np.float32]]:
        """One float32 number per event and name, from what had become known of the entity before it."""


@runtime_checkable
class Witness(Protocol):
    """A family that can say which events make a value what it is: those that a person should look at."""

    def witnesses(self, feature: Feature, context: Context, row: int) -> NDArray[np.int64]:
        """Positions in the timeline, each once, the most telling first where one tells more than another.

        Parameters
        ----------
        feature : Feature
            One of this family's.
        context : Context
            Neither the earlier columns nor the levels are looked at.
        row : int
            Which of the context's snapshots.

        Returns
        -------
        int64 array
            Of events before ``stop``, and not before the horizon. Empty if no event stands out.
        """
