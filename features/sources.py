"""Where events come from: files by path or glob, frames and tables in memory.

One rule: everything speaks Arrow. pyarrow reads Parquet (string columns straight as dictionary codes, which saves
decoding them), Polars reads text formats, and whatever is in memory hands over an Arrow stream. Files of an object
store come through pyarrow's own file systems, rows of a database through ADBC (:mod:`~peculiar.features.sql`). Nothing
is read until columns are asked for.
"""

from __future__ import annotations

import glob
import hashlib
import warnings
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeVar, runtime_checkable

import pyarrow as pa

from ..errors import SchemaError
from .places import file_system, files_at, is_remote
from .sql import DATABASE, SqlQuery

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    import polars as pl
    from pyarrow import fs

__all__ = ["PeriodSource", "Source", "StreamSource", "expected_rows", "in_pieces", "open_source", "signature"]

T = TypeVar("T")

_PARQUET = (".parquet", ".pq")
_CSV = (".csv", ".csv.gz", ".csv.zst", ".tsv")
_NDJSON = (".ndjson", ".jsonl")
_LINE = 40  # bytes of a short event in words: rather too many rows are expected than too few


class Source(Protocol):
    """Something that can show its columns and hand over some of them."""

    @property
    def name(self) -> str:
        """How reports call the source."""

    def schema(self) -> pa.Schema:
        """The columns' names and types."""

    def read(self, columns: Sequence[str]) -> pa.Table:
        """The given columns of all rows, in the source's own order."""


@runtime_checkable
class PeriodSource(Source, Protocol):
    """A source that can leave out rows of other times before they are read."""

    def within(self, at: str, since: int | None, until: int | None) -> Source:
        """The same source with all rows of ``[since, until)`` by the column ``at``, and perhaps some others."""


@runtime_checkable
class StreamSource(Source, Protocol):
    """A source that can hand over its rows a piece at a time, so that it may be larger than memory."""

    def pieces(self, columns: Sequence[str], rows: int) -> Iterator[pa.Table]:
        """The given columns in the source's own order, about so many rows at a time."""


def in_pieces(source: Source, columns: Sequence[str], rows: int) -> Iterator[pa.Table]:
    """The columns of a source, about so many rows at a time; one that cannot be cut comes whole.

    Parameters
    ----------
    source : Source
    columns : sequence of str
    rows : int

    Examples
    --------
    >>> numbers = open_source(pa.table({"n": [1, 2, 3]}))
    >>> [piece["n"].to_pylist() for piece in in_pieces(numbers, ["n"], 2)]
    [[1, 2], [3]]
    """
    if isinstance(source, StreamSource):
        yield from source.pieces(columns, rows)
    else:
        yield source.read(columns)


def expected_rows(source: Source) -> int:
    """About how many rows a source has, without reading them; a guess by size where only reading would tell.

    Examples
    --------
    >>> expected_rows(open_source(pa.table({"n": [1, 2, 3]})))
    3
    """
    import pyarrow.parquet as pq

    if isinstance(source, ParquetFiles):
        return sum(pq.read_metadata(path, filesystem=source.store).num_rows for path in source.paths)
    if isinstance(source, TextFiles) and source.store is None:
        return sum(Path(path).stat().st_size for path in source.paths) // _LINE
    return len(source.table) if isinstance(source, InMemory) else len(source.read(source.schema().names[:1]))


def signature(source: Source) -> str:
    """What tells a source from another with the same name: its files' sizes and times of change.

    Empty if nothing does: a table in memory, a query, or an object may be another the next time.

    Examples
    --------
    >>> signature(open_source(pa.table({"n": [1]})))
    ''
    """
    if not isinstance(source, ParquetFiles | TextFiles) or source.store is not None:
        return ""
    files = [(path, Path(path).stat()) for path in source.paths]
    told = "\n".join(f"{path} {stat.st_size} {stat.st_mtime_ns}" for path, stat in files)
    return f"{source.name} {hashlib.sha256(told.encode()).hexdigest()[:16]}"


