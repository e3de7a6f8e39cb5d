"""A scoring run: the file is whole or not there, and every use is on record."""

from __future__ import annotations

import json
from datetime import date

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from peculiar.audit import verify
from peculiar.errors import BundleError, SchemaError
from peculiar.serving.batch import ScoringRequest, score_to_file
from peculiar.serving.picks import Exploration
from peculiar.training.references import load

DAYS = (date(2025, 2, 10), date(2025, 2, 13))


def uses(store) -> list[dict]:
    """The lines of the audit record that are about scoring."""
    lines = (store.home / "audit.jsonl").read_text().splitlines()
    return [use for use in map(json.loads, lines) if use["verb"] == "score"]


def score_runs(store) -> list:
    """The scoring runs in MLflow, the newest first."""
    return store.client.search_runs([store.experiment_id], "tags.`peculiar.role` = 'score'")


@pytest.fixture
def request_of(city, tmp_path):
    """A request for three days of the city, its output in a folder that is not there yet."""

    def made(model: object = "models:/peculiar@champion", events: object = None, **more: object) -> ScoringRequest:
        output = more.pop("output", tmp_path / "out" / "scores.parquet")
        given = city.events if events is None else events
        return ScoringRequest(given, str(model), output, **{"budget": 3, "days": DAYS, **more})

    return made


def spoiled(events: pa.Table) -> pa.Table:
    """The events and one more that has no entity."""
    plain = pa.schema(
        [
            (field.name, field.type.value_type if pa.types.is_dictionary(field.type) else field.type)
            for field in events.schema
        ]
    )
    row = events.slice(0, 1).to_pylist()[0] | {"event_id": -1, "user_id": None}
    return pa.concat_tables([events.cast(plain), pa.Table.from_pylist([row], schema=plain)])


def test_the_file_holds_the_scores_and_their_model(trained, request_of):
    """Every row of the days asked for is in the file, with name and version of the model that scored it."""
    request = request_of()
    written = score_to_file(request, trained.store)
    table = pq.read_table(request.output)
    assert table.drop_columns(["model"]).equals(written.batch.table)
    assert set(table["model"].to_pylist()) == {written.model} == {f"peculiar/{trained.result.champion.number}"}
    assert {at.date() for at in table["since"].to_pylist()} == {date(2025, 2, day) for day in (10, 11, 12)}
    assert written.alerts == table["alert"].to_pylist().count(True) == 9
    assert written.to_dict() == {
        "rows": len(table),
        "alerts": 9,
        "cases": len(set(table["case"].to_pylist()) - {None}),
        "suppressed": 0,
        "model": written.model,
        "output": str(request.output),
        "run_id": written.run_id,
        "data": written.report.to_dict(),
    }


@pytest.mark.parametrize("way", ["alias", "number", "logged model", "run", "folder"])
def test_a_model_can_be_named_in_every_way(trained, request_of, tmp_path, way):
    """Alias, version number, logged model, run and folder lead to the same scores."""
    champion = trained.result.champion
    load(trained.store, champion.uri).model.save(tmp_path / "saved")
    names = {
        "alias": "models:/peculiar@champion",
        "number": champion.uri,
        "logged model": f"models:/{champion.model_id}",
        "run": f"runs:/{champion.run_id}/{champion.kind}",
        "folder": tmp_path / "saved",
    }
    want = score_to_file(request_of(), trained.store)
    found = score_to_file(request_of(names[way], output=tmp_path / "other.parquet"), trained.store)
    assert found.table.equals(want.table)
    by_version = way in ("alias", "number")
    assert found.model == (f"peculiar/{champion.number}" if by_version else champion.sha256[:12])


