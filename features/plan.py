"""The plan: which families, over which windows, for which log.

A plan is data. Its fingerprint covers every definition that can change a bit of a vector, so that vectors, population
and model can prove that they belong together. The same plan and population give the same vector for the same events of
the horizon, in training and in serving, whole or in parts, on one thread or many.
"""

from __future__ import annotations

import hashlib
import json
import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import pyarrow as pa

from ..errors import PlanMismatchError
from .exchange import TROUBLE, places_of_few
from .families import FAMILIES
from .family import Annotator, Context, Historian, Judge, Learner, Observer, Relator, Rememberer, Shape
from .population import Population, histogram
from .roles import Roles
from .snapshots import Snapshots, WindowSpec, snapshots_of
from .survey import in_common, unsettled
from .vectors import Vectors

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from numpy.typing import NDArray

    from .family import Feature, FeatureFamily
    from .timeline import Timeline

__all__ = ["FeaturePlan"]

_FORMAT = 2
_MOST_ACTIONS = 16
_PARTS_PER_THREAD = 4
_SMALL = 200_000  # events; threads that share a smaller log wait for each other more than they work
_SHARED, _RISKY = 0.05, 0.5  # of all entities touch the value of a typical event
_COMPANY = 256  # entities at most


@dataclass(frozen=True)
class FeaturePlan:
    """Families, windows and the log's shape.

    Attributes
    ----------
    roles : Roles
    windows : WindowSpec
    actions : tuple of str
        The actions that get counts of their own, the commonest first.
    families : tuple of FeatureFamily
        In the order of the vector.
    baskets : tuple of str
        Dimensions whose combinations are judged.
    shared : tuple of str
        Dimensions of which it matters who else touches their values.
    risky : tuple of str
        Dimensions at whose values known trouble is counted; none without labels.
    crossed : tuple of pairs of str
        The action and a dimension whose values make sets together with what was done to them.

    Examples
    --------
    >>> import pyarrow as pa
    >>> from peculiar.features.events import EventLog
    >>> times = ["2025-03-01T08:00:00Z", "2025-03-02T09:00:00Z"]
    >>> log = EventLog.open(pa.table({"user_id": ["ann", "ann"], "ts": times}))
    >>> timeline, _, _ = log.read()
    >>> plan = FeaturePlan.for_log(timeline, log.roles)
    >>> plan.vectors(timeline, plan.fit(timeline)).column("events_count_28d")
    array([1., 2.], dtype=float32)
    """

    roles: Roles
    windows: WindowSpec = field(default_factory=WindowSpec)
    actions: tuple[str, ...] = ()
    families: tuple[FeatureFamily, ...] = field(default_factory=lambda: tuple(made() for made in FAMILIES.values()))
    baskets: tuple[str, ...] = ()
    shared: tuple[str, ...] = ()
    risky: tuple[str, ...] = ()
    crossed: tuple[tuple[str, str], ...] = ()

    @classmethod
    def for_log(cls, timeline: Timeline, roles: Roles, windows: WindowSpec | None = None) -> Self:
        """The default plan for a log: every family, with counts for its commonest actions.

        A dimension is shared if the value of a typical event is touched by at most one entity in twenty, and by a few
        hundred: company is of few. Trouble can gather at those touched by at most every other one. A timeline without
        notes of trouble has no risky dimension.
        """
        windows = windows or WindowSpec()
        baskets = tuple(name for name in roles.dimensions if in_common(timeline, name))
        names = [name for name in roles.dimensions if name != windows.by]
        entities = max(1, int(np.count_nonzero(np.diff(timeline.first))))
        shared = places_of_few(timeline, names, most=min(_SHARED, _COMPANY / entities))
        risky = places_of_few(timeline, names, most=_RISKY) if TROUBLE in timeline.notes else ()
        actions = _commonest(timeline, roles.action)
        open_to = None if roles.action is None else unsettled(timeline, baskets, roles.action)
        crossed = () if roles.action is None or open_to is None else ((roles.action, open_to),)
        return cls(roles, windows, actions, baskets=baskets, shared=shared, risky=risky, crossed=crossed)

    @property
    def shape(self) -> Shape:
        """What families are told of the log."""
        roles, windows = self.roles, self.windows
        seen = (roles.dimensions, roles.measures, roles.action, self.actions, windows.name, windows.trailing)
        uses = (self.baskets, self.shared, self.risky, self.crossed, windows.cut)
        return Shape(*seen, *uses, located=roles.place is not None, peer_by=roles.peer_by)

    @cached_property
    def by_family(self) -> dict[str, tuple[Feature, ...]]:
        """The features of each family, families in the order of the vector."""
        made: dict[str, tuple[Feature, ...]] = {}
        for family in self.families:
            made[family.name] = family.features(self.shape, tuple(f for features in made.values() for f in features))
        return made

    @cached_property
    def features(self) -> tuple[Feature, ...]:
        """All features in column order; their names are unique.

        Raises
        ------
        PlanMismatchError
            If two features would have one name.
        """
        features = tuple(feature for made in self.by_family.values() for feature in made)
        names = [feature.name for feature in features]
        twice = sorted({name for name in names if names.count(name) > 1}) if len(set(names)) < len(names) else []
        if twice:
            message = f"expected unique feature names, but {', '.join(twice)} comes twice; rename a column of the log"
            raise PlanMismatchError(message)
        return features

    @cached_property
    def fingerprint(self) -> str:
        """A digest of every definition, 16 hexadecimal digits."""
        definition = {**self._definition(), "features": [asdict(feature) for feature in self.features]}
        return hashlib.sha256(json.dumps(definition, sort_keys=True).encode()).hexdigest()[:16]

    def to_json(self) -> str:
        """The plan as JSON text."""
        return json.dumps({**self._definition(), "fingerprint": self.fingerprint}, indent=2, sort_keys=True)

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Read what :meth:`to_json` wrote.

        Raises
        ------
        PlanMismatchError
            If this version defines the plan's features differently, or not at all.
        """
        plain = json.loads(text)
        unknown = [family["name"] for family in plain["families"] if family["name"] not in FAMILIES]
        if plain["format"] != _FORMAT or unknown:
            message = (
                f"expected a plan of format {_FORMAT} with families among {', '.join(FAMILIES)}, got format "
                f"{plain['format']} with unknown families {unknown}; use the version of peculiar that made it"
            )
            raise PlanMismatchError(message)
        try:
            families = tuple(FAMILIES[family["name"]](**family["settings"]) for family in plain["families"])
        except TypeError as error:
            message = f"the plan has a setting that this version does not know: {error}; use the version that made it"
            raise PlanMismatchError(message) from error
        roles, windows = Roles.from_dict(plain["roles"]), WindowSpec(**plain["windows"])
        baskets, shared, risky = (tuple(plain[use]) for use in ("baskets", "shared", "risky"))
        crossed = tuple((done, name) for done, name in plain["crossed"])
        plan = cls(roles, windows, tuple(plain["actions"]), families, baskets, shared, risky, crossed)
        if plan.fingerprint != plain["fingerprint"]:
            message = (
                f"the plan was made with other definitions ({plain['fingerprint']}, now {plan.fingerprint}); use the "
                "version of peculiar that made it, or train again"
            )
            raise PlanMismatchError(message)
        return plan

    def fit(
        self, timeline: Timeline, *, threads: int | None = None, progress: Callable[[str, float], None] | None = None
    ) -> Population:
        """Learn what everyone does, from events of the training period alone.

        Families that judge others need the population of those others, so it grows family by family.
        """
        self._check(timeline)
        timeline = self.annotated(timeline)
        snapshots = snapshots_of(timeline, self.windows)
        population = Population()
        for family in self.families:
            if isinstance(family, Observer):
                counts = family.observe(timeline, snapshots, self.shape)
                population = population.merged(Population.observed(counts))
        first = population
        for family in self.families:
            if isinstance(family, Relator):
                counts = family.relate(timeline, snapshots, self.shape, first)
                population = population.merged(Population.observed(counts))
        work = _Work(self.families, population, threads, progress, learn=True)
        return self._build(timeline, snapshots, self._room(timeline, snapshots, work), work)

    def annotated(self, timeline: Timeline) -> Timeline:
        """The timeline with what families want to know across entities; do it before taking a partition.

        Notes that the timeline has already are kept.
        """
        notes = dict(timeline.notes)
        for family in self.families:
            own = set(family.remembers) if isinstance(family, Rememberer) else set()
            met = any(name.startswith(f"{family.name}.") for name in notes.keys() - own)
            if isinstance(family, Annotator) and not met:
                notes |= family.annotate(timeline, self.shape, self.windows)
            if isinstance(family, Rememberer) and not set(family.remembers) <= notes.keys():
                notes |= family.remember(timeline, self.shape, self.windows)
        return replace(timeline, notes=notes)

    def vectors(
        self,
        timeline: Timeline,
        population: Population,
        *,
        threads: int | None = None,
        progress: Callable[[str, float], None] | None = None,
        since: int | None = None,
        last: bool = False,
    ) -> Vectors:
        """Build the vectors of all snapshots, or of the latest.

        Parameters
        ----------
        timeline : Timeline
        population : Population
            As :meth:`fit` made it.
        threads : int, optional
            If not given, as many as the machine has cores, and one for a log of less than 200,000 events; the result
            does not depend on it.
        progress : callable, optional
            Called with the name of each family that is done, and the share of work done.
        since : int, optional
            Only of windows that end after this, microseconds since 1970 UTC. Of those before them no more is built than
            what these are judged by.
        last : bool
            Only of each entity's last window, likewise.

        Raises
        ------
        PlanMismatchError
            If the timeline lacks a column of the plan.
        """
        timeline = self.annotated(timeline)
        snapshots, work = snapshots_of(timeline, self.windows), _Work(self.families, population, threads, progress)
        if since is None and not last:
            values = self._room(timeline, snapshots, work)
            self._build(timeline, snapshots, values, work)
        else:
            keep = np.ones(len(snapshots), np.bool_) if since is None else snapshots.as_of > since
            if last:
                keep[:-1] &= snapshots.entity[1:] != snapshots.entity[:-1]
            values, snapshots = self._latest(timeline, snapshots, work, keep)
        entity = pa.DictionaryArray.from_arrays(pa.array(snapshots.entity), timeline.entity)
        ends = timeline.row[snapshots.stop - 1]
        made = (np.ascontiguousarray(values), self.features, self.fingerprint, ends)
        return Vectors(entity, snapshots.since, snapshots.as_of, *made, cut=snapshots.cut)

    @cached_property
    def judged(self) -> Self:
        """The plan of the families that others judge, and of those that judge."""
        kept = [f for f in self.families if isinstance(f, Judge) or any(made.level for made in self.by_family[f.name])]
        return replace(self, families=tuple(kept))

    @cached_property
    def _recalled(self) -> tuple[FeatureFamily, ...]:
        """The families whose columns are looked at in later windows, and those that look."""
        levels = {name for name, made in self.by_family.items() if any(feature.level for feature in made)}
        return tuple(f for f in self.families if f.name in levels or isinstance(f, Historian))

    def _latest(
        self, timeline: Timeline, snapshots: Snapshots, work: _Work, keep: NDArray[np.bool_]
    ) -> tuple[NDArray[np.float32], Snapshots]:
        """The columns of some snapshots, and these: of the others no more is built than what is looked back at."""
        recalled = self._room(timeline, snapshots, work)
        self._build(timeline, snapshots, recalled, replace(work, families=self._recalled, asked=keep))
        latest = snapshots.only(keep)
        values = self._room(timeline, latest, work)
        for family, here in self._places():
            if family in self._recalled:
                values[here] = recalled[here][:, keep]
        others = tuple(family for family in self.families if family not in self._recalled)
        self._build(timeline, latest, values, replace(work, families=others))
        return values, latest

    def _places(self) -> Iterator[tuple[FeatureFamily, slice]]:
        """Each family, and which columns are its own."""
        done = 0
        for family in self.families:
            size = len(self.by_family[family.name])
            yield family, slice(done, done + size)
            done += size

    def _room(self, timeline: Timeline, snapshots: Snapshots, work: _Work) -> NDArray[np.float32]:
        """Room for the columns, of which no part is a block without gaps: for those kernels would be compiled anew."""
        rows = _parted(timeline, snapshots, work.threads or _threads_for(timeline))[1]
        alone = any(hi - lo == len(snapshots) for lo, hi in rows)
        return np.empty((len(self.features), len(snapshots) + alone), np.float32)[:, : len(snapshots)]

    def _build(self, timeline: Timeline, snapshots: Snapshots, values: NDArray[np.float32], work: _Work) -> Population:
        """Fill the columns of some families, (n_features, n_snapshots), and learn their spread if wanted."""
        self._check(timeline)
        threads = work.threads or _threads_for(timeline)
        cuts, rows = _parted(timeline, snapshots, threads)
        parts = [snapshots.part(lo, hi) for lo, hi in pairwise(cuts)]
        population = work.population
        with ThreadPoolExecutor(threads) as pool:
            each = pool.map if threads > 1 else map
            for family, here in self._places():
                if family not in work.families:
                    continue
                if work.learn and isinstance(family, Learner):
                    view = self._viewer((timeline, population, values), here.start, work.asked)
                    for counts in each(family.learn, map(view, parts, rows)):
                        population = population.merged(Population.observed(counts))
                fill = self._filler(family, (timeline, population, values), here, work.asked)
                list(each(fill, parts, rows))
                if work.learn:
                    made = self.by_family[family.name]
                    population = population.merged(_distribution(made, values[here], each))
                if work.progress:
                    work.progress(family.name, here.stop / len(self.features))
        return population

    def _filler(
        self,
        family: FeatureFamily,
        data: tuple[Timeline, Population, NDArray[np.float32]],
        here: slice,
        asked: NDArray[np.bool_] | None,
    ) -> Callable[[Snapshots, tuple[int, int]], None]:
        values, view = data[2], self._viewer(data, here.start, asked)

        def fill(part: Snapshots, rows: tuple[int, int]) -> None:
            columns = values[here, rows[0] : rows[1]]
            columns[:] = np.nan
            if len(part) and len(columns):
                family.fill(columns, view(part, rows))

        return fill

    def _viewer(
        self, data: tuple[Timeline, Population, NDArray[np.float32]], done: int, asked: NDArray[np.bool_] | None
    ) -> Callable[[Snapshots, tuple[int, int]], Context]:
        """What a family may look at in each part, once so many columns are done."""
        timeline, population, values = data
        before = self.features[:done]
        levels = tuple(feature.name for feature in before if feature.level)

        def view(part: Snapshots, rows: tuple[int, int]) -> Context:
            earlier = {feature.name: values[n, rows[0] : rows[1]] for n, feature in enumerate(before)}
            wanted = None if asked is None else asked[rows[0] : rows[1]]
            return Context(timeline, part, population, self.shape, earlier, levels, wanted)

        return view

    def _check(self, timeline: Timeline) -> None:
        missing = [name for name in self.roles.dimensions if name not in timeline.dimensions]
        missing += [name for name in self.roles.measures if name not in timeline.measures]
        missing += [] if self.roles.place is None or timeline.place is not None else self.roles.place
        missing += [] if self.roles.peer_by is None or timeline.peer is not None else [self.roles.peer_by]
        if missing:
            message = f"the plan needs the columns {', '.join(missing)}, which these events were read without"
            raise PlanMismatchError(message)

    def _definition(self) -> dict[str, Any]:
        families = [{"name": f.name, "version": f.version, "settings": _settings(f)} for f in self.families]
        return {
            "format": _FORMAT,
            "roles": self.roles.to_dict(),
            "windows": asdict(self.windows),
            "actions": list(self.actions),
            "baskets": list(self.baskets),
            "shared": list(self.shared),
            "risky": list(self.risky),
            "crossed": [list(pair) for pair in self.crossed],
            "families": families,
        }


@dataclass(frozen=True)
class _Work:
    families: tuple[FeatureFamily, ...]
    population: Population
    threads: int | None
    progress: Callable[[str, float], None] | None
    learn: bool = False
    asked: NDArray[np.bool_] | None = None


def _settings(family: FeatureFamily) -> Mapping[str, Any]:
    return asdict(family)  # type: ignore[call-overload]


def _commonest(timeline: Timeline, action: str | None) -> tuple[str, ...]:
    """The commonest actions; equal counts in the order of their names, so that no order of rows decides."""
    if action is None:
        return ()
    codes = timeline.dimensions[action]
    counts = np.bincount(codes.codes[codes.codes >= 0], minlength=len(codes.values))
    names = codes.values.to_pylist()
    order = sorted(range(len(names)), key=lambda code: (-counts[code], names[code]))
    return tuple(names[code] for code in order[:_MOST_ACTIONS] if counts[code] > 0)


def _threads_for(timeline: Timeline) -> int:
    """As many as the machine has cores; one for a small log."""
    return 1 if len(timeline) < _SMALL else os.cpu_count() or 1


def _parted(timeline: Timeline, snapshots: Snapshots, threads: int) -> tuple[list[int], list[tuple[int, int]]]:
    """The first entity of each part, and its first row and the row after its last."""
    cuts = _cuts(timeline, threads * _PARTS_PER_THREAD)
    return cuts, [(int(snapshots.rows[lo]), int(snapshots.rows[hi])) for lo, hi in pairwise(cuts)]


def _cuts(timeline: Timeline, parts: int) -> list[int]:
    """Entity numbers that cut the events into parts of about equal size."""
    goals = np.linspace(0, len(timeline), parts + 1)[1:-1]
    inner = np.searchsorted(timeline.first, goals, side="left")
    return sorted({0, *map(int, inner), len(timeline.entity)})


def _distribution(features: tuple[Feature, ...], values: NDArray[np.float32], each: Callable[..., Any]) -> Population:
    counts = list(each(lambda column: histogram([column])[0], values))
    return Population(histograms=dict(zip((feature.name for feature in features), counts, strict=True)))