@dataclass(frozen=True)
class ParquetFiles:
    """Parquet files of one schema, read as one log; of an object store if one is given."""

    paths: tuple[str, ...]
    store: fs.FileSystem | None = None
    scheme: str = ""

    @property
    def name(self) -> str:
        """The first path, and how many follow."""
        return _name(self.paths, self.scheme)

    def schema(self) -> pa.Schema:
        """The schema that all the files share."""
        import pyarrow.parquet as pq

        try:
            first, *others = self._each(lambda path: pq.read_schema(path, filesystem=self.store))
        except (pa.ArrowInvalid, OSError) as error:
            message = f"{self.name}: cannot be read as parquet: {str(error).splitlines()[0]}"
            raise SchemaError(message) from error
        for path, other in zip(self.paths[1:], others, strict=True):
            _same_types(first, other, self.paths[0], path)
        return first

    def read(self, columns: Sequence[str]) -> pa.Table:
        """Read the columns; text arrives as dictionary codes."""
        import pyarrow.parquet as pq

        schema = self.schema()
        text = [name for name in columns if _is_text(schema.field(name).type)]

        def part(path: str) -> pa.Table:
            with pq.ParquetFile(path, read_dictionary=text, filesystem=self.store) as file:
                return file.read(list(columns))

        try:
            parts = self._each(part)
            return pa.concat_tables(parts, promote_options="permissive")
        except pa.ArrowTypeError as error:
            message = f"{self.name}: the files are not one log: {error}; write them with the same types"
            raise SchemaError(message) from error

    def pieces(self, columns: Sequence[str], rows: int) -> Iterator[pa.Table]:
        """As many row groups at a time as hold about so many rows; a larger one is cut."""
        import pyarrow.parquet as pq

        schema = self.schema()
        text = [name for name in columns if _is_text(schema.field(name).type)]
        for path in self.paths:
            with pq.ParquetFile(path, read_dictionary=text, filesystem=self.store) as file:
                sizes = [file.metadata.row_group(n).num_rows for n in range(file.num_row_groups)]
                for first, last in _groups(sizes, rows):
                    piece = file.read_row_groups(range(first, last), list(columns))
                    yield from (piece.slice(at, rows) for at in range(0, len(piece), rows))

    def _each(self, ask: Callable[[str], T]) -> list[T]:
        """The answers of all files, in their order; a store is asked about several at a time, since each waits."""
        if self.store is None:
            return [ask(path) for path in self.paths]
        with ThreadPoolExecutor(8) as pool:
            return list(pool.map(ask, self.paths))


@dataclass(frozen=True)
class TextFiles:
    """CSV or newline-delimited JSON files, read by Polars."""

    paths: tuple[str, ...]
    kind: str
    store: fs.FileSystem | None = None
    scheme: str = ""

    @property
    def name(self) -> str:
        """The first path, and how many follow."""
        return _name(self.paths, self.scheme)

    def _scan(self, paths: Sequence[str]) -> pl.LazyFrame:
        import polars as pl

        files: Any = list(paths if self.store is None else self._fetched(paths))
        if self.kind == "ndjson":
            return pl.scan_ndjson(files, infer_schema_length=10_000)
        separator = "\t" if self.paths[0].endswith(".tsv") else ","
        return pl.scan_csv(files, separator=separator, infer_schema=False)

    def _fetched(self, paths: Sequence[str]) -> Iterable[bytes]:
        """The files' bytes: Polars reads them here, so that one set of addresses and credentials serves all formats."""
        assert self.store is not None
        for path in paths:
            with self.store.open_input_stream(path, compression=None) as stream:
                yield stream.read()

    def schema(self) -> pa.Schema:
        """The columns; those of a CSV file are all text until a role says otherwise."""
        paths = self.paths if self.store is None else self.paths[:1]
        return self._collect(lambda: self._scan(paths).head(0)).schema

    def read(self, columns: Sequence[str]) -> pa.Table:
        """Read the columns in a streaming pass."""
        return self._collect(lambda: self._scan(self.paths).select(columns))

    def pieces(self, columns: Sequence[str], rows: int) -> Iterator[pa.Table]:
        """The columns so many rows at a time; files of an object store are fetched whole."""
        frames = self._asked(lambda: iter(self._scan(self.paths).select(columns).collect_batches(chunk_size=rows)))
        while (frame := self._asked(lambda: next(frames, None))) is not None:
            yield frame.to_arrow()

    def _collect(self, frame: Callable[[], pl.LazyFrame]) -> pa.Table:
        return self._asked(lambda: frame().collect(engine="streaming").to_arrow())

    def _asked(self, ask: Callable[[], T]) -> T:
        """What Polars answers; a refusal in words that name the files."""
        import polars as pl

        try:
            return ask()
        except (pl.exceptions.PolarsError, OSError) as error:
            message = f"{self.name}: cannot be read as {self.kind}: {str(error).splitlines()[0]}"
            raise SchemaError(message) from error


