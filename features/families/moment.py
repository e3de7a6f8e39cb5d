"""Moment: the one event that is judged, by itself.

With one vector per event, the window ends with the event and holds what came before it, and most families speak of all
of it: the largest amount of a day, the riskiest of its terminals. This one speaks of the event alone: its amount, how
often its entity was at this value before and how few others ever are, who else was there, what is known of it, the time
of day and since the event before. Its amounts are levels, so that the families which judge hold them against the
entity's own earlier events and those of its peers.

Nothing where windows are days, hours or runs, in which no event is the one that is meant.

Cost: for each dimension a counter of values that each event of the horizon enters and leaves once; for each dimension
in which company matters one sweep over the events of all entities in the order of time. Blind to everything but the
event and how its own values were met before.

Aggregates over a customer's past beside the transaction itself are the standard of card fraud: Bahnsen, Aouada,
Stojanovic, Ottersten, "Feature engineering strategies for credit card fraud detection", Expert Systems with
Applications 51 (2016).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from ..aftermath import AFTERMATH
from ..exchange import Stream, look_backs
from ..family import Feature
from ..kernels import kernel, picked
from ..survey import known_holders

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from numpy.typing import NDArray

    from ..family import Context, Shape
    from ..snapshots import WindowSpec
    from ..timeline import Timeline

__all__ = ["Moment"]

_SECOND, _HOUR, _DAY = 1_000_000, 3_600_000_000, 86_400_000_000
_LONG_AGO = -(1 << 62)  # no instant is that early
_CLOCK = 4
_SEEN = 3


@dataclass(frozen=True)
class Moment:
    """The event itself: its amounts, what it means for its entity to be at its values, and when it comes.

    Attributes
    ----------
    prior_events : float
        How many events like everyone's are added to those of a value where known trouble is counted.
    """

    prior_events: float = 10.0

    name: ClassVar[str] = "moment"
    version: ClassVar[int] = 3

    def features(self, shape: Shape, before: tuple[Feature, ...]) -> tuple[Feature, ...]:  # noqa: ARG002
        """When, then each measure, then each dimension; none but with one vector per event."""
        if shape.cut != "event":
            return ()
        spans, horizon = look_backs(shape.trailing[-1]), shape.trailing[-1]
        return (
            *_clock(),
            *(_amount(name) for name in shape.measures),
            *(made for name in shape.dimensions for made in _seen(name, horizon)),
            *(made for name in shape.shared for made in _company(name, horizon)),
            *(made for name in shape.risky for made in (*(_trouble(name, span) for span in spans), *_after(name))),
        )

    def annotate(self, timeline: Timeline, shape: Shape, windows: WindowSpec) -> Mapping[str, NDArray[np.float32]]:
        """For each event the seconds since another entity was at its value; nothing where no event is meant."""
        if shape.cut != "event" or not shape.shared:
            return {}
        stream, made = Stream.of(timeline, windows), {}
        entity = picked(timeline.owner, stream.order)
        for name in shape.shared:
            codes, values = timeline.dimensions[name].codes, len(timeline.dimensions[name].values)
            met = picked(codes, stream.order), entity
            visits = np.full((2, values), -1, np.int32), np.full((2, values), _LONG_AGO)
            made[f"moment.{name}.gap_others"] = _apart(stream.order, (stream.at, stream.lower), met, visits)
        return made

    def fill(self, columns: NDArray[np.float32], context: Context) -> None:
        """Take the last event of each window."""
        timeline, snapshots, shape = context.timeline, context.snapshots, context.shape
        last = snapshots.stop - 1
        _when(columns[:_CLOCK], (timeline.at, timeline.wall), snapshots.history, last)
        met = _CLOCK + len(shape.measures)
        noted = met + _SEEN * len(shape.dimensions)
        for row, name in enumerate(shape.measures, _CLOCK):
            columns[row] = timeline.measures[name][last]
        for number, name in enumerate(shape.dimensions):
            codes = timeline.dimensions[name]
            known, entities = known_holders(codes, slice(last[0], last[-1] + 1), context.population, name)
            rarity = np.append(np.log2(max(1, entities) / np.maximum(1, known)), np.nan).astype(np.float32)
            bounds, counter = (snapshots.rows, snapshots.history, snapshots.stop), np.zeros(len(rarity), np.int32)
            _met(columns[met + _SEEN * number : met + _SEEN * (number + 1)], codes.codes, bounds, counter, rarity)
        for row, note in enumerate(self._noted(context), noted):
            columns[row] = note[last]

    def witnesses(self, feature: Feature, context: Context, row: int) -> NDArray[np.int64]:
        """The one event that is meant; with the one before it, where the time between them is told."""
        last = int(context.snapshots.stop[row]) - 1
        between = feature.name == "gap_event" and last > context.snapshots.history[row]
        return np.array([last - 1, last] if between else [last], np.int64)

    def _noted(self, context: Context) -> Iterator[NDArray[np.float32]]:
        """Of every event, who was at its shared values and how long ago, and the rate of known trouble at its risky."""
        notes, shape = context.timeline.notes, context.shape
        for name in shape.shared:
            yield from (notes[f"sharing.{name}.{span}"] for span in ("horizon", "day"))
            yield notes[f"moment.{name}.gap_others"]
        for name in shape.risky:
            for span in look_backs(shape.trailing[-1]):
                known, events = context.population.counts[f"risk.{name}.{span}"]
                base = self.prior_events * (known / events if events else 0.0)
                troubles, there = (notes[f"risk.{name}.{what}.{span}"] for what in ("troubles", "events"))
                yield ((troubles + base) / (there + self.prior_events)).astype(np.float32)
            yield from (notes[f"risk.{name}.{what}"] for what in AFTERMATH)


def _feature(name: str, about: tuple[str, str], meaning: str, null: str, phrase: str) -> Feature:
    unit, subject = about
    return Feature(name, "moment", unit, f"{meaning}.", null, phrase, subject=subject)


def _clock() -> tuple[Feature, ...]:
    never = "never null"
    return (
        _feature("gap_event", ("seconds", "gaps"), "Time from the entity's previous event to this one",
                 "the entity did nothing else in all the time looked at", "{value} after the event before"),
        _feature("hour_event", ("hours", "hours"), "The time of day of the event, in hours after midnight", never,
                 "at {value} hours after midnight"),
        _feature("night_event", ("share", "hours"), "1 if the event is between midnight and six, else 0", never, ""),
        _feature("weekend_event", ("share", "hours"), "1 if the event is on a Saturday or Sunday, else 0", never,
                 ""),
    )  # fmt: skip


def _amount(name: str) -> Feature:
    return Feature(
        name=f"{name}_event",
        family="moment",
        unit=f"{name}",
        meaning=f"The event's own {name}.",
        null=f"the event has no {name}",
        phrase=f"{{value}} of {name} in this event",
        subject=name,
        level=True,
    )


def _seen(name: str, horizon: str) -> tuple[Feature, ...]:
    null, here = f"the event has no {name}", f"at the same value of {name}"
    before = f"events of the entity in the window and the {horizon} before it, this one left out"
    return (
        _feature(f"{name}_seen_event", ("events", name), f"Of the {before}, those {here}", null,
                 f"{{value}} events before at this value of {name}"),
        _feature(f"{name}_seen_share_event", ("share", name), f"Of the {before}, the share of those {here}",
                 f"{null}, or none before has one", f"{{value}} of the events before at this value of {name}"),
        _feature(f"{name}_rarity_event", ("bits", name),
                 f"The -log2 of the share of entities, at least one, that used the value of {name} in training", null,
                 f"a value of {name} rare by {{value}} bits"),
    )  # fmt: skip


def _company(name: str, horizon: str) -> tuple[Feature, ...]:
    null, about = f"the event has no {name}", f"others at {name}"
    crowd = tuple(
        _feature(f"{name}_others_{span}_event", ("entities", about),
                 f"Other entities at the event's value of {name} within the {span} before it", null,
                 f"{{value}} others at this value of {name} within {span}")
        for span in (horizon, "1d")
    )  # fmt: skip
    since = f"Time since another entity was last at the event's value of {name}, before the instant of the event"
    alone = f"{null}, or no other entity was there within the {horizon} before"
    told = f"{{value}} after somebody else at this value of {name}"
    return (*crowd, _feature(f"{name}_gap_others_event", ("seconds", about), since, alone, told))


def _trouble(name: str, span: str) -> Feature:
    meaning = f"Troubles that became known within {span} before the event, at its value of {name}, for each event there"
    return _feature(
        f"{name}_trouble_rate_{span}_event",
        ("rate", f"trouble at {name}"),
        f"{meaning} within {span}, shrunk towards everyone's",
        f"the event has no {name}",
        f"{{value}} known troubles for each event at this value of {name} within {span}",
    )


def _after(name: str) -> tuple[Feature, ...]:
    null, here = f"no trouble is known at the event's value of {name}", f"at this value of {name}"
    rows = (
        ("last", "days", "Days since the latest known trouble", f"{{value}} days after known trouble {here}"),
        ("first", "days", "Days since the earliest known trouble", f"{{value}} days after trouble {here} began"),
        ("calm", "events", "Events, of which news could have come, since the latest known trouble",
         f"{{value}} events since known trouble {here}"),
        ("spared", "events", "Events not in trouble, of which news could have come, since the earliest known trouble",
         f"{{value}} events without trouble among those with trouble {here}"),
        ("run", "events", "The latest events, of which news could have come, that were all trouble",
         f"the last {{value}} events {here} were trouble"),
    )  # fmt: skip
    return tuple(
        _feature(
            f"{name}_trouble_{what}_event", (unit, f"trouble at {name}"), f"{meaning}, at its {name}", null, phrase
        )
        for what, unit, meaning, phrase in rows
    )


@kernel
def _when(
    columns: NDArray[np.float32],
    clocks: tuple[NDArray[np.int64], NDArray[np.int64]],
    history: NDArray[np.int64],
    last: NDArray[np.int64],
) -> None:
    """Gap, hour, night and weekend; the first day of 1970 was a Thursday."""
    at, wall = clocks
    for r in range(len(last)):
        i = last[r]
        hour = (wall[i] % _DAY) / _HOUR
        columns[0, r] = (at[i] - at[i - 1]) / _SECOND if i > history[r] else np.nan
        columns[1, r] = hour
        columns[2, r] = 1.0 if hour < 6 else 0.0
        columns[3, r] = 1.0 if (wall[i] // _DAY + 3) % 7 >= 5 else 0.0


@kernel
def _met(
    columns: NDArray[np.float32],
    codes: NDArray[np.int32],
    bounds: tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]],
    counter: NDArray[np.int32],
    rarity: NDArray[np.float32],
) -> None:
    """Count each value among the events from the horizon's first to the one before, which enter and leave once.

    Null, which is -1, is counted in the last place.
    """
    rows, history, stop = bounds
    for e in range(len(rows) - 1):
        if rows[e] == rows[e + 1]:
            continue
        lo = hi = history[rows[e]]
        for r in range(rows[e], rows[e + 1]):
            for i in range(hi, stop[r] - 1):
                counter[codes[i]] += 1
            for i in range(lo, history[r]):
                counter[codes[i]] -= 1
            lo, hi = history[r], stop[r] - 1
            code, valued = codes[hi], hi - lo - counter[-1]
            if code >= 0:
                columns[0, r] = counter[code]
                columns[1, r] = counter[code] / valued if valued > 0 else np.nan
                columns[2, r] = rarity[code]
        for i in range(lo, hi):
            counter[codes[i]] = 0


@kernel
def _apart(
    order: NDArray[np.uint32],
    clock: tuple[NDArray[np.int64], NDArray[np.int64]],
    met: tuple[NDArray[np.int32], NDArray[np.int32]],
    visits: tuple[NDArray[np.int32], NDArray[np.int64]],
) -> NDArray[np.float32]:
    """Seconds since another entity was at the value of each event, in the order of the timeline.

    Of each value the two entities last there are kept, and when: one of them is not the event's own. All events of an
    instant ask before any of them is kept; whichever two of those are, who asks later is told that instant.
    """
    at, lower = clock
    codes, entity = met
    who, when = visits
    gaps, kept = np.full(len(order), np.nan, np.float32), 0
    for k in range(len(order)):
        if codes[k] >= 0:
            v = codes[k]
            other = when[1, v] if who[0, v] == entity[k] else when[0, v]
            if other >= lower[k]:
                gaps[order[k]] = (at[k] - other) / _SECOND
        while kept <= k and (k + 1 == len(order) or at[k + 1] > at[k]):
            v = codes[kept]
            if v >= 0:
                if who[0, v] != entity[kept]:
                    who[1, v], when[1, v] = who[0, v], when[0, v]
                    who[0, v] = entity[kept]
                when[0, v] = at[kept]
            kept += 1
    return gaps
