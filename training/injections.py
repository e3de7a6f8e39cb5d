"""A log in which some ordinary entities misbehave in known ways.

Without labels nobody can say how good a detector is, but whether it would find a card on fifty buses can be tried out:
take a log, let some of its entities ride them, and look. The events are changed, not the vectors, so that whatever
features make of a misbehaviour is part of the trial.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, TypeVar

import numpy as np
import pyarrow as pa

from ..errors import ConfigError
from ..features.columns import Codes, from_wall
from ..features.exchange import NEVER, TROUBLE
from .misbehaviours import KINDS
from .scenes import Act, Scene, Victim

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    from ..features.roles import Roles
    from ..features.snapshots import WindowSpec
    from ..features.timeline import Timeline
    from .misbehaviours import Misbehaviour

Number = TypeVar("Number", np.int64, np.uint64, np.uint32, np.int32)

__all__ = ["BY_REQUEST", "CASE", "Injected", "inject"]

CASE = "rehearsal.case"
"""The note on each event: the number of its case, -1 if nothing was done to it, -2 if it leads up to a case."""
BY_REQUEST = ("known_trouble", "replay")
"""Kinds that are left out unless they are named."""

_DAY = 86_400_000_000
_HISTORY = 5  # days with events, within the horizon, that a victim must have before its day
_LARGEST_SHARE = 0.25  # of the entities that could be victims
_TRIES = 20  # victims that a case is tried on
_SCHEMA = pa.schema(
    {
        "case": pa.int64(),
        "entity": pa.string(),
        "kind": pa.string(),
        "from": pa.timestamp("us", tz="UTC"),
        "to": pa.timestamp("us", tz="UTC"),
        "events": pa.int64(),
        "strength": pa.float64(),
        "told": pa.string(),
    }
)


@dataclass(frozen=True, eq=False)
class Injected:
    """A log with misbehaviour in it.

    Attributes
    ----------
    timeline : Timeline
        With the note ``rehearsal.case``, int32; of other notes only that of known trouble is kept.
    cases : pyarrow.Table
        Columns ``case`` (0, 1, …), ``entity``, ``kind``, ``from`` and ``to`` (the judged day, half-open, UTC),
        ``events`` (how many were added or changed, those before the day too), ``strength`` (0 mild to 1 blatant) and
        ``told`` (a sentence for a person).
    left_out : dict of str to str
        Kinds that could not be staged, or not so often as was asked for, and why.
    """

    timeline: Timeline
    cases: pa.Table
    left_out: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class _Case:
    kind: str
    victim: Victim
    act: Act


def inject(  # noqa: PLR0913 - what to stage, where, how often and with which chance are separate questions
    timeline: Timeline,
    roles: Roles,
    *,
    period: tuple[int, int],
    per_kind: int,
    seed: int,
    windows: WindowSpec,
    kinds: Sequence[str] | None = None,
) -> Injected:
    """Let some ordinary entities misbehave, each in one way on one day.

    Victims have events on their day and on five days of the horizon before it; entities that are known to be in trouble
    when the period begins are none, and at most one in four of those that could be is.

    Parameters
    ----------
    timeline : Timeline
        The period and the horizon before it.
    roles : Roles
    period : pair of int, microseconds since 1970 UTC
        The judged days lie within it.
    per_kind : int
        Cases of each kind, as far as there are victims.
    seed : int
    windows : WindowSpec
        What vectors will be made for.
    kinds : sequence of str, optional
        Names of kinds; all but those that use labels, if not given.

    Raises
    ------
    ConfigError
        If a kind does not exist, or nobody has the history to misbehave against.
    """
    chosen = _chosen(kinds)
    scene = Scene(timeline, roles, windows, cases=per_kind * len(chosen))
    lacking = {kind.name: f"the log lacks {lack}" for kind in chosen if (lack := kind.missing(scene))}
    able = [kind for kind in chosen if kind.name not in lacking]
    cast = _Cast.of(scene, period, seed)
    most = max(1, int(_LARGEST_SHARE * len(cast.order)) // max(1, len(able)))
    number = min(per_kind, most)
    cases = list(_staged(scene, cast, able, number, seed))
    for kind in able:
        found = sum(case.kind == kind.name for case in cases)
        if found < per_kind:
            lacking[kind.name] = f"{found} of {per_kind} cases, among {len(cast.order)} who could be victims"
    return Injected(_merged(scene, cases, seed), _table(scene, cases), lacking)


def _chosen(kinds: Sequence[str] | None) -> list[Misbehaviour]:
    by_name = {kind.name: kind for kind in KINDS}
    if kinds is None:
        return [kind for kind in KINDS if kind.name not in BY_REQUEST]
    unknown = [name for name in kinds if name not in by_name]
    if unknown or len(set(kinds)) < len(kinds):
        message = f"expected kinds of misbehaviour among {', '.join(by_name)}, each once, got {', '.join(kinds)}"
        raise ConfigError(message)
    return [by_name[name] for name in kinds]


@dataclass(frozen=True, eq=False)
class _Cast:
    """Who could be a victim, in the order of being asked, and on which of the scene's days.

    Attributes
    ----------
    order : int64 array
        Entities.
    entity, day : int64 arrays of shape (n,)
        Numbers among the scene's days, sorted by entity.
    before : int64 array
        Where the horizon of each of the scene's days begins.
    """

    order: NDArray[np.int64]
    entity: NDArray[np.int64]
    day: NDArray[np.int64]
    before: NDArray[np.int64]

    @classmethod
    def of(cls, scene: Scene, period: tuple[int, int], seed: int) -> _Cast:
        days, zone = scene.days, scene.timeline.zone
        before = days.before(scene.horizon_days)
        able = np.arange(len(days.day)) - before >= _HISTORY
        edges = np.unique(days.day)
        inside = edges[
            (from_wall(edges * _DAY, zone) >= period[0]) & (from_wall((edges + 1) * _DAY, zone) <= period[1])
        ]
        able &= np.isin(days.day, inside)
        noted = scene.timeline.notes.get(TROUBLE)
        if noted is not None:
            able &= ~np.isin(days.entity, np.unique(scene.timeline.owner[noted < period[0]]))
        day = np.flatnonzero(able)
        if not len(day):
            message = (
                f"nobody has events in the period and on {_HISTORY} days of the horizon before; rehearse a later period"
            )
            raise ConfigError(message)
        entity = days.entity[day].astype(np.int64)
        order = np.random.default_rng([seed, zlib.crc32(b"victims")]).permutation(np.unique(entity))
        return cls(order, entity, day, before)

    def victim(self, scene: Scene, entity: int, about: tuple[int, float], rng: np.random.Generator) -> Victim:
        """The entity on one of its days."""
        low, high = np.searchsorted(self.entity, [entity, entity + 1])
        number = int(self.day[rng.integers(low, high)])
        days, (case, strength) = scene.days, about
        day, past = int(days.day[number]), int(days.start[self.before[number]])
        since, until = (int(scene.at(each, np.zeros(1))[0]) for each in (day, day + 1))
        start, stop = int(days.start[number]), int(days.stop[number])
        return Victim(entity, case, day, since, until, past, start, stop, strength)


def _staged(scene: Scene, cast: _Cast, kinds: Sequence[Misbehaviour], number: int, seed: int) -> Iterator[_Case]:
    """The cases: the next in the order who can do it does; who cannot waits for another kind."""
    waiting, case = cast.order.tolist(), 0
    for place in range(number):
        for kind in kinds:
            rng = np.random.default_rng([seed, zlib.crc32(kind.name.encode()), place])
            strength = (place + rng.random()) / number
            for entity in waiting[:_TRIES]:
                victim = cast.victim(scene, entity, (case, strength), rng)
                act = _kept(scene, victim, kind.act(scene, victim, rng))
                if act is not None:
                    waiting.remove(entity)
                    yield _Case(kind.name, victim, act)
                    case += 1
                    break


def _kept(scene: Scene, victim: Victim, act: Act | None) -> Act | None:
    """The act, before the end of the day and in a session's place; None if nothing of it is in the day."""
    if act is None:
        return None
    act = replace(act, at=np.minimum(act.at, victim.until - 1))
    if scene.windows.by is not None and not act.within:
        act = _as_session(scene, victim, act)
    return act if (act.at >= victim.since).any() else None


