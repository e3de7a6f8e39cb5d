"""The check for leaks: no vector may change when everything later than its ``as_of`` is spoiled.

A rule that nobody tests is a wish. So vectors are built twice: from the log as it is, and from logs whose future was
deleted, altered and shuffled (:mod:`~peculiar.features.tampering`), on both clocks: when things happened, and when they
became known. The population is fitted once, on events before all that is compared, and frozen. Then the bits of every
feature have to be the same.

Spoiling a log costs a pass over it, so it is done at a few cuts in time, drawn from a seed and spread over the log, and
at each cut the vectors that end there are compared, or those that end last before it. Only the entities drawn are built
again; what looks across entities is worked out anew from the whole spoiled log.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import LeakageError, SchemaError
from .exchange import TROUBLE
from .plan import FeaturePlan
from .snapshots import snapshots_of
from .tampering import WAYS, Cut

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from numpy.typing import NDArray

    from .events import EventLog
    from .population import Population
    from .snapshots import Snapshots, WindowSpec
    from .timeline import Timeline
    from .vectors import Vectors

__all__ = ["Leak", "LeakReport", "check_leaks", "check_timeline"]

_CUTS = 20
_TIES = 5  # more cuts where the entity's next event bears the same time: only the order of events tells what is later


@dataclass(frozen=True)
class Leak:
    """A feature that knows something of the future.

    Attributes
    ----------
    feature, family : str
    differ : mapping of str to int
        What was done to the future ("deleted", "altered", "shuffled"), and how many of the vectors compared changed.
    example : str
        The first of them, for a person.
    """

    feature: str
    family: str
    differ: Mapping[str, int]
    example: str

    def __str__(self) -> str:
        """One line for a person."""
        ways = ", ".join(f"{count:,} {way}" for way, count in self.differ.items())
        return f"{self.family}: {self.feature} differs in vectors whose future was {ways}; {self.example}"


@dataclass(frozen=True)
class LeakReport:
    """What a check compared, and what it found.

    Attributes
    ----------
    leaks : tuple of Leak
        Empty if all is well; in the order of the plan.
    vectors, features, families : int
        How many were compared.
    cuts : tuple of int
        The instants at which the future began, microseconds since 1970 UTC, rising.
    ties : int
        Vectors compared whose entity's next event bears the same time.
    population_until : int
        The population was fitted on events before this instant.
    clocks : tuple of str
        "at", and "known_at" if the log says when troubles became known.
    plan : str
        Fingerprint of the plan.
    seed : int
    """

    leaks: tuple[Leak, ...]
    vectors: int
    features: int
    families: int
    cuts: tuple[int, ...]
    ties: int
    population_until: int
    clocks: tuple[str, ...]
    plan: str
    seed: int

    @property
    def ok(self) -> bool:
        """Whether nothing leaks."""
        return not self.leaks

    def check(self) -> None:
        """Do nothing if nothing leaks.

        Raises
        ------
        LeakageError
            Naming each feature that changed with the future, and its family.
        """
        if self.leaks:
            names = ", ".join(f"{leak.feature} ({leak.family})" for leak in self.leaks)
            raise LeakageError(
                f"{len(self.leaks)} of {self.features} features know of the future: {names}; a vector may use only "
                "what happened and was known before its as_of"
            )

    def to_dict(self) -> dict[str, Any]:
        """Plain data, for JSON; times in ISO 8601."""
        plain = asdict(self) | {"ok": self.ok, "values": self.vectors * self.features * len(WAYS)}
        return plain | {"cuts": [_iso(at) for at in self.cuts], "population_until": _iso(self.population_until)}

    def __str__(self) -> str:
        """A report of a few lines for a person."""
        span = f"{_iso(self.cuts[0])} to {_iso(self.cuts[-1])}"
        what = f"{self.vectors:,} vectors of {self.features:,} features in {self.families} families"
        lines = [
            f"compared {what}, each built again with its future {', '.join(WAYS)}",
            f"  {len(self.cuts)} cuts in time from {span}, seed {self.seed}, clocks {' and '.join(self.clocks)}",
            f"  population of the events before {_iso(self.population_until)}, frozen; plan {self.plan}",
        ]
        if self.ties:
            lines.append(f"  {self.ties:,} vectors whose entity has a later event at the same time")
        if self.ok:
            return "\n".join([*lines, "no leak: every value is the same, bit for bit"])
        return "\n".join([*lines, *(f"LEAK  {leak}" for leak in self.leaks)])


def check_leaks(
    log: EventLog,
    plan: FeaturePlan | None = None,
    *,
    windows: WindowSpec | None = None,
    rows: int = 200,
    seed: int = 0,
    noted: Callable[[Timeline], Timeline] | None = None,
    progress: Callable[[str, float], None] | None = None,
) -> LeakReport:
    """Build a sample of vectors again with everything later than their ``as_of`` spoiled, and compare the bits.

    Parameters
    ----------
    log : EventLog
    plan : FeaturePlan, optional
        By default every family, as for any log.
    windows : WindowSpec, optional
        Of the default plan.
    rows : int
        About how many vectors to compare.
    seed : int
        Draws the cuts, the vectors, and what is put in place of the future.
    noted : callable, optional
        Notes on the events what is known of them, such as when their trouble became known.
    progress : callable, optional
        Called with what is done and the share of it.

    Raises
    ------
    SchemaError
        If the log cannot be read, or nothing in it is later than any vector.

    Examples
    --------
    >>> import pyarrow as pa
    >>> from peculiar.features.events import EventLog
    >>> times = [f"2025-03-{day:02d}T08:00:00Z" for day in range(1, 9)]
    >>> report = check_leaks(EventLog.open(pa.table({"user_id": ["ann"] * 8, "ts": times})), rows=4)
    >>> report.ok, report.vectors
    (True, 4)
    """
    timeline, _, _ = log.read()
    timeline = timeline if noted is None else noted(timeline)
    if plan is None:
        plan = FeaturePlan.for_log(timeline, log.roles, windows)
    return check_timeline(timeline, plan, rows=rows, seed=seed, progress=progress)


def check_timeline(
    timeline: Timeline,
    plan: FeaturePlan,
    *,
    rows: int = 200,
    seed: int = 0,
    progress: Callable[[str, float], None] | None = None,
) -> LeakReport:
    """The check of :func:`check_leaks` on events that were read already.

    If they have the note ``trouble.known_at`` (microseconds since 1970 UTC), what became known later is spoiled, too.
    """
    timeline = replace(timeline, notes={name: note for name, note in timeline.notes.items() if name == TROUBLE})
    snapshots = snapshots_of(timeline, plan.windows)
    rng = np.random.default_rng(seed)
    boundary, anchors = _anchors(timeline, snapshots, rng)
    samples = [_sample(timeline, snapshots, anchor, (-(-rows // len(anchors)), plan.windows.by), rng)
               for anchor in anchors]  # fmt: skip
    population = plan.fit(timeline.until(boundary))
    everyone = np.concatenate([sample.rows for sample in samples])
    truth = _rebuild(plan, population, timeline, snapshots.entity[everyone])
    trial = _Trial(plan, population, timeline, snapshots, truth)
    findings = _Findings(truth)
    for number, sample in enumerate(samples):
        for way in WAYS:
            findings.add(way, *trial.run(way, sample, rng))
        if progress:
            progress(f"cut {number + 1} of {len(samples)}", (number + 1) / len(samples))
    return LeakReport(
        leaks=findings.leaks(),
        vectors=len(everyone),
        features=len(plan.features),
        families=sum(bool(features) for features in plan.by_family.values()),
        cuts=tuple(sorted({sample.cut.as_of for sample in samples})),
        ties=int(_tied(timeline, snapshots)[everyone].sum()),
        population_until=boundary,
        clocks=("at", "known_at") if TROUBLE in timeline.notes else ("at",),
        plan=plan.fingerprint,
        seed=seed,
    )


@dataclass(frozen=True, eq=False)
class _Sample:
    """The snapshots, by number, that are compared at a cut."""

    cut: Cut
    rows: NDArray[np.intp]


@dataclass(frozen=True, eq=False)
class _Trial:
    plan: FeaturePlan
    population: Population
    timeline: Timeline
    snapshots: Snapshots
    truth: Vectors

    def run(self, way: str, sample: _Sample, rng: np.random.Generator) -> tuple[NDArray[np.intp], NDArray[np.float32]]:
        """The rows of ``truth`` that are compared, and what they are once the future is spoiled."""
        spoiled = WAYS[way](self.timeline, sample.cut, rng)
        again = _rebuild(self.plan, self.population, spoiled, self.snapshots.entity[sample.rows])
        last = self.timeline.row[self.snapshots.stop[sample.rows] - 1]
        here, there = _find(self.truth, last), _find(again, last)
        found = np.full((len(self.plan.features), len(last)), np.inf, np.float32)  # what no feature ever is
        found[:, there >= 0] = again.values[:, there[there >= 0]]
        return here, found


class _Findings:
    """What changed, by feature and by what was done to the future."""

    def __init__(self, truth: Vectors) -> None:
        self.truth = truth
        self.counts: dict[int, dict[str, int]] = {}
        self.examples: dict[int, str] = {}

    def add(self, way: str, rows: NDArray[np.intp], found: NDArray[np.float32]) -> None:
        wanted = np.ascontiguousarray(self.truth.values[:, rows])
        other = wanted.view(np.uint32) != found.view(np.uint32)
        for number in np.flatnonzero(other.any(axis=1)):
            ways = self.counts.setdefault(int(number), {})
            ways[way] = ways.get(way, 0) + int(other[number].sum())
            place = int(np.argmax(other[number]))
            self.examples.setdefault(
                int(number), self._tell(int(rows[place]), wanted[number, place], found[number, place])
            )

    def leaks(self) -> tuple[Leak, ...]:
        features = self.truth.features
        return tuple(
            Leak(features[number].name, features[number].family, self.counts[number], self.examples[number])
            for number in sorted(self.counts)
        )

    def _tell(self, row: int, was: np.float32, now: np.float32) -> str:
        became = "the vector was gone" if np.isinf(now) else f"{_shown(was)} became {_shown(now)}"
        return f"{self.truth.entity[row].as_py()} as of {_iso(int(self.truth.as_of[row]))}: {became}"


def _shown(value: np.float32) -> str:
    return "null" if np.isnan(value) else f"{value:.9g}"  # nine digits tell any two float32 apart


def _anchors(timeline: Timeline, snapshots: Snapshots, rng: np.random.Generator) -> tuple[int, NDArray[np.intp]]:
    """The instant before which the population is fitted, and the snapshots at whose ends the future begins.

    They are drawn from the later half of the log, one from each stretch of time; and some with ties, if there are any.
    """
    boundary = int(np.quantile(snapshots.as_of, 0.5, method="lower")) if len(snapshots) else 0
    late = np.flatnonzero((snapshots.as_of >= boundary) & (snapshots.as_of <= timeline.at.max(initial=0)))
    if not len(late):
        raise SchemaError(
            "nothing in the log is later than its vectors, so there is no future to spoil; take a log of more windows"
        )
    instants = np.unique(snapshots.as_of[late])
    chosen = [rng.choice(part) for part in np.array_split(instants, min(_CUTS, len(instants)))]
    anchors = [rng.choice(late[snapshots.as_of[late] == as_of]) for as_of in chosen]
    ties = late[_tied(timeline, snapshots)[late]]
    more = rng.choice(ties, min(_TIES, len(ties)), replace=False)
    return boundary, np.unique(np.concatenate([anchors, more]).astype(np.intp))


def _tied(timeline: Timeline, snapshots: Snapshots) -> NDArray[np.bool_]:
    """Snapshots whose entity has a next event at the same time as the last one."""
    next_event = np.minimum(snapshots.stop, len(timeline) - 1)
    own = snapshots.stop < timeline.first[snapshots.entity + 1]
    return own & (timeline.at[next_event] < snapshots.as_of)


def _sample(
    timeline: Timeline,
    snapshots: Snapshots,
    anchor: np.intp,
    wanted: tuple[int, str | None],
    rng: np.random.Generator,
) -> _Sample:
    """The anchor, and of other entities the snapshots that end with it, or else last before it."""
    (share, by), entity = wanted, int(snapshots.entity[anchor])
    as_of = int(snapshots.as_of[anchor])
    done = np.bincount(snapshots.entity[snapshots.as_of <= as_of], minlength=len(timeline.entity))
    done[entity] = 0
    last = (snapshots.rows[:-1] + done - 1)[done > 0]
    nearest = np.lexsort((rng.random(len(last)), -snapshots.as_of[last]))
    rows = np.concatenate([[anchor], last[nearest[: max(0, share - 1)]]]).astype(np.intp)
    return _Sample(Cut(as_of, entity, int(snapshots.stop[anchor]), by), rows)


def _rebuild(plan: FeaturePlan, population: Population, timeline: Timeline, entities: NDArray[np.int32]) -> Vectors:
    """The vectors of some entities. What looks across entities looks at all; what a population keeps aside is fresh."""
    chosen = np.zeros(len(timeline.entity), np.bool_)
    chosen[entities] = True
    return plan.vectors(plan.annotated(timeline).of_entities(chosen), replace(population))


def _find(vectors: Vectors, last: NDArray[np.uint32]) -> NDArray[np.intp]:
    """The row whose window ends with each event, -1 if there is none."""
    ends = [] if vectors.last is None else vectors.last.tolist()
    place = {event: row for row, event in enumerate(ends)}
    return np.array([place.get(event, -1) for event in last.tolist()], np.intp)


def _iso(micros: int) -> str:
    return f"{np.datetime64(micros, 'us').item().isoformat()}Z"