@dataclass(frozen=True, eq=False)
class InMemory:
    """An Arrow table, whatever it was made from."""

    table: pa.Table
    name: str = "table in memory"

    def schema(self) -> pa.Schema:
        """The table's schema."""
        return self.table.schema

    def read(self, columns: Sequence[str]) -> pa.Table:
        """Select the columns, without a copy but of string views, which few of Arrow's functions take yet."""
        table = self.table.select(list(columns))
        plain = pa.schema([field.with_type(_without_view(field.type)) for field in table.schema])
        return table if plain.equals(table.schema) else table.cast(plain)

    def pieces(self, columns: Sequence[str], rows: int) -> Iterator[pa.Table]:
        """Slices of the table, without a copy."""
        table = self.read(columns)
        yield from (table.slice(at, rows) for at in range(0, len(table), rows))


def open_source(source: object) -> Source:
    """Open anything that holds events.

    Parameters
    ----------
    source : str, Path, or anything that speaks Arrow
        A file, a folder of Parquet files (what begins with ``_`` or ``.`` is passed over), a glob of Parquet, CSV or
        NDJSON files, here or in an object store (``s3://bucket/events/*.csv``); a file with a SQL query (``.sql``), of
        the database that the environment variable ``PECULIAR_DATABASE`` names; a pandas or polars frame; a pyarrow
        table, batch or reader; any object with ``__arrow_c_stream__``.

    Raises
    ------
    SchemaError
        If no file matches, the files are of several kinds, or the object does not speak Arrow.

    Examples
    --------
    >>> import pyarrow as pa
    >>> open_source(pa.table({"user": ["a"], "at": [0]})).schema().names
    ['user', 'at']
    """
    if isinstance(source, ParquetFiles | TextFiles | InMemory | SqlQuery):
        return source
    if isinstance(source, str | Path):
        return _named(str(source))
    return InMemory(_table(source))


def _named(text: str) -> Source:
    if text.lower().endswith(".sql"):
        return SqlQuery.from_file(text)
    if text.partition("://")[0].lower() in {"postgresql", "postgres"}:
        message = (
            "expected events, got the address of a database: write the query into a file such as events.sql, give "
            f"that, and put the address into the environment variable {DATABASE}"
        )
        raise SchemaError(message)
    return _files(text)


def _files(pattern: str) -> Source:
    store, scheme = None, ""
    if is_remote(pattern):
        scheme = f"{pattern.partition('://')[0]}://"
        store, paths = files_at(pattern)
        if not (set(paths) & {pattern.removeprefix(scheme)} or set("*[") & set(pattern)):
            below = len(file_system(pattern)[1])
            paths = tuple(path for path in paths if path.endswith(".parquet") and _seen(path[below:]))  # a folder
    else:
        paths = _matches(file_system(pattern)[1] if pattern.startswith("file://") else pattern)
    if not paths:
        message = f"expected files of events at {pattern!r}, found none; give a file, a folder of Parquet, or a glob"
        raise SchemaError(message)
    kinds = {_kind(path) for path in paths}
    if len(kinds) > 1 or None in kinds:
        message = (
            f"expected Parquet, CSV or NDJSON files of one kind at {pattern!r}, found "
            f"{', '.join(sorted({Path(path).name for path in paths})[:5])}; narrow the glob"
        )
        raise SchemaError(message)
    kind = kinds.pop()
    if kind == "parquet":
        return ParquetFiles(paths, store, scheme)
    return TextFiles(paths, str(kind), store, scheme)


