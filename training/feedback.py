"""What reviewers said, kept beside the models: taken in once, never changed, and read by every later training.

Each file of verdicts becomes one Parquet file in ``<home>/feedback``, named by the SHA-256 of what it says. It appears
whole or not at all and is never written again: a verdict that is taken back is a later verdict. A row that is there
already is not stored a second time, so that a sheet which grows from day to day can be handed in as a whole.

Of a verdict, training takes whose window it is about, the word, the time and the chance: a label like any other. Notes
stay in the store and never become features.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc

from ..audit import Use, record
from ..errors import LabelError
from ..features.output import write_parquet
from .labels import SCHEMA, Labels
from .verdicts import VERDICTS, read_verdicts

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from .labels import Locate
    from .verdicts import Verdicts

__all__ = ["Received", "read_feedback", "take_in", "with_feedback"]

_FOLDER = "feedback"
_Row = tuple[Any, ...]  # in the order of the columns of VERDICTS


@dataclass(frozen=True)
class Received:
    """What one file of verdicts brought.

    Attributes
    ----------
    path : Path or None
        The file in the store; None if it held nothing that was not there already.
    confirmed, cleared : int
        Verdicts taken in, by what they say.
    known : int
        Verdicts that were there already, word for word.
    open : int
        Rows without a verdict.
    windows : mapping of str to int
        Windows that the new verdicts are about: ``new``; ``replaced``, whose verdict is another now; ``agreed``, whose
        verdict was the same before; ``outdated``, on which a later verdict stands.
    reviewers : mapping of str to (int, int)
        Confirmed and cleared, by reviewer.
    """

    path: Path | None
    confirmed: int
    cleared: int
    known: int
    open: int
    windows: Mapping[str, int]
    reviewers: Mapping[str, tuple[int, int]] = field(default_factory=dict)

    def __str__(self) -> str:
        """A few lines for a person."""
        others = [f"{self.known:,} known already"] * (self.known > 0) + [f"{self.open:,} rows open"] * (self.open > 0)
        if self.path is None:
            return f"nothing new: {', '.join(others) or 'no verdicts'}; the feedback stays as it was"
        told = ", ".join(f"{count:,} {name}" for name, count in self.windows.items() if count)
        lines = [f"{self.confirmed + self.cleared:,} verdicts: {self.confirmed:,} confirmed, {self.cleared:,} cleared"]
        lines.append(f"  windows: {told}")
        lines += [f"  {who}: {yes:,} confirmed, {no:,} cleared" for who, (yes, no) in self.reviewers.items()]
        lines += [f"  left out: {', '.join(others)}"] if others else []
        return "\n".join([*lines, f"{self.path}: the next training reads it"])

    def to_dict(self) -> dict[str, Any]:
        """Plain data, for JSON."""
        by_reviewer = {who: {"confirmed": yes, "cleared": no} for who, (yes, no) in self.reviewers.items()}
        own = {name: value for name, value in vars(self).items() if name not in ("path", "windows", "reviewers")}
        return {
            **own,
            **self.windows,
            "reviewers": by_reviewer,
            "output": None if self.path is None else str(self.path),
        }


def take_in(
    source: object,
    home: Path,
    *,
    scores: object | None = None,
    locate: Locate | None = None,
    zone: str = "UTC",
) -> Received:
    """Put reviewers' verdicts into the store, and the use on record.

    Parameters
    ----------
    source : path, or anything that speaks Arrow
        See :func:`~peculiar.training.verdicts.read_verdicts`, also for ``scores``, ``locate`` and ``zone``.
    home : Path
        The project's folder.

    Raises
    ------
    LabelError
        If a row cannot be used; then nothing is taken in.

    Examples
    --------
    >>> import tempfile
    >>> import pyarrow as pa
    >>> window = {"entity": ["ann"], "since": ["2025-03-01"], "as_of": ["2025-03-02"]}
    >>> said = {"verdict": ["cleared"], "reviewer": ["kim"], "reviewed_at": ["2025-03-03T09:30:00Z"]}
    >>> home = Path(tempfile.mkdtemp())
    >>> take_in(pa.table(window | said), home).windows["new"]
    1
    >>> print(take_in(pa.table(window | said), home))
    nothing new: 1 known already; the feedback stays as it was
    """
    from filelock import FileLock

    verdicts = read_verdicts(source, scores=scores, locate=locate, zone=zone)
    folder = Path(home).absolute() / _FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    with FileLock(folder / ".lock"):
        before = _rows(read_feedback(home))
        fresh = _table(set(_rows(verdicts.table)) - set(before))
        received = _received(verdicts, before, fresh)
        if not len(fresh):
            return received
        path = folder / f"{_digest(fresh)}.parquet"
        write_parquet(fresh, path)
    asked = {"source": verdicts.name, **received.windows, "confirmed": received.confirmed, "cleared": received.cleared}
    use = Use(verb="feedback", data=path.stem, rows=len(fresh), output=str(path), parameters=asked)
    record(Path(home), use)
    return replace(received, path=path)


def read_feedback(home: Path) -> pa.Table | None:
    """All verdicts of a project, each once, in the order in which they were given.

    Parameters
    ----------
    home : Path
        The project's folder.

    Returns
    -------
    pyarrow.Table or None
        Columns as :class:`~peculiar.training.verdicts.Verdicts` has them; None if there are no verdicts.

    Raises
    ------
    LabelError
        If a file does not say what it was stored for: it was altered.
    """
    import pyarrow.parquet as pq

    paths = sorted((Path(home) / _FOLDER).glob("[!.]*.parquet"))
    rows: set[_Row] = set()
    for path in paths:
        table = pq.ParquetFile(path).read()
        if table.schema != VERDICTS or _digest(table) != path.stem:
            message = f"{path} was altered: its name is the fingerprint of other verdicts; restore it, or remove it"
            raise LabelError(message)
        rows.update(_rows(table))
    return _table(rows) if paths else None


def with_feedback(labels: Labels | None, home: Path) -> Labels | None:
    """Labels and the feedback of a project as one; a verdict is known from when it was given.

    Parameters
    ----------
    labels : Labels or None
    home : Path
        The project's folder.

    Returns
    -------
    Labels or None
        None if there are neither labels nor feedback.

    Raises
    ------
    LabelError
        If the feedback was altered.
    """
    said = read_feedback(home)
    if said is None:
        return labels
    times = [said[name].cast(pa.int64()) for name in ("from", "to", "reviewed_at")]
    value = pc.equal(said["verdict"], "confirmed")
    columns = [said["entity"], *times, pa.nulls(len(said), pa.string()), value, said["chance"], said["reviewer"]]
    table = pa.table(columns, schema=SCHEMA)
    return Labels(table) if labels is None else replace(labels, table=pa.concat_tables([labels.table, table]))


def _received(verdicts: Verdicts, before: list[_Row], fresh: pa.Table) -> Received:
    """What the verdicts add to those that were there; where they are stored is yet to be said."""
    rows = _rows(fresh)
    reviewers: dict[str, tuple[int, int]] = {}
    for who in sorted({row[4] for row in rows}):
        own = [row[3] for row in rows if row[4] == who]
        reviewers[who] = own.count("confirmed"), own.count("cleared")
    return Received(
        path=None,
        confirmed=sum(yes for yes, _ in reviewers.values()),
        cleared=sum(no for _, no in reviewers.values()),
        known=len(verdicts.table) - len(rows),
        open=verdicts.open,
        windows=_windows(before, rows),
        reviewers=reviewers,
    )


def _windows(before: list[_Row], fresh: list[_Row]) -> dict[str, int]:
    old, mine, both = _last_words(before), _last_words(fresh), _last_words([*before, *fresh])
    count = dict.fromkeys(("new", "replaced", "agreed", "outdated"), 0)
    for window, word in mine.items():
        if window not in old:
            count["new"] += 1
        elif old[window] != both[window]:
            count["replaced"] += 1
        else:
            count["agreed" if word == old[window] else "outdated"] += 1
    return count


def _last_words(rows: Iterable[_Row]) -> dict[_Row, str]:
    """The verdict that holds in the end on each window, as :meth:`Labels.known` has it."""
    return {row[:3]: str(row[3]) for row in sorted(rows, key=_order)}


def _order(row: _Row) -> _Row:
    """When it was given; of verdicts given at once the one that confirms is the last, then the less likely pick."""
    return (row[5], row[3] == "confirmed", -row[6], *map(str, row))


def _rows(table: pa.Table | None) -> list[_Row]:
    return [] if table is None else list(zip(*(column.to_pylist() for column in table.columns), strict=True))


def _table(rows: Iterable[_Row]) -> pa.Table:
    ordered = sorted(rows, key=_order)
    return pa.table([list(column) for column in zip(*ordered, strict=True)] or [[]] * len(VERDICTS), schema=VERDICTS)


def _digest(table: pa.Table) -> str:
    """Of what the rows say, in their order; how Parquet packs them does not matter."""
    lines = (json.dumps(row, default=str, ensure_ascii=False) for row in _rows(table))
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()
