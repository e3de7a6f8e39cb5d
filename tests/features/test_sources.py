"""Whatever holds events becomes the same table, and what does not is refused in plain words."""

from __future__ import annotations

import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from peculiar.errors import SchemaError
from peculiar.features.sources import open_source

TABLE = pa.table({"user": ["ann", "bob", None], "spent": [1.5, None, 3.0]})


class Capsule:
    """Something of another library that speaks Arrow and nothing else."""

    def __init__(self, table):
        self._table = table

    def __arrow_c_stream__(self, requested_schema=None):
        return self._table.__arrow_c_stream__(requested_schema)


@pytest.mark.parametrize(
    "make",
    [
        lambda t: t,
        lambda t: t.to_batches()[0],
        lambda t: t.to_reader(),
        lambda t: t.to_pandas(),
        pl.from_arrow,
        lambda t: pl.from_arrow(t).lazy(),
        Capsule,
    ],
    ids=["table", "batch", "reader", "pandas", "polars", "lazy", "capsule"],
)
def test_whatever_is_in_memory_becomes_the_table(make):
    """Frames, tables, batches, readers and anything with ``__arrow_c_stream__`` hand over the same rows."""
    source = open_source(make(TABLE))
    assert source.schema().names == ["user", "spent"]
    assert source.read(["spent", "user"]).to_pydict() == {"spent": [1.5, None, 3.0], "user": ["ann", "bob", None]}


def test_string_views_become_plain_text():
    """Text arrives in a type that Arrow's functions take, also where a frame hands over views or codes of views."""
    frame = pl.DataFrame({"a": ["x", None], "b": pl.Series(["x", "y"], dtype=pl.Categorical)})
    read = open_source(frame).read(["a", "b"])
    assert read.schema.field("a").type == pa.large_string()
    assert read.schema.field("b").type.value_type == pa.large_string()
    assert read.take([1]).to_pylist() == [{"a": None, "b": "y"}]


def test_parquet_by_file_folder_and_glob(tmp_path):
    """A file, a folder of files in folders, and a glob give the rows of the files in the order of their names."""
    (tmp_path / "more").mkdir()
    pq.write_table(TABLE, tmp_path / "1.parquet")
    pq.write_table(TABLE.select(["spent", "user"]), tmp_path / "more" / "2.parquet")
    for path, times in ((tmp_path / "1.parquet", 1), (tmp_path, 2), (f"{tmp_path}/**/*.parquet", 2)):
        assert open_source(path).read(["user"])["user"].to_pylist() == ["ann", "bob", None] * times


def test_what_begins_with_an_underscore_or_a_dot_is_no_data(tmp_path):
    """In a folder of Parquet neither rows that were set aside nor files that are still written are events."""
    home = tmp_path / ".home" / "_events"  # what the folder itself is called does not count
    for name in ("day=1/1.parquet", "_rejected/day=1/2.parquet", "day=1/.3.parquet", "_4.parquet"):
        (home / name).parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(TABLE, home / name)
    assert open_source(home).read(["user"]).num_rows == len(TABLE)


def test_parquet_text_arrives_as_codes(tmp_path):
    """Text of a Parquet file is read as dictionary codes, which saves decoding it."""
    pq.write_table(TABLE, tmp_path / "1.parquet")
    assert pa.types.is_dictionary(open_source(tmp_path / "1.parquet").read(["user"])["user"].type)


@pytest.mark.parametrize(("name", "separator"), [("log.csv", ","), ("log.tsv", "\t"), ("LOG.CSV", ",")])
def test_csv_is_text_until_a_role_says_otherwise(tmp_path, name, separator):
    """Columns of a CSV file are all text, an empty field is null, and an id keeps its leading zeros."""
    (tmp_path / name).write_text(f"id{separator}spent\n007{separator}1.50\n{separator}x\n", encoding="utf-8")
    assert open_source(tmp_path / name).read(["id", "spent"]).to_pydict() == {
        "id": ["007", None],
        "spent": ["1.50", "x"],
    }


def test_ndjson_and_compressed_csv(tmp_path):
    """A field that a line of NDJSON leaves out is null; gzipped CSV is read as CSV."""
    (tmp_path / "a.ndjson").write_text('{"user": "ann", "n": 1}\n{"user": "bob"}\n', encoding="utf-8")
    assert open_source(tmp_path / "a.ndjson").read(["user", "n"]).to_pydict() == {
        "user": ["ann", "bob"],
        "n": [1, None],
    }
    pd.DataFrame({"user": ["ann"]}).to_csv(tmp_path / "a.csv.gz", index=False)
    assert open_source(tmp_path / "a.csv.gz").read(["user"]).to_pydict() == {"user": ["ann"]}


def test_the_name_tells_how_many_files(tmp_path):
    """A report calls the source by its first path and the number of those that follow."""
    for name in ("a.csv", "b.csv", "c.csv"):
        (tmp_path / name).write_text("user\nann\n", encoding="utf-8")
    assert open_source(tmp_path / "a.csv").name == str(tmp_path / "a.csv")
    assert open_source(f"{tmp_path}/*.csv").name == f"{tmp_path}/a.csv and 2 more"
    assert open_source(TABLE).name == "table in memory"


