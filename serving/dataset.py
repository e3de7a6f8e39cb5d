"""Scores as a dataset: a folder for each day, and for each day a commit that says which files are its scores.

    <location>/day=2025-03-03/<name>.parquet         the scores, as pandas, Polars, Spark and pyarrow read partitions
    <location>/_commits/2025-03-03.json              which files these are, and what they were made of
    <location>/_rejected/day=2025-03-03/<name>.parquet   rows set aside, with their reasons
    <location>/_shadow/day=2025-03-03/<name>.parquet     what a challenger makes of the same windows, if there is one

A file is named by its content, so the same scores have the same name and a file never changes. It is written first, the
commit after it, and what the commit no longer names is removed last. So whoever reads through the commits
(:func:`read_scores`) sees each day whole: as it was, or as it is. A killed run leaves files that no commit names; a
reader of plain partitions may see them, whole, until the run is repeated.

On an object store, where no lock exists, two runs may write the same day at once: the last commit holds, and both left
whole files. What no commit names may be the other run's, which has not committed yet. Therefore it is removed only once
it is a day older than the commit, by the store's own clock; until then readers of plain partitions may see two
revisions of a day side by side. Nothing here reads a clock of this machine, and a commit holds no time, so a repeated
run gives the same bytes.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, field
from datetime import date
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any, Self

import pyarrow as pa
import pyarrow.compute as pc

from ..errors import PeculiarError
from ..features.output import parquet_bytes
from .folders import open_folder

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from contextlib import AbstractContextManager
    from pathlib import Path

    from .folders import Folder

__all__ = ["Commit", "DatasetError", "DayOfScores", "ScoreDataset", "StoredFile", "is_dataset", "read_scores"]

_COMMITS, _REJECTED, _SHADOW = "_commits", "_rejected", "_shadow"
_FORMAT = 1
_TRIES = 5


class DatasetError(PeculiarError):
    """A dataset of scores is not there, or a file of it is missing or altered."""


@dataclass(frozen=True)
class StoredFile:
    """A file that a commit names.

    Attributes
    ----------
    path : str
        Below the dataset's location, with slashes.
    sha256 : str
        64 hexadecimal digits.
    bytes, rows : int
    """

    path: str
    sha256: str
    bytes: int
    rows: int


@dataclass(frozen=True)
class Commit:
    """What a day's scores are, and what they were made of.

    Attributes
    ----------
    day : str
        ISO 8601, in the log's zone.
    revision : int
        1 at first, one more each time that the day's scores change.
    made_of : mapping
        All that decides the scores: the model's name, version and SHA-256, the plan, the parameters, the fingerprint of
        the events that the day's windows can see, of the labels known by then, of the rows set aside; name, version and
        SHA-256 of the challenger, if one scored in the shadow.
    rows, alerts : int
    files, rejected : tuple of StoredFile
        The scores, and the rows of the day that were set aside, together with those of no believable time.
    withdrawn : tuple of mapping
        Keys of the alerts that earlier revisions had and this one has not, each with the ``revision`` that lacked it
        first.
    shadow : tuple of StoredFile
        What the challenger made of the same windows; they decide no revision.
    """

    day: str
    revision: int
    made_of: Mapping[str, Any]
    rows: int
    alerts: int
    files: tuple[StoredFile, ...] = ()
    rejected: tuple[StoredFile, ...] = ()
    withdrawn: tuple[Mapping[str, Any], ...] = ()
    shadow: tuple[StoredFile, ...] = ()

    @property
    def all_files(self) -> tuple[StoredFile, ...]:
        """Every file that belongs to the day."""
        return (*self.files, *self.rejected, *self.shadow)

    def to_json(self) -> bytes:
        """The commit as it is stored; equal commits give equal bytes."""
        return json.dumps({"format": _FORMAT, **asdict(self)}, indent=1, sort_keys=True, ensure_ascii=False).encode()

    @classmethod
    def from_json(cls, content: bytes, where: str) -> Self:
        """Read what :meth:`to_json` wrote.

        Raises
        ------
        DatasetError
            If it is nothing of the kind.
        """
        try:
            told = json.loads(content)
            form = told.pop("format")
            told.setdefault("shadow", [])  # a day from before challengers scored in the shadow
            kinds = ("files", "rejected", "shadow")
            files = {name: tuple(StoredFile(**file) for file in told.pop(name)) for name in kinds}
            commit = cls(**told | files | {"withdrawn": tuple(told["withdrawn"])})
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            message = f"{where}: expected a commit of scores, cannot read it ({error}); score this day again"
            raise DatasetError(message) from error
        if form != _FORMAT:
            message = f"{where}: expected a commit of format {_FORMAT}, got {form}; score this day again"
            raise DatasetError(message)
        return commit


@dataclass(frozen=True, eq=False)
class DayOfScores:
    """A day's scores, ready to be written.

    Attributes
    ----------
    day : date
    table, rejected : pyarrow.Table
    made_of : mapping
        See :class:`Commit`.
    shadow : pyarrow.Table, optional
        What a challenger made of the same windows.
    """

    day: date
    table: pa.Table
    rejected: pa.Table
    made_of: Mapping[str, Any] = field(default_factory=dict)
    shadow: pa.Table | None = None


@dataclass(frozen=True)
class ScoreDataset:
    """A dataset of scores at a path of this machine or at the address of an object store.

    Attributes
    ----------
    folder : Folder
    location : str
    """

    folder: Folder
    location: str

    @classmethod
    def open(cls, location: str | Path) -> Self:
        """Look at a location, which need not exist yet.

        Raises
        ------
        SchemaError
            If the address cannot be read.
        """
        return cls(open_folder(location), str(location).rstrip("/"))

    def only_one(self) -> AbstractContextManager[None]:
        """Wait until no other run writes here, and keep others out; an object store lets both in."""
        return self.folder.only_one()

    def days(self) -> list[date]:
        """The days that have a commit, in order."""
        names = [PurePosixPath(name) for name in self.folder.files(_COMMITS)]
        return [date.fromisoformat(name.stem) for name in names if name.suffix == ".json" and name.name[0] != "."]

    def commit(self, day: date) -> Commit | None:
        """What is committed of a day; None if nothing is.

        Raises
        ------
        DatasetError
            If the commit cannot be read.
        """
        try:
            return Commit.from_json(self.folder.read(_commit_name(day)), f"{self.location}/{_commit_name(day)}")
        except FileNotFoundError:
            return None

    def write(self, scores: DayOfScores) -> Commit:
        """Write a day: its files, then its commit. What the commit before it named stays until :meth:`sweep`.

        The revision is the next one if the scores are others than those committed, else the same.
        """
        before = self.commit(scores.day)
        files = self._put(f"day={scores.day}", scores.table)
        rejected = self._put(f"{_REJECTED}/day={scores.day}", scores.rejected)
        shadow = () if scores.shadow is None else self._put(f"{_SHADOW}/day={scores.day}", scores.shadow)
        changed = before is None or before.files != files
        revision = (0 if before is None else before.revision) + changed
        withdrawn: tuple[Mapping[str, Any], ...] = ()
        if before is not None:
            withdrawn = self._withdrawn(before, scores, revision) if changed else before.withdrawn
        rows, alerts = scores.table.num_rows, pc.sum(scores.table["alert"]).as_py() or 0
        commit = Commit(str(scores.day), revision, scores.made_of, rows, alerts, files, rejected, withdrawn, shadow)
        self.folder.put(_commit_name(scores.day), commit.to_json())
        return commit

    def sweep(self, day: date) -> list[str]:
        """Remove the files of a day that its commit does not name, and return their names.

        On an object store only those that are older than the commit by :attr:`Folder.spare_age`.
        """
        commit, commits = self.commit(day), self.folder.files(_COMMITS)
        committed = commits.get(_commit_name(day))
        if commit is None or committed is None:
            return []
        named = {file.path for file in commit.all_files}
        latest, unfinished = committed - self.folder.spare_age, f"{_COMMITS}/.{day}.json."
        there = self._there(day) | {n: time for n, time in commits.items() if n.startswith(unfinished)}
        spare = [name for name, time in there.items() if name not in named and time <= latest]
        for name in spare:
            self.folder.remove(name)
        return spare

    def holds(self, commit: Commit) -> bool:
        """Whether all files that a commit names are there."""
        there = self._there(date.fromisoformat(commit.day))
        return all(file.path in there for file in commit.all_files)

    def read(self, day: date) -> pa.Table:
        """The committed scores of a day, each file held against its SHA-256.

        Raises
        ------
        DatasetError
            If the day has no commit, or a file is missing or altered.
        """
        for _ in range(_TRIES):  # a file that is gone was superseded between the two looks
            commit = self.commit(day)
            if commit is None:
                message = f"{self.location} has no scores of {day}; score that day, or ask for one of {self._span()}"
                raise DatasetError(message)
            try:
                return self._table(commit)
            except FileNotFoundError:
                continue
        message = f"{self.location}: a file that the commit of {day} names is missing; score that day again"
        raise DatasetError(message)

    def _there(self, day: date) -> dict[str, int]:
        folders = (f"day={day}", f"{_REJECTED}/day={day}", f"{_SHADOW}/day={day}")
        return {name: time for folder in folders for name, time in self.folder.files(folder).items()}

    def _put(self, under: str, table: pa.Table) -> tuple[StoredFile, ...]:
        """Write a table under a name made of its content, and again if it is there, so that it counts as young."""
        if not table.num_rows:
            return ()
        content = parquet_bytes(table)
        sha256 = hashlib.sha256(content).hexdigest()
        file = StoredFile(f"{under}/{sha256[:32]}.parquet", sha256, content.size, table.num_rows)
        self.folder.put(file.path, content)
        return (file,)

    def _table(self, commit: Commit) -> pa.Table:
        import pyarrow.parquet as pq

        parts = []
        for file in commit.files:
            content = self.folder.read(file.path)
            if hashlib.sha256(content).hexdigest() != file.sha256:
                message = f"{self.location}/{file.path} is not what was committed; score {commit.day} again"
                raise DatasetError(message)
            parts.append(pq.read_table(pa.BufferReader(content)))
        return pa.concat_tables(parts) if parts else pa.table({})

    def _withdrawn(self, before: Commit, scores: DayOfScores, revision: int) -> tuple[Mapping[str, Any], ...]:
        """Alerts of earlier revisions that are none now, the oldest first."""
        now = {_text(key) for key in _alerts(scores.table)}
        try:
            were = self._table(before)
        except (DatasetError, FileNotFoundError):  # somebody else's doing; to write the day again is the way out
            were = pa.table({})
        gone = [{**key, "revision": revision} for key in _alerts(were)]
        earlier = {_text(key): key for key in (*gone, *before.withdrawn)}  # the first withdrawal counts
        left = [key for text, key in earlier.items() if text not in now]
        return tuple(sorted(left, key=lambda key: (key["revision"], _text(key))))

    def _span(self) -> str:
        days = self.days()
        return f"{len(days)} days from {days[0]} to {days[-1]}" if days else "none: nothing is committed there"


def is_dataset(output: str | Path) -> bool:
    """Whether an output is a dataset, a folder or a prefix, and not one Parquet file.

    Examples
    --------
    >>> is_dataset("s3://bucket/scores"), is_dataset("scores.parquet")
    (True, False)
    """
    return PurePosixPath(str(output)).suffix.lower() not in {".parquet", ".pq"}


def read_scores(location: str | Path, days: Iterable[date] | None = None) -> pa.Table:
    """Read committed scores: each day whole, never partial or superseded, while a run may be writing.

    Parameters
    ----------
    location : str or Path
        A folder, or the address of an object store, that ``peculiar score -o`` wrote.
    days : iterable of date, optional
        In the zone of the model's roles; all days that are committed by default.

    Returns
    -------
    pyarrow.Table
        ``day`` (date32), then the columns of the scores; days in order, rows by entity and time.

    Raises
    ------
    DatasetError
        If nothing is committed there, a day that was asked for is not, or a file is missing or altered.

    Examples
    --------
    >>> import tempfile
    >>> dataset = ScoreDataset.open(tempfile.mkdtemp())
    >>> table = pa.table({"entity": ["ann"], "score": [2.5], "alert": [True]})
    >>> dataset.write(DayOfScores(date(2025, 3, 3), table, table.slice(0, 0))).revision
    1
    >>> read_scores(dataset.location).to_pylist()
    [{'day': datetime.date(2025, 3, 3), 'entity': 'ann', 'score': 2.5, 'alert': True}]
    """
    dataset = ScoreDataset.open(location)
    wanted = dataset.days() if days is None else sorted(set(days))
    if days is None and not wanted:
        message = (
            f"expected scores at {location}, found none committed; write them with: peculiar score EVENTS -o FOLDER"
        )
        raise DatasetError(message)
    tables = [_with_day(dataset.read(day), day) for day in wanted]
    full = [table for table in tables if table.num_rows] or tables[:1]
    return pa.concat_tables(full, promote_options="permissive") if full else pa.table({})


def _with_day(table: pa.Table, day: date) -> pa.Table:
    return table.add_column(0, "day", pa.array([day] * table.num_rows, pa.date32()))


def _commit_name(day: date) -> str:
    return f"{_COMMITS}/{day}.json"


def _alerts(table: pa.Table) -> list[dict[str, Any]]:
    """The keys of the alerts: what stands before the score."""
    if not table.num_rows:
        return []
    keys = [name for name in table.column_names[: table.column_names.index("score")] if name != "since"]
    return [
        {name: value.isoformat() if hasattr(value, "isoformat") else value for name, value in row.items()}
        for row in table.filter(table["alert"]).select(keys).to_pylist()
    ]


def _text(key: Mapping[str, Any]) -> str:
    return json.dumps({name: value for name, value in key.items() if name != "revision"}, sort_keys=True, default=str)
