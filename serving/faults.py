"""Faults of the data, told by signatures that no behaviour has: columns gone blank or constant, units, clocks, copies.

Each check holds the events of a period against those of the training, event by event and within each action, so that
more rides are not taken for more blanks. What it finds is a lead for whoever runs the pipeline.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from ..features.profile import SLOTS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from ..features.profile import EventProfile

__all__ = ["Finding", "expected_slots", "faults_of", "history_faults", "quarantine_faults"]

_FACTORS = {
    10.0: "a decimal place", 100.0: "cents for whole units", 1000.0: "thousandths for whole units",
    1024.0: "kibibytes for bytes", 60.0: "minutes for hours, or seconds for minutes", 3600.0: "seconds for hours",
    86_400.0: "seconds for days", 1e6: "millionths for whole units", 1e9: "billionths for whole units",
    1.609344: "kilometres for miles", 2.20462262: "pounds for kilograms", 3.2808399: "feet for metres",
    2.54: "centimetres for inches",
}  # fmt: skip
_NEAR = 0.06  # of the logarithm
_SCALED = np.log(1.5)
_BLANK, _COPIES, _ASIDE = 0.05, 0.02, 0.005
_CONSTANT, _VARIED = 0.999, 0.95
_LEAST, _SOURCE = 100, 0.02
_HOLDERS = 20
_STILL = 0.3  # of what was common in training: on a quiet Sunday other people may make half of it
_LUCK, _HALF_HOUR = 20.0, 30.0  # of log-likelihood, for people are not alike: plain weeks gain up to 23 by half an hour
_LEFT = 0.4
_SILENT = 12.0  # events due where there are none: once in 160,000 times by chance, if events come one by one
_BURSTS = 2.0  # times what a long silence of the training itself would have had: people come in bursts


@dataclass(frozen=True)
class Finding:
    """Something to look at.

    Attributes
    ----------
    kind : "fault", "change" or "mix"
    code : str
        One word for programs: "blank", "constant", "units", "clock", "copies", "recoded", "gone", "hole", "quarantine",
        "history", "labels", "behaviour", "volume", "scores", "newcomers", "peers".
    what : str
        What was seen, with its size.
    sure : "high", "fair" or "low"
    todo : str
    columns : tuple of str
        Columns of the log, or features, that it is about.
    """

    kind: Literal["fault", "change", "mix"]
    code: str
    what: str
    sure: Literal["high", "fair", "low"]
    todo: str
    columns: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Plain data, for JSON."""
        return asdict(self) | {"columns": list(self.columns)}


def faults_of(
    then: EventProfile, now: EventProfile, *, days: tuple[int, int], names: Mapping[str, str]
) -> list[Finding]:
    """Every fault that the events of a period show.

    Parameters
    ----------
    then, now : EventProfile
        Of the training's reference, and of the period.
    days : pair of int
        First day of the period and the day after the last, days since 1970.
    names : mapping of str to str
        What hashes of values stand for, as far as earlier events tell.
    """
    if now.total < _LEAST:
        return _holes(then, now, days)
    found = [*_blanks(then, now), *_constants(then, now), *_units(then, now), *_copies(then, now)]
    recoded = _recoded(then, now)
    spoken = {column for finding in (*found, *recoded) for column in finding.columns}
    gone = [each for each in _gone(then, now, names) if each.columns[0] not in spoken]
    return [*found, *recoded, *gone, *_clock(then, now), *_holes(then, now, days)]


def history_faults(then: EventProfile, earlier: EventProfile, *, days: tuple[int, int]) -> list[Finding]:
    """What the horizon before a period lacks: features look back over it, so that they would all be off.

    Parameters
    ----------
    then, earlier : EventProfile
        Of the training's reference, and of the horizon.
    days : pair of int
        The first day of the horizon and the first of the period, days since 1970.
    """
    first = int(earlier.day.min()) if len(earlier.day) else days[1]
    if first > days[0] + 1:
        reach, horizon = days[1] - first, days[1] - days[0]
        what = f"the events reach back {reach} days before the period, and the model looks back {horizon}"
        todo = "Give the events of the whole horizon; what is compared with one's own past means nothing without it."
        return [Finding("fault", "history", what, "high", todo)]
    found = [hole for hole in _holes(then, earlier, (first, days[1])) if hole.sure == "high"]
    todo = "Load what is missing and look again: features look back over it."
    return [replace(hole, code="history", what=f"before the period, {hole.what}", todo=todo) for hole in found]