def test_nothing_there_is_refused(tmp_path):
    """A path, a glob and a folder without events say so, with the pattern and the way out."""
    for pattern in (tmp_path / "none.csv", f"{tmp_path}/*.csv", tmp_path):
        with pytest.raises(SchemaError, match="found none; give a file, a folder of Parquet, or a glob"):
            open_source(pattern)


def test_a_glob_of_mixed_kinds_is_refused(tmp_path):
    """Files of two kinds are not one log, and neither is a kind nobody knows."""
    (tmp_path / "a.csv").write_text("user\nann\n", encoding="utf-8")
    pq.write_table(TABLE, tmp_path / "b.parquet")
    (tmp_path / "c.xlsx").write_bytes(b"")
    with pytest.raises(SchemaError, match=r"files of one kind .* found a\.csv, b\.parquet; narrow the glob"):
        open_source(f"{tmp_path}/[ab].*")
    with pytest.raises(SchemaError, match=r"files of one kind .* found c\.xlsx"):
        open_source(tmp_path / "c.xlsx")


@pytest.mark.parametrize("thing", [[1, 2], {"user": ["ann"]}, 7, None])
def test_what_does_not_speak_arrow_is_refused(thing):
    """A list, a dict, a number: the error names the type that came and what would do."""
    with pytest.raises(SchemaError, match=rf"expected a path, .* got builtins\.{type(thing).__name__}"):
        open_source(thing)


@pytest.mark.parametrize("thing", [pd.DataFrame({"user": ["ann", 1]}), pl.Series([1])], ids=["mixed", "series"])
def test_what_is_no_table_of_columns_is_refused(thing):
    """A column of numbers and text, or a lone series, is refused in our words and not in a traceback of Arrow's."""
    with pytest.raises(SchemaError, match="cannot be read as a table"):
        open_source(thing)


def test_a_column_name_that_comes_twice_is_refused():
    """Of two columns of one name nobody knows which is meant."""
    with pytest.raises(SchemaError, match="'a' comes twice"):
        open_source(pa.table([pa.array([1]), pa.array([2])], names=["a", "a"]))


def write_two(folder, first, second):
    """A folder of two Parquet files, opened."""
    pq.write_table(first, folder / "1.parquet")
    pq.write_table(second, folder / "2.parquet")
    return open_source(folder)


def test_files_without_a_column_of_the_first_are_refused(tmp_path):
    """The error names the file, the column, and the file that has it."""
    source = write_two(tmp_path, TABLE, TABLE.select(["user"]))
    with pytest.raises(SchemaError, match=r"2\.parquet: column 'spent' is missing, though .*1\.parquet has it"):
        source.schema()


def test_naive_and_aware_files_are_refused(tmp_path):
    """Times with a zone in one file and without in another would be hours apart: refused, both types named."""
    aware = pa.table({"at": pa.array([0], pa.timestamp("us", tz="UTC"))})
    source = write_two(tmp_path, aware, pa.table({"at": pa.array([0], pa.timestamp("us"))}))
    with pytest.raises(SchemaError, match=r"'at' is timestamp\[us\], but timestamp\[us, tz=UTC\] .* same time zone"):
        source.schema()


def test_files_of_other_types_are_refused(tmp_path):
    """Text in one file and numbers in another cannot be one column."""
    source = write_two(tmp_path, pa.table({"user": ["1"]}), pa.table({"user": [1]}))
    with pytest.raises(SchemaError, match="the files are not one log"):
        source.read(["user"])


def test_files_of_other_units_are_one_log(tmp_path):
    """Milliseconds in one file and nanoseconds in another mean the same instants."""
    stamps = [pa.table({"at": pa.array([n], pa.timestamp(u, tz="UTC"))}) for n, u in ((5, "ms"), (5_000_000, "ns"))]
    at = write_two(tmp_path, *stamps).read(["at"])["at"].cast(pa.timestamp("us", tz="UTC"))
    assert at.cast(pa.int64()).to_pylist() == [5000, 5000]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.parquet", b"nope"),
        ("a.csv", b""),
        ("a.csv", b"user\nann,too,many\n"),
        ("a.csv", b"user\n\xff\xfe\n"),
        ("a.ndjson", b'{"user": "ann"}\n{"user"\n'),
    ],
    ids=["parquet", "empty", "ragged", "not utf-8", "half a line"],
)
def test_a_broken_file_is_refused_by_name(tmp_path, name, content):
    """A file that cannot be read is named, with the kind it was taken for."""
    (tmp_path / name).write_bytes(content)
    with pytest.raises(SchemaError, match=rf"{name}: cannot be read as"):
        open_source(tmp_path / name).read(open_source(tmp_path / name).schema().names)


def test_csv_files_of_other_columns_are_refused(tmp_path):
    """Files whose columns stand in another order are refused rather than mixed up."""
    (tmp_path / "a.csv").write_text("user,at\nann,1\n", encoding="utf-8")
    (tmp_path / "b.csv").write_text("at,user\n1,ann\n", encoding="utf-8")
    with pytest.raises(SchemaError, match="cannot be read as csv: schema"):
        open_source(f"{tmp_path}/*.csv").read(["user", "at"])