def _as_session(scene: Scene, victim: Victim, act: Act) -> Act:
    """An own session, after the day's last event and before the next one: one that lay astride would cut others up.

    What happens instead of the day's own events may happen when it does.
    """
    by = scene.windows.by
    assert by is not None
    values = {**act.values, by: np.full(len(act.like), scene.fresh(by, victim.number), np.int32)}
    if np.isin(victim.own, act.removed).all():
        return replace(act, values=values)
    at, next_one = scene.timeline.at, victim.stop
    low, begin = int(at[victim.stop - 1]) + 1, int(act.at.min())
    last = next_one >= scene.timeline.first[victim.entity + 1]
    high = victim.until if last else min(victim.until, int(at[next_one]))
    shrink = min(1.0, max(0, high - low - 1) / (int(act.at.max()) - begin + 1))
    return replace(act, at=low + ((act.at - begin) * shrink).astype(np.int64), values=values)


def _merged(scene: Scene, cases: Sequence[_Case], seed: int) -> Timeline:
    """The timeline with what was taken away gone and what was added in its place in time, after what was there."""
    timeline, added = scene.timeline, _added(cases)
    keep = np.ones(len(timeline), np.bool_)
    for case in cases:
        keep[case.act.removed] = False
    kept = np.flatnonzero(keep)
    first = np.concatenate([[0], np.cumsum(keep)])[timeline.first]
    at = timeline.at[kept]
    place = np.array(
        [first[e] + np.searchsorted(at[first[e] : first[e + 1]], t, "right") for e, t in zip(*added[:2], strict=True)],
        np.int64,
    )
    order = np.lexsort((np.arange(len(place)), added[1], place))
    source = np.insert(kept, place[order], added[2][order])
    where = np.empty(len(place), np.int64)
    where[order] = place[order] + np.arange(len(place))
    more = np.bincount(added[0], minlength=len(timeline.entity))
    sorted_first = first + np.concatenate([[0], np.cumsum(more)])
    return _assembled(scene, cases, (source, where, sorted_first), (added[1], added[3], seed))