def quarantine_faults(then: Mapping[str, float], now: Mapping[str, int], rows: int) -> list[Finding]:
    """Reasons for which far more rows are set aside than in training.

    Parameters
    ----------
    then : mapping of str to float
        Share of rows by reason.
    now : mapping of str to int
        Rows by reason.
    rows : int
        All rows of the period, good or not.
    """
    found = []
    for reason, count in now.items():
        share, usual = count / max(1, rows), then.get(reason, 0.0)
        if share > max(2 * usual, usual + _ASIDE):
            what = f"{share:.1%} of the rows were set aside ({reason}); in training {usual:.1%}"
            todo = "Look at the rejected rows, and ask who writes them."
            found.append(Finding("fault", "quarantine", what, "high", todo, (reason,)))
    return found


def _blanks(then: EventProfile, now: EventProfile) -> list[Finding]:
    found = []
    shares = {name: counts / np.maximum(1, then.by_action) for name, counts in then.blanks.items()}
    for name, counts in now.blanks.items():
        share = counts.sum() / now.total
        there = then.by_action > 0
        usual = float(shares[name][there] @ now.by_action[there]) / max(1, int(now.by_action[there].sum()))
        if abs(share - usual) <= max(_BLANK, 0.25 * min(usual, 1 - usual)):
            continue
        word = "is empty" if share > _CONSTANT else "is blank more often" if share > usual else "is blank less often"
        what = f"{name} {word}: {share:.1%} of events, where {usual:.1%} would be usual for what was done"
        todo = "Ask who fills this column what changed; features of it mean nothing until then."
        sure: Literal["high", "fair"] = "high" if abs(share - usual) > 4 * _BLANK else "fair"
        found.append(Finding("fault", "blank", what, sure, todo, (name,)))
    return found


def _constants(then: EventProfile, now: EventProfile) -> list[Finding]:
    held = [(name, _top(then, name), _top(now, name)) for name in then.values if name in now.values]
    held += [(name, share, now.constant.get(name, 0.0)) for name, share in then.constant.items()]
    blank = {name: counts.sum() for name, counts in now.blanks.items()}
    todo = "Ask whether a default took the place of the real value."
    return [
        Finding("fault", "constant", f"{name} has one value only ({was:.0%} of events had the commonest one before)",
                "high", todo, (name,))
        for name, was, share in held
        if share >= _CONSTANT and 0 < was < _VARIED and now.total - blank.get(name, 0) >= _LEAST
    ]  # fmt: skip


def _units(then: EventProfile, now: EventProfile) -> list[Finding]:
    found = []
    for name, before in then.amounts.items():
        with np.errstate(invalid="ignore"):
            ratio = np.log(now.amounts[name] / before) if name in now.amounts else np.empty(0)
        whole = _factor(ratio[np.isfinite(ratio)])
        rows = [(place, _factor(row[np.isfinite(row)])) for place, row in enumerate(ratio)]
        parts = [(place, factor) for place, factor in rows if factor and factor[1]]
        if whole is not None:
            found.append(_scaled(name, whole, ""))
        elif parts:
            of = ", ".join(then.actions[place] if place < len(then.actions) else "others" for place, _ in parts)
            found.append(_scaled(name, parts[0][1], f" in events of {of}"))
    return found


def _factor(ratio: NDArray[np.float64]) -> tuple[float, str] | None:
    """A factor that all quantiles share, and what is known to have it; None if they do not share one."""
    if len(ratio) < 10:
        return None
    middle = float(np.median(ratio))
    if np.quantile(np.abs(ratio - middle), 0.9) > max(0.15, 0.08 * abs(middle)):
        return None
    for factor, meaning in _FACTORS.items():
        if abs(abs(middle) - np.log(factor)) < _NEAR:
            return float(np.exp(middle)), meaning
    return (float(np.exp(middle)), "") if abs(middle) > _SCALED else None


def _scaled(name: str, factor: tuple[float, str], where: str) -> Finding:
    times, meaning = factor
    size = f"{times:,.4g} times" if times > 1 else f"one part in {1 / times:,.4g} of"
    known = f", as {meaning} would be or the reverse" if meaning else ""
    what = f"{name} is {size} what it was{where}, alike at all quantiles from 5 % to 95 %{known}"
    todo = "Ask whether unit or currency changed, or all prices did; convert, or train again on the new unit."
    return Finding("fault", "units", what, "high" if meaning else "fair", todo, (name,))


def _copies(then: EventProfile, now: EventProfile) -> list[Finding]:
    share, usual = now.repeats / now.total, then.repeats / max(1, then.total)
    if share <= max(3 * usual, usual + _COPIES):
        return []
    what = f"{share:.1%} of events repeat another in all but the id; in training {usual:.1%}"
    todo = "Look for a file that was loaded twice, or a sender that tries again; drop the copies and score again."
    return [Finding("fault", "copies", what, "high", todo)]