@pytest.mark.parametrize("where", ["while writing", "before it is in place"])
def test_a_failure_leaves_the_old_file_and_nothing_half_done(trained, request_of, monkeypatch, where):
    """A disk that is full in the middle of a write leaves the scores of the run before, readable, and no other file.

    The record of use may tell of scores that never came, if they were whole by then; never the other way round.
    """
    request = request_of()
    score_to_file(request, trained.store)
    before = request.output.read_bytes()
    lines, runs = len(uses(trained.store)), len(score_runs(trained.store))

    def half_a_file(table, path, **_):
        path.write_bytes(before[: len(before) // 2])
        message = "no space left on device"
        raise OSError(message)

    def no_sync(_):
        message = "no space left on device"
        raise OSError(message)

    if where == "while writing":
        monkeypatch.setattr(pq, "write_table", half_a_file)
    else:
        monkeypatch.setattr("os.fsync", no_sync)
    with pytest.raises(OSError, match="no space left on device"):
        score_to_file(request_of(budget=1), trained.store)
    monkeypatch.undo()
    assert request.output.read_bytes() == before
    assert [path.name for path in request.output.parent.iterdir()] == ["scores.parquet"]
    told = lines if where == "while writing" else lines + 1
    assert (len(uses(trained.store)), len(score_runs(trained.store))) == (told, runs)


def test_rows_set_aside_stand_beside_the_scores(city, trained, request_of):
    """Rejected rows come with their reasons in a file of their own; a clean run takes the old one away."""
    score_to_file(request_of(events=spoiled(city.events)), trained.store)
    beside = request_of().output.with_name("scores.rejected.parquet")
    rejected = pq.read_table(beside)
    assert rejected["reason"].to_pylist() == ["no entity"]
    assert rejected["event_id"].to_pylist() == [-1]
    score_to_file(request_of(), trained.store)
    assert [path.name for path in beside.parent.iterdir()] == ["scores.parquet"]


def test_a_scoring_run_is_in_mlflow(city, trained, request_of):
    """The run is FINISHED, has the counts as metrics, names the version, and has the model as its input."""
    written = score_to_file(request_of(events=spoiled(city.events)), trained.store)
    run = trained.store.client.get_run(written.run_id)
    assert (run.info.status, run.data.tags["peculiar.role"]) == ("FINISHED", "score")
    assert run.data.metrics == {
        "score/rows": written.table.num_rows,
        "score/alerts": 9.0,
        "score/cases": written.to_dict()["cases"],
        "score/suppressed": 0.0,
        "score/events": written.report.admitted,
        "score/rejected": 1.0,
    }
    assert run.data.params["model/version"] == written.model
    assert run.data.params["budget_per_day"] == "3"
    assert [given.model_id for given in run.inputs.model_inputs] == [trained.result.champion.model_id]
    assert run.data.tags["peculiar.sha256"] == trained.result.champion.sha256


def test_every_use_is_on_record(trained, request_of):
    """The audit line has both fingerprints, where the rows went and the settings; the run vouches for it."""
    request = request_of()
    written = score_to_file(request, trained.store)
    use, champion = uses(trained.store)[-1], trained.result.champion
    assert (use["model"], use["version"], use["sha256"]) == ("peculiar", champion.number, champion.sha256)
    assert (use["data"], use["rows"]) == (written.batch.fingerprint, written.table.num_rows)
    assert use["output"] == str(request.output)
    assert use["parameters"] == {"budget": 3, "per": "entity", "case_gap": 7, "days": ["2025-02-10", "2025-02-13"]}
    head = trained.store.client.get_run(written.run_id).data.tags["peculiar.audit"]
    assert verify(trained.store.home / "audit.jsonl", head=head).head == head


def test_random_picks_are_in_the_file_and_on_record(trained, request_of):
    """A share of the budget that is drawn at random changes which alerts there are, and the record says so."""
    written = score_to_file(request_of(explore=Exploration(0.34, seed=1)), trained.store)
    picks = pq.read_table(written.output)["pick"].to_pylist()
    assert (picks.count("rank"), picks.count("random"), written.alerts) == (6, 3, 9)
    asked = uses(trained.store)[-1]["parameters"]
    assert asked == {
        "budget": 3,
        "per": "entity",
        "case_gap": 7,
        "days": ["2025-02-10", "2025-02-13"],
        "explore": 0.34,
        "seed": 1,
    }


def test_a_plain_folder_is_on_record_by_its_own_name(trained, request_of, tmp_path):
    """A model that no registry knows is recorded by where it lay and what it was."""
    load(trained.store, trained.result.champion.uri).model.save(tmp_path / "saved")
    written = score_to_file(request_of(tmp_path / "saved"), trained.store)
    use = uses(trained.store)[-1]
    assert (use["model"], use["version"]) == (str(tmp_path / "saved"), "")
    assert use["sha256"] == trained.result.champion.sha256
    assert trained.store.client.get_run(written.run_id).inputs.model_inputs == []


def test_a_model_that_is_not_there_writes_nothing(trained, request_of):
    """An alias that nobody has is an error that lists what there is; no file and no run come of it."""
    request, runs = request_of("models:/peculiar@nobody"), len(score_runs(trained.store))
    with pytest.raises(BundleError, match=r"there is no model models:/peculiar@nobody .* aliases challenger, champion"):
        score_to_file(request, trained.store)
    assert not request.output.parent.exists()
    assert len(score_runs(trained.store)) == runs


def test_events_that_do_not_fit_write_nothing(city, trained, request_of):
    """Events without a column of the model are refused before anything is written."""
    request = request_of(events=city.events.drop_columns(["vehicle"]))
    with pytest.raises(SchemaError, match="expected a column 'vehicle', found none"):
        score_to_file(request, trained.store)
    assert not request.output.parent.exists()


def test_no_window_to_score_is_an_empty_file(trained, request_of):
    """Days without events give a file of the same columns and no row."""
    full = score_to_file(request_of(), trained.store)
    want = pq.read_schema(full.output)
    empty = request_of(days=(date(2025, 3, 1), date(2025, 3, 2)))
    written = score_to_file(empty, trained.store)
    assert pq.read_table(empty.output).num_rows == written.alerts == 0
    assert pq.read_schema(empty.output) == want
