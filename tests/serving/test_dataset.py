"""A dataset of scores: each day whole as its commit says, whatever else lies there."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import date

import polars as pl
import pyarrow as pa
import pyarrow.dataset as ds
import pytest
from hypothesis import given
from hypothesis import strategies as st

from peculiar.features.sources import open_source
from peculiar.serving.dataset import (
    Commit,
    DatasetError,
    DayOfScores,
    ScoreDataset,
    StoredFile,
    is_dataset,
    read_scores,
)
from peculiar.serving.folders import StoreFolder

MONDAY, TUESDAY = date(2025, 3, 3), date(2025, 3, 4)


def scores(**alerts: bool) -> pa.Table:
    """A row for each entity, with whether it is an alert."""
    names = list(alerts)
    as_of = pa.array([1_741_046_400_000_000] * len(names)).cast(pa.timestamp("us", tz="UTC"))
    return pa.table({
        "entity": pa.array(names, pa.string()),
        "since": as_of,
        "as_of": as_of,
        "score": [float(len(name)) for name in names],
        "alert": pa.array(alerts.values(), pa.bool_()),
    })  # fmt: skip


def day_of(day: date, **alerts: bool) -> DayOfScores:
    """A day with these alerts and one row set aside."""
    return DayOfScores(day, scores(**alerts), pa.table({"row": [7], "reason": ["no entity"]}), {"model": "m/1"})


@pytest.fixture(params=["here", "store"])
def dataset(request, tmp_path) -> ScoreDataset:
    """An empty dataset on this machine, and one on an object store."""
    return ScoreDataset.open(
        tmp_path / "scores" if request.param == "here" else request.getfixturevalue("bucket") + "/scores"
    )


def test_what_is_committed_is_read(dataset):
    """All days, or those asked for, each with its day; a day that nobody scored is an error that tells the span."""
    dataset.write(day_of(TUESDAY, ann=True))
    dataset.write(day_of(MONDAY, bob=False, cid=True))
    assert dataset.days() == [MONDAY, TUESDAY]
    table = read_scores(dataset.location)
    assert table["entity"].to_pylist() == ["bob", "cid", "ann"]
    assert table["day"].to_pylist() == [MONDAY, MONDAY, TUESDAY]
    assert read_scores(dataset.location, [TUESDAY]).drop_columns(["day"]).equals(scores(ann=True))
    with pytest.raises(DatasetError, match=r"has no scores of 2025-03-05; .* 2 days from 2025-03-03 to 2025-03-04"):
        read_scores(dataset.location, [date(2025, 3, 5)])


def test_nothing_committed_is_an_error(dataset):
    """Files without a commit are no scores."""
    dataset.folder.put("day=2025-03-03/some.parquet", b"half")
    with pytest.raises(DatasetError, match="found none committed"):
        read_scores(dataset.location)


def test_a_commit_says_what_is_there(dataset):
    """Sizes, sums and counts are those of the files, and the rows set aside are named."""
    commit = dataset.write(day_of(MONDAY, ann=True, bob=False))
    assert (commit.day, commit.revision, commit.rows, commit.alerts) == ("2025-03-03", 1, 2, 1)
    assert dataset.commit(MONDAY) == commit
    for file in (*commit.files, *commit.rejected):
        content = dataset.folder.read(file.path)
        assert (len(content), file.sha256[:32] in file.path) == (file.bytes, True)
    assert commit.rejected[0].path.startswith("_rejected/day=2025-03-03/")


def test_other_scores_are_the_next_revision_and_name_withdrawn_alerts(dataset):
    """An alert that is none any more is listed with its revision, also by later ones, until it is one again."""
    dataset.write(day_of(MONDAY, ann=True, bob=True))
    assert dataset.write(day_of(MONDAY, ann=True, bob=True)).revision == 1
    second = dataset.write(day_of(MONDAY, ann=True, bob=False))
    third = dataset.write(day_of(MONDAY, ann=False, bob=False, cid=True))
    key = {"as_of": "2025-03-04T00:00:00+00:00"}
    assert second.withdrawn == ({**key, "entity": "bob", "revision": 2},)
    assert third.withdrawn == ({**key, "entity": "bob", "revision": 2}, {**key, "entity": "ann", "revision": 3})
    last = dataset.write(day_of(MONDAY, ann=False, bob=True))
    assert [(gone["entity"], gone["revision"]) for gone in last.withdrawn] == [("ann", 3), ("cid", 4)]


def test_a_day_may_become_empty(dataset):
    """Without a row there is no file, and the alerts are withdrawn."""
    dataset.write(day_of(MONDAY, ann=True))
    empty = dataset.write(day_of(MONDAY))
    assert (empty.rows, empty.files, len(empty.withdrawn)) == (0, (), 1)
    assert dataset.read(MONDAY).num_rows == 0


def test_superseded_files_go_after_the_commit(dataset):
    """On this machine at once, with whatever a killed run left; in a store only when they are a day old."""
    first = dataset.write(day_of(MONDAY, ann=True))
    dataset.folder.put("day=2025-03-03/.half.parquet.9.unfinished", b"half")
    dataset.folder.put("_commits/.2025-03-03.json.9.unfinished", b"half")
    second = dataset.write(day_of(MONDAY, ann=False))
    old = {*(file.path for file in first.files), "day=2025-03-03/.half.parquet.9.unfinished"}
    old |= {"_commits/.2025-03-03.json.9.unfinished"}
    if isinstance(dataset.folder, StoreFolder):
        assert dataset.sweep(MONDAY) == []
        dataset = replace(dataset, folder=replace(dataset.folder, spare_age=0))
    assert set(dataset.sweep(MONDAY)) == old
    assert list(dataset.folder.files("day=2025-03-03")) == [file.path for file in second.files]
    assert dataset.read(MONDAY).equals(scores(ann=False))


def test_the_same_scores_give_the_same_bytes(tmp_path):
    """However the columns are cut into chunks or coded."""
    one, other = (ScoreDataset.open(tmp_path / name) for name in ("one", "other"))
    table = scores(ann=True, bob=False)
    cut = pa.concat_tables([table.slice(1), table.slice(0, 1)]).take([1, 0])
    cut = cut.set_column(0, "entity", cut["entity"].dictionary_encode())
    left = one.write(DayOfScores(MONDAY, table, table.slice(0, 0)))
    assert left == other.write(
        DayOfScores(MONDAY, pa.concat_tables([cut.slice(0, 1), cut.slice(1)]), table.slice(0, 0))
    )
    names = ["_commits/2025-03-03.json", left.files[0].path]
    assert [one.folder.read(name) for name in names] == [other.folder.read(name) for name in names]


def test_other_readers_see_partitions_and_nothing_else(tmp_path):
    """Arrow and Polars read the folder as partitions by day, and overlook commits and rows set aside."""
    dataset = ScoreDataset.open(tmp_path)
    dataset.write(day_of(MONDAY, ann=True))
    dataset.write(day_of(TUESDAY, bob=False))
    with dataset.only_one():
        pass
    table = ds.dataset(tmp_path, partitioning="hive").to_table()
    assert sorted(zip(table["day"].to_pylist(), table["entity"].to_pylist(), strict=True)) == [
        ("2025-03-03", "ann"),
        ("2025-03-04", "bob"),
    ]
    frame = pl.read_parquet(tmp_path / "day=*/*.parquet", hive_partitioning=True)
    assert sorted(frame["day"].to_list()) == [MONDAY, TUESDAY]


@pytest.mark.parametrize("damage", ["altered", "gone"])
def test_a_damaged_file_is_named_and_can_be_written_again(dataset, damage):
    """What is not what was committed is not read; to write the day again mends it."""
    commit = dataset.write(day_of(MONDAY, ann=True))
    if damage == "gone":
        dataset.folder.remove(commit.files[0].path)
    else:
        dataset.folder.put(commit.files[0].path, b"something else")
    told = {"gone": "is missing; score that day again", "altered": "is not what was committed; score 2025-03-03 again"}
    with pytest.raises(DatasetError, match=told[damage]):
        read_scores(dataset.location)
    assert dataset.holds(commit) == (damage == "altered")
    assert dataset.write(day_of(MONDAY, ann=False)).revision == 2
    assert read_scores(dataset.location)["alert"].to_pylist() == [False]


@pytest.mark.parametrize("content", [b"{", b"[]", b'{"format": 1}', b'{"format": 9, "day": "2025-03-03"}'])
def test_what_is_no_commit_is_an_error(tmp_path, content):
    """It is named, with the way out."""
    dataset = ScoreDataset.open(tmp_path)
    dataset.folder.put("_commits/2025-03-03.json", content)
    with pytest.raises(DatasetError, match=r"_commits/2025-03-03.json: expected a commit .*score this day again"):
        dataset.commit(MONDAY)


def test_a_commit_of_another_format_is_refused(tmp_path):
    """A format that this version does not know is not guessed at."""
    dataset = ScoreDataset.open(tmp_path)
    dataset.write(day_of(MONDAY, ann=True))
    plain = json.loads(dataset.folder.read("_commits/2025-03-03.json"))
    dataset.folder.put("_commits/2025-03-03.json", json.dumps(plain | {"format": 2}).encode())
    with pytest.raises(DatasetError, match="expected a commit of format 1, got 2"):
        dataset.commit(MONDAY)


TEXT = st.text(max_size=5)
FILES = st.builds(StoredFile, TEXT, TEXT, st.integers(0, 9), st.integers(0, 9))


@given(st.builds(
    Commit, TEXT, st.integers(1, 9), st.dictionaries(TEXT, TEXT | st.none()), st.integers(0, 9), st.integers(0, 9),
    st.tuples(FILES), st.tuples(FILES), st.tuples(st.dictionaries(TEXT, TEXT)),
))  # fmt: skip
def test_a_commit_comes_back_as_it_was(commit):
    """Writing and reading changes nothing, and equal commits have equal bytes."""
    again = Commit.from_json(commit.to_json(), "here")
    assert again == commit
    assert again.to_json() == commit.to_json()


def test_a_reader_beside_a_writer_sees_whole_days(tmp_path):
    """A file that goes between the two looks of a reader was superseded; it looks again and sees what is."""
    dataset = ScoreDataset.open(tmp_path)
    dataset.write(day_of(MONDAY, ann=True))
    stale = dataset.commit(MONDAY)
    dataset.write(day_of(MONDAY, ann=False))
    dataset.sweep(MONDAY)

    class Late(ScoreDataset):
        """Sees the commit of before once."""

        looks = 0

        def commit(self, day):
            Late.looks += 1
            return stale if Late.looks == 1 else super().commit(day)

    assert Late(dataset.folder, dataset.location).read(MONDAY).equals(scores(ann=False))


def test_a_dataset_is_a_source_without_what_was_set_aside(dataset):
    """Read as a folder of Parquet it is its partitions, here and in an object store."""
    dataset.write(day_of(date(2025, 3, 3), ann=True, bob=False))
    dataset.write(day_of(date(2025, 3, 4), ann=True))
    assert open_source(dataset.location).read(["entity"])["entity"].to_pylist() == ["ann", "bob", "ann"]


def test_what_ends_in_parquet_is_a_file():
    """Everything else is a folder or a prefix."""
    assert [is_dataset(name) for name in ("a.parquet", "s3://b/a.PARQUET", "a.pq", "a", "s3://b/a", "a.b/")] == [
        False, False, False, True, True, True,
    ]  # fmt: skip
