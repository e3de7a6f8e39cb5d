"""Reviewers' verdicts, read and checked row by row: who, which window, confirmed or cleared, by whom and when.

A verdict becomes known when it was given. The time is asked for and never made up, since features and training count a
verdict from then on; and it cannot lie before the end of what it is about.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ..errors import LabelError
from .label_source import ENTITY, EVENT, LabelSource

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from ..features.sources import Source
    from .labels import Locate

__all__ = ["CUT", "VERDICTS", "Verdicts", "read_verdicts"]

CUT = b"peculiar.cut"  # in the metadata of a file of scores: how its windows are cut, as Vectors.cut says
_TIME = pa.timestamp("us", tz="UTC")
VERDICTS = pa.schema(
    {
        "entity": pa.string(),
        "from": _TIME,
        "to": _TIME,
        "verdict": pa.string(),
        "reviewer": pa.string(),
        "reviewed_at": _TIME,
        "chance": pa.float64(),
        "note": pa.string(),
    }
)
_WORDS = pa.array(["confirmed", "cleared"])


@dataclass(frozen=True, eq=False)
class Verdicts:
    """What reviewers said in one file.

    Attributes
    ----------
    table : pyarrow.Table
        Columns ``entity`` (string), ``from``, ``to`` (timestamps in UTC, half-open), ``verdict`` ("confirmed" or
        "cleared"), ``reviewer`` (string), ``reviewed_at`` (timestamp), ``chance`` (float64, see
        :class:`~peculiar.training.labels.Labels`), ``note`` (string, nullable).
    name : str
        The file.
    open : int
        Rows without a verdict, which were left out.
    """

    table: pa.Table
    name: str
    open: int


def read_verdicts(
    source: object, *, scores: object | None = None, locate: Locate | None = None, zone: str = "UTC"
) -> Verdicts:
    """Read reviewers' verdicts from a file or a table.

    The columns: ``entity`` (or ``user_id``, …); ``since`` and ``as_of`` as in a file of scores, or ``from`` and ``to``,
    or an ``event_id`` alone; ``verdict``, "confirmed" or "cleared"; ``reviewer``; ``reviewed_at``; optionally
    ``chance`` and ``note``. A row without a verdict is not reviewed yet and is left out.

    Parameters
    ----------
    source : path, or anything that speaks Arrow
    scores : path, or anything that speaks Arrow, optional
        The scores that were reviewed. Each window has to be among them, and a random pick gets its chance from there.
        Where windows end with an event each, the verdict is about that event.
    locate : callable, optional
        Tells the entity (string, null where unknown) and the instant (int64) of event ids; needed for verdicts by
        event.
    zone : str
        The time zone of times that carry none.

    Raises
    ------
    LabelError
        If a column is missing, or a row's verdict is another word, or it lacks its entity, time or reviewer, or was
        reviewed before its window was over, or is about a window that is not among the scores.

    Examples
    --------
    >>> import pyarrow as pa
    >>> window = {"entity": ["ann"], "since": ["2025-03-01"], "as_of": ["2025-03-02"]}
    >>> said = {"verdict": ["cleared"], "reviewer": ["kim"], "reviewed_at": ["2025-03-03T09:30:00Z"]}
    >>> read_verdicts(pa.table(window | said)).table.select(["entity", "verdict", "chance"]).to_pylist()
    [{'entity': 'ann', 'verdict': 'cleared', 'chance': 1.0}]
    """
    from ..features.sources import open_source

    opened = open_source(source)
    sheet = _Sheet(LabelSource(opened.read(opened.schema().names), opened.name, zone))
    verdict = sheet.verdicts()
    given = verdict.is_valid().to_numpy(zero_copy_only=False)
    cut = (opened.schema().metadata or {}).get(CUT)
    window = sheet.windows(locate, given)
    chance = sheet.source.chance()
    if scores is not None:
        seen = _Seen.of(open_source(scores), window[0])
        cut, chance = seen.cut, pa.array(sheet.chances(window, seen, given))
    who, start, stop = window
    if cut == b"event" and sheet.by_window:
        start = stop - 1
    reviewer, at = sheet.reviewers(given), sheet.times("reviewed_at", given)
    sheet.check(start, stop, at, given)
    times = [pa.array(each).cast(_TIME) for each in (start, stop, at)]
    columns = [who, *times[:2], verdict, reviewer, times[2], chance, sheet.source.text("note")]
    table = pa.table(columns, schema=VERDICTS).filter(pa.array(given))
    return Verdicts(table, opened.name, int((~given).sum()))


@dataclass(frozen=True, eq=False)
class _Sheet:
    """The rows that a reviewer filled in, and what to say of one that cannot be used."""

    source: LabelSource

    @property
    def by_window(self) -> bool:
        """Whether rows name windows as a file of scores does."""
        return not self.source.find("from") and self.source.find("since") is not None

    def verdicts(self) -> pa.Array:
        """Confirmed, cleared, or null where nothing was said."""
        words = self._words("verdict")
        odd = pc.and_(pc.is_valid(words), pc.invert(pc.is_in(words, value_set=_WORDS)))
        rows = np.flatnonzero(odd.to_numpy(zero_copy_only=False))
        if len(rows):
            self._refuse(rows, f"has the verdict {words[int(rows[0])].as_py()!r}; expected confirmed or cleared")
        return words

    def windows(
        self, locate: Locate | None, given: NDArray[np.bool_]
    ) -> tuple[pa.Array, NDArray[np.int64], NDArray[np.int64]]:
        """Who, from and to of each row."""
        if self.source.find(*ENTITY) and (self.by_window or self.source.find("from")):
            begin, end = ("since", "as_of") if self.by_window else ("from", "to")
            who = self.source.text(str(self.source.find(*ENTITY)))
            start, stop = self.times(begin, given), self.times(end, given)
            missing, said = who.is_null(), "has no entity"
        elif self.source.find(*EVENT):
            who, start, stop = self.source.by_event(locate)
            missing, said = who.is_null(), "names an event that the log does not have"
        else:
            message = (
                f"{self.source.name}: expected columns entity, since and as_of (or from and to), or event_id; "
                f"got {', '.join(self.source.table.column_names)}"
            )
            raise LabelError(message)
        self._refuse(np.flatnonzero(given & missing.to_numpy(zero_copy_only=False)), said)
        return who, start, stop

    def reviewers(self, given: NDArray[np.bool_]) -> pa.Array:
        """Who looked."""
        name = self._column("reviewer")
        reviewer = pc.utf8_trim_whitespace(self.source.text(name))
        missing = pc.or_kleene(reviewer.is_null(), pc.equal(reviewer, "")).to_numpy(zero_copy_only=False)
        self._refuse(np.flatnonzero(given & missing), "has no reviewer; say who gave the verdict")
        return reviewer

    def times(self, name: str, given: NDArray[np.bool_]) -> NDArray[np.int64]:
        """A column of instants, microseconds since 1970 UTC; each has to be there where a verdict was given."""
        return self.source.times(self._column(name), but=~given)

    def chances(
        self, window: tuple[pa.Array, NDArray[np.int64], NDArray[np.int64]], seen: _Seen, given: NDArray[np.bool_]
    ) -> NDArray[np.float64]:
        """The chance of each row's window, which has to be among the scores."""
        keys = list(zip(window[0].to_pylist(), window[1].tolist(), window[2].tolist(), strict=True))
        unknown = np.array([key not in seen.chance for key in keys], np.bool_)
        rows = np.flatnonzero(given & unknown)
        if len(rows):
            who, start, stop = keys[int(rows[0])]
            times = pa.array([start, stop]).cast(_TIME).to_pylist()
            self._refuse(rows, f"is about {who!r} from {times[0]} to {times[1]}, which {seen.name} does not have")
        return np.array([seen.chance.get(key, 1.0) for key in keys])

    def check(
        self, start: NDArray[np.int64], stop: NDArray[np.int64], at: NDArray[np.int64], given: NDArray[np.bool_]
    ) -> None:
        """Refuse windows without length, and verdicts given before their window was over."""
        self.source.check(start, stop, given)
        early = np.flatnonzero(given & (at < stop))
        if len(early):
            times = pa.array([at[early[0]], stop[early[0]]]).cast(_TIME).to_pylist()
            self._refuse(
                early, f"was reviewed at {times[0]}, before its window ended at {times[1]}; expected a later time"
            )

    def _words(self, name: str) -> pa.Array:
        words = pc.utf8_lower(pc.utf8_trim_whitespace(self.source.text(self._column(name))))
        return pc.if_else(pc.equal(words, ""), None, words)

    def _column(self, name: str) -> str:
        if self.source.find(name) is None:
            came = ", ".join(self.source.table.column_names)
            message = f"{self.source.name}: expected a column {name}, got {came}; verdicts need verdict, reviewer and "
            raise LabelError(f"{message}reviewed_at")
        return name

    def _refuse(self, rows: NDArray[np.intp], said: str) -> None:
        if len(rows):
            more = f" ({len(rows) - 1} more rows likewise)" if len(rows) > 1 else ""
            message = f"{self.source.name}: row {rows[0]} {said}{more}; nothing was taken in"
            raise LabelError(message)


@dataclass(frozen=True, eq=False)
class _Seen:
    """The windows of a file of scores that verdicts may be about, and how likely each was to be an alert."""

    name: str
    chance: Mapping[tuple[str, int, int], float]
    cut: bytes | None

    @classmethod
    def of(cls, scores: Source, who: pa.Array) -> _Seen:
        schema = scores.schema()
        known = [name for name in ("entity", "since", "as_of", "chance") if name in schema.names]
        if known[:3] != ["entity", "since", "as_of"]:
            message = (
                f"{scores.name}: expected scores with columns entity, since and as_of, got {', '.join(schema.names)}"
            )
            raise LabelError(message)
        table = scores.read(known)
        reader = LabelSource(
            table.filter(pc.is_in(table["entity"].cast(pa.string()), value_set=who)), scores.name, "UTC"
        )
        keys = zip(reader.text("entity").to_pylist(), *(reader.times(n).tolist() for n in known[1:3]), strict=True)
        chance: dict[tuple[str, int, int], float] = {}
        for key, each in zip(keys, reader.chance().to_pylist(), strict=True):
            chance[key] = max(each, chance.get(key, 0.0))
        return cls(scores.name, chance, cast("Mapping[bytes, Any]", schema.metadata or {}).get(CUT))