def _recoded(then: EventProfile, now: EventProfile) -> list[Finding]:
    found = []
    for name, counts in then.values.items():
        total = int(then.total - then.blanks[name].sum())
        here = now.values.get(name, {})
        rest = int(now.total - now.blanks[name].sum()) if name in now.blanks else 0
        if total < _LEAST or rest < _LEAST:
            continue
        known = sum(counts.values()) / total
        still = sum(count for key, count in here.items() if key in counts) / rest
        if known < 0.3 or still > _STILL * known:
            continue
        what = f"{still:.0%} of events have a {name} that was common in training, where {known:.0%} had"
        todo = "Ask whether codes or spelling changed; map them back, or train again."
        found.append(Finding("fault", "recoded", what, "high" if still < 0.1 * known else "fair", todo, (name,)))
    return found


def _gone(then: EventProfile, now: EventProfile, names: Mapping[str, str]) -> list[Finding]:
    found = []
    for name, counts in then.values.items():
        total = max(1, int(then.total - then.blanks[name].sum()))
        rest = int(now.total - now.blanks[name].sum()) if name in now.blanks else 0
        here = now.values.get(name, {})
        for key, count in counts.items():
            share = count / total
            expected = share * rest
            if share < _SOURCE or expected < 2 * _SILENT or here.get(key, 0) > 0.02 * expected:
                continue
            if then.holders.get(name, {}).get(key, 0) < _HOLDERS:  # not a source: somebody who is not there any more
                continue
            who = repr(names[key]) if key in names else "a value"
            what = f"{who} of {name} is gone: it was in {share:.1%} of events, and about {expected:,.0f} were due"
            todo = "Ask whether this source still sends; if it was closed on purpose, train again without it."
            found.append(Finding("fault", "gone", what, "fair", todo, (name,)))
    return found


def expected_slots(then: EventProfile, day: NDArray[np.int64]) -> NDArray[np.float64]:
    """Events by half hour that days of the same weekday had in training, float64 of shape (n_days, SLOTS)."""
    first, last = (int(then.day.min()), int(then.day.max())) if len(then.day) else (0, 6)
    number = np.maximum(1, np.bincount(np.arange(first, last + 1) % 7, minlength=7))
    sums = np.zeros((7, SLOTS))
    np.add.at(sums, then.day % 7, then.slots)
    rest = sums.sum(axis=0) / max(1, last - first + 1)
    by_weekday = np.where(sums.sum(axis=1, keepdims=True) > 0, sums / number[:, None], rest)
    wanted: NDArray[np.float64] = by_weekday[day % 7]
    return wanted


def _clock(then: EventProfile, now: EventProfile) -> list[Finding]:
    """A clock that is off: the day's curve fits that of the training only when it is turned by whole half hours.

    What it gains by the turn has to be more than luck, and twice what any stretch of the training itself gains when it
    is held against the rest of it. Turned, it has to fit as well as such a stretch fits as it is: habits that changed
    do not move the whole day in one piece. Odd half hours are told only where they gain plainly more than the nearest
    hour, and leave little of the misfit.
    """
    found, length = _turned(then, now), len(now.day)
    if not found.turn or found.gain < _LUCK:
        return []
    begins = range(0, len(then.day) - length + 1, max(1, length))
    own = [_turned(*_apart(then, slice(begin, begin + length))) for begin in begins]
    gain, misfit = (max((getattr(each, name) / each.events for each in own), default=0.0) for name in ("gain", "as_is"))
    alike = found.turn % 2 == 0 and found.left <= misfit * found.events
    if found.gain < 2 * gain * found.events or not (alike or found.left <= _LEFT * found.as_is):
        return []
    turned = found.turn
    hours = f"{abs(turned) / 2:g} hour{'s' if abs(turned) != 2 else ''}"
    what = f"the hours of the day lie {hours} {'later' if turned > 0 else 'earlier'} than in training, in one piece"
    todo = "Compare the time zone of times written now with that of the training, or a change to summer time."
    return [Finding("fault", "clock", what, "high" if abs(turned) > 2 else "fair", todo)]


@dataclass(frozen=True)
class _Turned:
    """The best turn of a day's curve in half hours, and what it gains, in log-likelihood of all events.

    ``as_is`` and ``left`` are the misfit without it and with it: how far the curve that fits best is ahead, less what
    it owes to luck.
    """

    turn: int
    gain: float
    as_is: float
    left: float
    events: int