def _added(
    cases: Sequence[_Case],
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64], NDArray[np.int32]]:
    """Of each added event: whose it is, when, which event it is like, and its note."""
    if not cases:
        none = np.empty(0, np.int64)
        return none, none, none, none.astype(np.int32)
    owner = np.concatenate([np.full(len(case.act.at), case.victim.entity, np.int64) for case in cases])
    note = [np.where(case.act.at >= case.victim.since, case.victim.number, -2) for case in cases]
    at, like = (np.concatenate([getattr(case.act, name) for case in cases]) for name in ("at", "like"))
    return owner, at, like, np.concatenate(note).astype(np.int32)


def _assembled(
    scene: Scene,
    cases: Sequence[_Case],
    places: tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]],
    about: tuple[NDArray[np.int64], NDArray[np.int32], int],
) -> Timeline:
    """Every column gathered from the events that were kept or copied, then what differs written over it."""
    timeline, (source, where, first), (at, note, seed) = scene.timeline, places, about
    number = np.arange(len(where), dtype=np.uint64)
    columns = {name: timeline.dimensions[name].codes[source] for name in timeline.dimensions}
    measures = {name: values[source] for name, values in timeline.measures.items()}
    offset = 0
    for case in cases:
        here = where[offset : offset + len(case.act.at)]
        offset += len(here)
        for name, codes in case.act.values.items():
            columns[name][here] = codes
        for name, amounts in case.act.amounts.items():
            measures[name][here] = amounts
    first_row = 0 if not len(timeline) else int(timeline.row.max()) + 1
    trouble = timeline.notes.get(TROUBLE)
    return replace(
        timeline,
        first=first,
        at=_written(timeline.at[source], where, at),
        dimensions={name: Codes(codes, scene.extended(name)) for name, codes in columns.items()},
        measures=measures,
        ids=None if timeline.ids is None else _written(timeline.ids[source], where, _ids(number, seed)),
        row=_written(timeline.row[source], where, (first_row + number).astype(np.uint32)),
        notes={
            CASE: _written(np.full(len(source), -1, np.int32), where, note),
            **({} if trouble is None else {TROUBLE: _written(trouble[source], where, NEVER)}),
        },
        place=None if timeline.place is None else timeline.place[:, source],
        peer=_peers(timeline, cases, source, where),
    )


def _written(column: NDArray[Number], where: NDArray[np.int64], values: NDArray[Number] | int) -> NDArray[Number]:
    column[where] = values
    return column


def _ids(number: NDArray[np.uint64], seed: int) -> NDArray[np.uint64]:
    """Keys for events that have no id, spread over all there are."""
    begin = np.random.default_rng([seed, zlib.crc32(b"ids")]).integers(2**64, dtype=np.uint64)
    return begin + number * np.uint64(0x9E3779B97F4A7C15)


def _peers(
    timeline: Timeline, cases: Sequence[_Case], source: NDArray[np.int64], where: NDArray[np.int64]
) -> Codes | None:
    """Whoever acts, the entity's peers are its own."""
    if timeline.peer is None:
        return None
    codes, offset = timeline.peer.codes[source], 0
    for case in cases:
        here = where[offset : offset + len(case.act.at)]
        offset += len(here)
        codes[here] = timeline.peer.codes[case.victim.stop - 1]
    return Codes(codes, timeline.peer.values)


def _table(scene: Scene, cases: Sequence[_Case]) -> pa.Table:
    rows: list[Mapping[str, object]] = [
        {
            "case": case.victim.number,
            "entity": scene.timeline.entity[case.victim.entity].as_py(),
            "kind": case.kind,
            "from": case.victim.since,
            "to": case.victim.until,
            "events": len(case.act.at),
            "strength": case.victim.strength,
            "told": case.act.told,
        }
        for case in cases
    ]
    return pa.table({name: pa.array([row[name] for row in rows], _SCHEMA.field(name).type) for name in _SCHEMA.names})
