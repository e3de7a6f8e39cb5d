"""A scored period and all that is looked at to judge it; each part is made once, when somebody asks for it."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from ..features.columns import stable_hash, times, to_wall
from ..features.profile import newcomers, profile_of
from ..training.asides import audited, days_of, peer_groups
from ..training.labels import confirmed
from ..training.usual import Usual
from .drift import Sizes, cells_to_compare, drift_of
from .score_drift import score_drift
from .slices import Rows

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pyarrow as pa

    from ..features.events import EventLog
    from ..features.profile import EventProfile
    from ..training.labels import Labels
    from ..training.model import Model
    from .drift import Drift
    from .score_drift import ScoreDrift
    from .scoring import ScoredBatch

__all__ = ["Period"]

_DAY, _WEEK = 86_400_000_000, 7


@dataclass(frozen=True, eq=False)
class Period:
    """A period as it was scored.

    Attributes
    ----------
    model : Model
    batch : ScoredBatch
        The windows of the period; its timeline has the horizon before them, too.
    log : EventLog
        The events behind the batch, for attributes kept for audits.
    span : pair of int
        ``[since, until)``, whole days, microseconds since 1970 UTC.
    labels : Labels, optional
        Known trouble: its windows do not speak against p-values.
    """

    model: Model
    batch: ScoredBatch
    log: EventLog
    span: tuple[int, int]
    labels: Labels | None = None

    @cached_property
    def usual(self) -> Usual | None:
        """What it is held against."""
        return Usual.from_card(self.model.card)

    @cached_property
    def days(self) -> tuple[int, int]:
        """The first day and the day after the last, days since 1970 in the log's zone."""
        first, last = (-(-to_wall(np.array(self.span), self._zone) // _DAY)).tolist()
        return first, last

    @cached_property
    def events(self) -> EventProfile:
        """The events of the period."""
        return self._profile(*self.span)

    @cached_property
    def earlier(self) -> EventProfile:
        """The events of the horizon before it."""
        return self._profile(self.span[0] - self._horizon, self.span[0])

    @cached_property
    def history(self) -> int:
        """The first day of the horizon before it, days since 1970."""
        return self.days[0] - self._horizon // _DAY

    @cached_property
    def rows(self) -> Rows:
        """The windows, and what is known of each."""
        vectors, plan = self.batch.vectors, self.model.plan
        new = np.zeros(len(self.batch.timeline.entity), np.bool_)
        if self.newcomers is not None:
            earlier = self.batch.timeline.at < self.span[0]
            new[:] = np.bincount(self.batch.timeline.owner[earlier], minlength=len(new)) == 0
        place = {name: code for code, name in enumerate(self.batch.timeline.entity.to_pylist())}
        owner = np.array([place[name] for name in vectors.entity.dictionary.to_pylist()], np.intp)
        calm = np.ones(len(vectors), np.bool_)
        if self.labels is not None:
            calm = ~confirmed(vectors, self.labels, known_by=None)
        return Rows(
            vectors,
            days_of(vectors, plan.windows, plan.roles.time_zone),
            np.asarray(self.batch.table["alert"].to_numpy()),
            calm,
            new[owner[vectors.entity.indices.to_numpy()]],
            None if self.model.calibration is None else self.batch.table["p_value"].to_numpy(),
        )

    @cached_property
    def entities(self) -> int:
        """How many entities have a window."""
        return len(np.unique(self.rows.vectors.entity.indices.to_numpy()))

    @cached_property
    def before(self) -> int:
        """How many entities the reference rests on."""
        return self.entities if self.usual is None else self.usual.entities

    @cached_property
    def drifts(self) -> list[Drift]:
        """Each feature, then and now, in the order of the vector."""
        vectors = self.rows.vectors
        reference = cells_to_compare(vectors, self.usual, self.model.population)
        sizes = Sizes(self.before, self.entities, self.days[1] - self.days[0], len(vectors.features))
        return drift_of(vectors, reference, self.rows.new, sizes, nulls=self.usual is not None)

    @cached_property
    def scores(self) -> ScoreDrift:
        """The scores, and the alerts that the training's line would give."""
        usual, rate = self.usual, None
        if usual is not None and usual.alerts is not None:
            rate = usual.alerts * max(1, len(usual.events.day)) / max(1, usual.rows)
        line = None if usual is None else usual.line
        score = self.batch.table["score"].to_numpy()
        return score_drift(self.rows, score, line=line, rate=rate, before=self.before)

    @cached_property
    def newcomers(self) -> float | None:
        """Share of entities that did nothing in the horizon before: of days, or of weeks, on average."""
        step = _DAY * (_WEEK if self.days[1] - self.days[0] >= _WEEK else 1)
        begins = range(self.span[0], self.span[1] - step + 1, step)
        found = [newcomers(self.batch.timeline, at, at + step, self._horizon) for at in begins]
        shares = [share for share in found if share is not None]
        return float(np.mean(shares)) if shares and len(shares) == len(found) else None

    @cached_property
    def usual_newcomers(self) -> float | None:
        """The largest such share in training."""
        word = "week" if self.days[1] - self.days[0] >= _WEEK else "day"
        return None if self.usual is None else self.usual.newcomers.get(word)

    @cached_property
    def set_aside(self) -> Mapping[str, int]:
        """Rows set aside by reason: those of these days, and those of no believable time, which could be of any."""
        rejected = self.batch.rejected
        if not rejected.num_rows:
            return {}
        on = to_wall(times(rejected[self.model.plan.roles.at], self._zone).at, self._zone) // _DAY
        reasons = rejected["reason"].to_pylist()
        undated = np.array([reason.startswith(("no time", "time ")) for reason in reasons])
        here = undated | ((on >= self.days[0]) & (on < self.days[1]))
        return Counter(reason for reason, counts in zip(reasons, here.tolist(), strict=True) if counts)

    @cached_property
    def rejected_shares(self) -> Mapping[str, float]:
        """The same as shares of all rows of the period."""
        rows = max(1, self.events.total + sum(self.set_aside.values()))
        return {reason: count / rows for reason, count in self.set_aside.items()}

    @cached_property
    def attributes(self) -> Mapping[str, pa.DictionaryArray]:
        """What slices are cut by: the peer group, and attributes kept for audits."""
        group = self._group
        peers = {} if group is None else {str(self.model.plan.roles.peer_by): group}
        return {**peers, **audited(self.rows.vectors, self.log)}

    @cached_property
    def groups_now(self) -> Mapping[str, int]:
        """Rows of each peer group by the hash of its name."""
        if self._group is None:
            return {}
        codes = self._group.indices.fill_null(-1).to_numpy(zero_copy_only=False)
        counts = np.bincount(codes[codes >= 0], minlength=len(self._group.dictionary))
        keys = stable_hash(self._group.dictionary).tolist()
        return {f"{key:016x}": int(count) for key, count in zip(keys, counts, strict=True) if count}

    @cached_property
    def groups_before(self) -> Mapping[str, Mapping[str, int]]:
        """The same in training, by attribute."""
        return {} if self.usual is None else {str(self.model.plan.roles.peer_by): self.usual.groups}

    @property
    def notes(self) -> list[str]:
        """What could not be looked at, and what the door had to say."""
        said = {lie.guard for lie in (self.scores.whole, self.scores.known)}  # it is a finding
        found = [note for note in self.batch.report.notes if note not in said]
        if self.usual is None:
            found.append("the model keeps no reference of its training: faults are not looked for, nulls not compared; "
                         "train again to have one")  # fmt: skip
        if self.newcomers is None:
            found.append("who is new is not known: the events do not reach back by the horizon before the period")
        if self.rows.p is None:
            found.append("the model gives no p-values, so whether they hold cannot be told")
        return found

    @cached_property
    def _group(self) -> pa.DictionaryArray | None:
        plan = self.model.plan
        if plan.roles.peer_by is None:
            return None
        return peer_groups(self.rows.vectors, self.batch.timeline, plan.windows)

    def _profile(self, since: int, until: int) -> EventProfile:
        roles = self.model.plan.roles
        return profile_of(self.batch.timeline, (since, until), action=roles.action, actions=self.model.plan.actions)

    @property
    def _horizon(self) -> int:
        return self.model.plan.windows.horizon_width

    @property
    def _zone(self) -> str:
        return self.model.plan.roles.time_zone