def _turned(then: EventProfile, now: EventProfile) -> _Turned:
    """Hold the half hours of a day against the training's, at every turn."""
    slots = now.slots.sum(axis=0)
    expected = expected_slots(then, now.day).sum(axis=0) * _mixed(then, now)
    smooth = expected + np.roll(expected, 1) + np.roll(expected, -1) + 1e-3 * expected.sum() / SLOTS
    usual, events = np.log(smooth / smooth.sum()), max(1, int(slots.sum()))
    turns = np.arange(-SLOTS // 2 + 1, SLOTS // 2 + 1)
    likely = np.array([slots @ np.roll(usual, turn) for turn in turns])
    best = int(likely.argmax())
    hour = int(np.where(turns % 2 == 0, likely, -np.inf).argmax())
    best = hour if likely[best] - likely[hour] < _HALF_HOUR else best
    most = float(slots[slots > 0] @ np.log(slots[slots > 0] / events)) - (SLOTS - 1) / 2
    same = float(likely[SLOTS // 2 - 1])
    gain, left = float(likely[best]) - same, most - float(likely[best])
    return _Turned(int(turns[best]), gain, most - same, max(0.0, left), events)


def _mixed(then: EventProfile, now: EventProfile) -> NDArray[np.float64]:
    """How much more there is of each half hour, as each action has its hours, for other shares of the actions.

    One everywhere where the training did not keep the hours of actions. An action that it did not know has everyone's.
    """
    if then.hours is None or now.hours is None or then.actions != now.actions:
        return np.ones(SLOTS)
    whole = then.hours.sum(axis=0)
    known = np.where(then.hours.sum(axis=1, keepdims=True) > 0, then.hours, whole)
    curves = known / np.maximum(1, known.sum(axis=1, keepdims=True))
    was, there = (hours.sum(axis=1) / max(1, int(hours.sum())) for hours in (then.hours, now.hours))
    least = 1e-3 / SLOTS
    ratio: NDArray[np.float64] = (there @ curves + least) / (was @ curves + least)
    return ratio


def _apart(then: EventProfile, days: slice) -> tuple[EventProfile, EventProfile]:
    """The training without some of its days, and these days, as far as their hours go."""
    rest = np.ones(len(then.day), np.bool_)
    rest[days] = False

    def of(chosen: NDArray[np.bool_]) -> EventProfile:
        return replace(then, day=then.day[chosen], events=then.events[chosen], slots=then.slots[chosen], hours=None)

    return of(rest), of(~rest)


def _holes(then: EventProfile, now: EventProfile, days: tuple[int, int]) -> list[Finding]:
    """Stretches of time without an event that are plainly longer than those of the training, but for its two longest.

    These may have been outages, too.
    """
    usual = sorted(due for _, _, due in _silences(then, then, _span(then)))
    least = max(_SILENT, _BURSTS * (usual[-3] if len(usual) > 2 else 0.0))
    found = []
    for start, stop, due in _silences(then, now, days):
        if due >= least:
            what = f"no event from {_moment(days[0], start)} until {_moment(days[0], stop)}, where {due:,.0f} were due"
            todo = "Look for a file that did not arrive, or a stop of the pipeline; load it and score the period again."
            found.append(Finding("fault", "hole", what, "high" if due >= 2 * least else "fair", todo))
    return found


def _span(profile: EventProfile) -> tuple[int, int]:
    """The first day and the day after the last."""
    return (int(profile.day.min()), int(profile.day.max()) + 1) if len(profile.day) else (0, 0)


def _silences(then: EventProfile, now: EventProfile, days: tuple[int, int]) -> list[tuple[int, int, float]]:
    """First half hour, the one after the last, and how many events were due, of each stretch without any."""
    day = np.arange(*days)
    there = np.zeros((len(day), SLOTS), np.int64)
    known = (now.day >= days[0]) & (now.day < days[1])
    there[now.day[known] - days[0]] = now.slots[known]
    expected = expected_slots(then, day)
    pace = np.divide(there.sum(axis=1), expected.sum(axis=1), out=np.ones(len(day)), where=expected.sum(axis=1) > 0)
    expected = (expected * (min(1.0, float(np.median(pace[pace > 0]))) if (pace > 0).any() else 1.0)).ravel()
    silent = np.concatenate([[False], there.ravel() == 0, [False]])
    edges = np.flatnonzero(np.diff(silent.astype(np.int8)))
    return [(int(start), int(stop), float(expected[start:stop].sum())) for start, stop in edges.reshape(-1, 2)]


def _moment(first: int, slot: int) -> str:
    stamp = np.datetime64(first, "D") + np.timedelta64(30 * int(slot), "m")
    return str(stamp).replace("T", " ")


def _top(profile: EventProfile, name: str) -> float:
    counts = profile.values[name].values()
    there = int(profile.total - profile.blanks[name].sum())
    return max(counts, default=0) / max(1, there)