def _matches(pattern: str) -> tuple[str, ...]:
    path = Path(pattern)
    if path.is_dir():
        return tuple(sorted(str(file) for file in path.rglob("*.parquet") if _seen(str(file.relative_to(path)))))
    if path.is_file():
        return (pattern,)
    return tuple(sorted(found for found in glob.glob(pattern, recursive=True) if Path(found).is_file()))  # noqa: PTH207 - absolute patterns


def _seen(below: str) -> bool:
    """Whether a file of a folder is data: what begins with _ or . is something else, as for Spark and Arrow."""
    return not any(name.startswith(("_", ".")) for name in below.split("/"))


def _kind(path: str) -> str | None:
    kinds = {"parquet": _PARQUET, "csv": _CSV, "ndjson": _NDJSON}
    return next((kind for kind, endings in kinds.items() if path.lower().endswith(endings)), None)


def _table(source: object) -> pa.Table:
    try:
        table = _to_arrow(source)
    except (pa.ArrowInvalid, pa.ArrowTypeError) as error:
        message = f"the {type(source).__qualname__} cannot be read as a table: {error}"
        raise SchemaError(message) from error
    table = _without_marks(table)
    twice = sorted({name for name in table.column_names if table.column_names.count(name) > 1})
    if twice:
        message = f"expected one column of each name, but {', '.join(map(repr, twice))} comes twice; rename one"
        raise SchemaError(message)
    return table


def _without_marks(table: pa.Table) -> pa.Table:
    """Text that a driver marks as a type of its database's own, as it marks exact decimals, is text."""
    for place, field in enumerate(table.schema):
        kind = field.type
        if isinstance(kind, pa.BaseExtensionType) and pa.types.is_string(kind.storage_type):
            table = table.set_column(place, field.name, table.column(place).cast(kind.storage_type))
    return table


def _to_arrow(source: object) -> pa.Table:
    if isinstance(source, pa.Table):
        return source
    if isinstance(source, pa.RecordBatch):
        return pa.Table.from_batches([source])
    if isinstance(source, pa.RecordBatchReader):
        return source.read_all()
    if type(source).__module__.partition(".")[0] == "pandas":
        with warnings.catch_warnings():  # pyarrow reads zoned columns in a way that pandas 3 is about to change
            warnings.filterwarnings("ignore", message="Series.values returning an ndarray", category=DeprecationWarning)
            return pa.Table.from_pandas(source, preserve_index=False)
    if type(source).__module__.startswith("polars.") and hasattr(source, "collect"):
        source = source.collect()
    if hasattr(source, "__arrow_c_stream__"):
        return pa.table(source)
    message = (
        f"expected a path, a pandas or polars frame, or an object with __arrow_c_stream__, got "
        f"{type(source).__module__}.{type(source).__qualname__}"
    )
    raise SchemaError(message)


def _same_types(first: pa.Schema, other: pa.Schema, first_path: str, path: str) -> None:
    for field in first:
        index = other.get_field_index(field.name)
        if index < 0:
            message = f"{path}: column {field.name!r} is missing, though {first_path} has it; the files are not one log"
            raise SchemaError(message)
        if _zone(other.field(index).type) != _zone(field.type):
            message = (
                f"{path}: column {field.name!r} is {other.field(index).type}, but {field.type} in {first_path}; "
                "write both with the same time zone"
            )
            raise SchemaError(message)


def _zone(kind: pa.DataType) -> bool | None:
    return kind.tz is not None if pa.types.is_timestamp(kind) else None


def _is_text(kind: pa.DataType) -> bool:
    return pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_dictionary(kind)


def _without_view(kind: pa.DataType) -> pa.DataType:
    if pa.types.is_dictionary(kind):
        return pa.dictionary(pa.int32(), _without_view(kind.value_type), kind.ordered)
    return pa.large_string() if pa.types.is_string_view(kind) else kind


def _name(paths: tuple[str, ...], scheme: str) -> str:
    first = f"{scheme}{paths[0]}"
    return first if len(paths) == 1 else f"{first} and {len(paths) - 1} more"


def _groups(sizes: Sequence[int], rows: int) -> Iterator[tuple[int, int]]:
    """Half-open ranges of row groups that hold about so many rows together."""
    first = held = 0
    for n, size in enumerate(sizes):
        if held and held + size > rows:
            yield first, n
            first, held = n, 0
        held += size
    if held:
        yield first, len(sizes)
