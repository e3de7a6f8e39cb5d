"""The model on disk: the same scores to the last bit, and nothing in it that could be changed unseen or could run."""

from __future__ import annotations

import json
import os
import pickle
import shutil
import subprocess
import sys
import textwrap
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from peculiar.errors import BundleError, PlanMismatchError
from peculiar.features.population import Population
from peculiar.features.snapshots import WindowSpec
from peculiar.training.calibration import Calibration
from peculiar.training.detectors import FITTED
from peculiar.training.joint import Joint
from peculiar.training.model import Model, check
from peculiar.training.tails import Tails

KINDS = tuple(FITTED)
SMALL = (Joint(rounds=20), Tails())  # beside those that were trained


@pytest.fixture(scope="module")
def models(trained):
    """A model of each kind, as a training makes them."""
    material = trained.result.material
    card = {"kind": "of a test", "train_rows": len(material.train)}
    pages = {"card.html": "<p>card</p>", "card.md": "# card"}
    made = [(candidate.fitted, candidate.judged.calibration) for candidate in trained.result.candidates]
    for detector in SMALL:
        fitted = detector.fit(material.train, material.train_truth, seed=0)
        made.append((fitted, Calibration.fit(fitted.score(material.test))))
    return {
        fitted.kind: Model(material.plan, material.population, fitted, card, calibration, pages)
        for fitted, calibration in made
    }


@pytest.fixture(scope="module")
def saved(models, tmp_path_factory):
    """The folder of each model."""
    home = tmp_path_factory.mktemp("models")
    for kind, model in models.items():
        model.save(home / kind)
    return {kind: home / kind for kind in models}


@pytest.fixture
def copied(saved, tmp_path):
    """A copy of the forest's folder that a test may spoil."""
    return Path(shutil.copytree(saved["isolation_forest"], tmp_path / "model"))


def files_of(folder: Path) -> list[str]:
    """Every file of a saved model but the manifest."""
    return sorted(
        path.relative_to(folder).as_posix()
        for path in folder.rglob("*")
        if path.is_file() and path.name != "manifest.json"
    )


@pytest.mark.parametrize("kind", KINDS)
def test_a_loaded_model_gives_the_same_bits(trained, models, saved, kind):
    """Vectors, scores and contributions of the loaded model are those of the model that was saved."""
    loaded, model = Model.load(saved[kind]), models[kind]
    timeline, _, _ = trained.log.read()
    ours, theirs = model.vectors(timeline), loaded.vectors(timeline)
    assert theirs.values.tobytes() == ours.values.tobytes()
    assert theirs.entity.equals(ours.entity)
    assert loaded.detector.score(theirs).tobytes() == model.detector.score(ours).tobytes()
    few = np.arange(0, len(ours), 50)
    contributions = [m.detector.contributions(v.take(few)) for m, v in ((model, ours), (loaded, theirs))]
    assert contributions[0].values.tobytes() == contributions[1].values.tobytes()
    assert contributions[0].family == contributions[1].family


@pytest.mark.parametrize("kind", KINDS)
def test_a_loaded_model_is_the_same_model(models, saved, kind, tmp_path):
    """Card, plan and fingerprint survive, and saving it again writes the same bytes."""
    loaded = Model.load(saved[kind])
    assert loaded.card == models[kind].card
    assert loaded.plan == models[kind].plan
    assert loaded.fingerprint == models[kind].fingerprint == check(saved[kind])
    loaded.save(tmp_path / "again")
    names = [*files_of(saved[kind]), "manifest.json"]
    assert [*files_of(tmp_path / "again"), "manifest.json"] == names
    assert [(tmp_path / "again" / name).read_bytes() for name in names] == [
        (saved[kind] / name).read_bytes() for name in names
    ]


@pytest.mark.parametrize("kind", KINDS)
def test_a_saved_model_is_data(saved, kind):
    """Only JSON, Arrow, text and LightGBM's text are written, and none of them is a pickle or an archive."""
    for name in files_of(saved[kind]):
        head = (saved[kind] / name).read_bytes()[:6]
        kinds = {".json": b"{", ".arrow": b"ARROW1", ".txt": b"tree\n", ".html": b"<", ".md": b"#"}
        assert head.startswith(kinds[Path(name).suffix]), name


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("change", ["longer", "one bit", "empty", "gone"])
def test_every_file_is_guarded(saved, kind, change, tmp_path):
    """Whichever file of a model is changed by as little as a bit, or is gone, is refused by its name."""
    names = files_of(saved[kind])
    assert {"plan.json", "card.json", "population.arrow", "detector/detector.json"} < set(names)
    for number, name in enumerate(names):
        folder = Path(shutil.copytree(saved[kind], tmp_path / str(number)))
        path, whole = folder / name, (folder / name).read_bytes()
        if change == "gone":
            path.unlink()
        else:
            flipped = whole[:-1] + bytes([whole[-1] ^ 1])
            path.write_bytes({"longer": whole + b" ", "one bit": flipped, "empty": b""}[change])
        word = "is missing" if change == "gone" else "was changed"
        with pytest.raises(BundleError, match=f"{name} {word}"):
            Model.load(folder)


@pytest.mark.parametrize("name", ["notes.txt", "detector/more.json", ".hidden", "deeper/still/x"])
def test_a_file_too_many_is_refused(copied, name):
    """A file that the manifest does not name has no business in a model, wherever it lies."""
    (copied / name).parent.mkdir(parents=True, exist_ok=True)
    (copied / name).write_text("{}")
    with pytest.raises(BundleError, match=f"{name} is not in the manifest"):
        Model.load(copied)


def test_a_link_to_a_folder_is_refused(copied, tmp_path):
    """A link is a file too many, even where it leads to a folder."""
    (tmp_path / "elsewhere").mkdir()
    (copied / "link").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(BundleError, match="link is not in the manifest"):
        Model.load(copied)


class _Sprung:
    """A pickle of this makes a file when it is opened."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self):
        return os.mkdir, (str(self.mark),)


@pytest.mark.parametrize("name", ["detector.pkl", "detector/model.pkl", "detector/detector.json", "plan.json"])
def test_a_planted_pickle_is_refused_and_stays_shut(copied, tmp_path, name):
    """A pickle beside the data, or in the place of a data file, is refused by name and never opened."""
    (copied / name).write_bytes(pickle.dumps(_Sprung(tmp_path / "sprung")))
    with pytest.raises(BundleError, match=f"{name} (is not in the manifest|was changed)"):
        Model.load(copied)
    assert not (tmp_path / "sprung").exists()


def fresh(code: str, cwd: Path) -> list[str]:
    """Run code in a process of its own and return the lines that it printed."""
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)],
        check=False, cwd=cwd, capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def test_loading_opens_no_pickle(saved, tmp_path):
    """In a process where opening a pickle is fatal each kind loads, and brings in no library that opens them.

    Python tells its audit hooks of every class that a pickle asks for; the doors of the module are shut as well. Numba,
    which compiles the features, imports cloudpickle for its own ends before any model is there.
    """
    told = fresh(f"""
        import pickle, sys
        from pathlib import Path

        from peculiar.training.model import Model

        before = set(sys.modules)

        def forbidden(*_, **__):
            raise SystemExit("a pickle was opened")

        sys.addaudithook(lambda event, _: forbidden() if event == "pickle.find_class" else None)
        pickle.load = pickle.loads = pickle.Unpickler = forbidden
        openers = {{"joblib", "cloudpickle", "dill", "skops", "sklearn"}}
        for kind in {KINDS!r}:
            model = Model.load(Path({str(saved[KINDS[0]].parent)!r}) / kind)
            print(model.detector.kind, *sorted((set(sys.modules) - before) & openers))
        print(*sorted({{"joblib", "sklearn"}} & before))
    """, tmp_path)  # fmt: skip
    assert told == [*KINDS, ""]


def test_what_is_planted_is_never_opened(saved, tmp_path):
    """Of a folder of each kind in which a pickle or code was planted not one file but the manifest is opened.

    Python tells its audit hooks of every file that it opens, and of every class that a pickle asks for.
    """
    planted = ["detector.pkl", "detector/model.pkl", "calibration.joblib", "code/trap.py", ".hidden.pickle"]
    for kind in KINDS:
        for number, name in enumerate(planted):
            folder = Path(shutil.copytree(saved[kind], tmp_path / f"{kind}{number}"))
            (folder / name).parent.mkdir(exist_ok=True)
            (folder / name).write_bytes(pickle.dumps(_Sprung(tmp_path / "sprung")))
    told = fresh(f"""
        import sys
        from pathlib import Path

        from peculiar.errors import BundleError
        from peculiar.serving.flavor import _load_pyfunc
        from peculiar.training.model import Model

        opened = []
        sys.addaudithook(lambda event, given: opened.append((event, str(given[0]))) if event == "open" else None)
        sys.addaudithook(lambda event, _: opened.append((event, "")) if event.startswith("pickle.") else None)
        for folder in sorted(Path({str(tmp_path)!r}).iterdir()):
            for door in (Model.load, _load_pyfunc):
                try:
                    door(folder)
                except BundleError as error:
                    print(folder.name, error)
        print(*sorted({{Path(path).name for event, path in opened if path.startswith({str(tmp_path)!r})}}))
        print(*[event for event, _ in opened if event != "open"])
    """, tmp_path)  # fmt: skip
    *refused, names, pickles = told
    assert (names, pickles) == ("manifest.json", "")
    wanted = [(f"{kind}{number}", name) for kind in KINDS for number, name in enumerate(planted)]
    assert len(refused) == 2 * len(wanted)
    for folder, name in wanted:
        said = [line for line in refused if line.startswith(f"{folder} ")]
        assert [f"{name} is not in the manifest" in line for line in said] == [True, True]
    assert not (tmp_path / "sprung").exists()


def test_the_fingerprint_changes_with_everything(models, trained):
    """Another card, population, plan or detector is another model, and the same parts are the same model."""
    model = models["isolation_forest"]
    wider = replace(model.plan, windows=WindowSpec("1d", "21d"))
    variants = {
        "card": replace(model, card={**model.card, "train_rows": 0}),
        "population": replace(model, population=model.population.merged(model.population)),
        "plan": replace(model, plan=wider),
        "actions": replace(model, plan=replace(model.plan, actions=model.plan.actions[::-1])),
        "detector": replace(model, detector=models["lightgbm"].detector),
        "calibration": replace(model, calibration=Calibration.fit(np.arange(2000.0))),
        "no calibration": replace(model, calibration=None),
        "pages": replace(model, pages={"card.md": "# another"}),
        "one tail": replace(model, detector=replace(model.detector, tails=model.detector.tails[::-1])),
    }
    found = {name: variant.fingerprint for name, variant in variants.items()}
    assert len({model.fingerprint, *found.values()}) == 1 + len(variants), found
    assert replace(model).fingerprint == model.fingerprint


@pytest.mark.parametrize("version", [0, 2, "1", None])
def test_another_format_is_refused(copied, version):
    """A model of an older or a newer format is not read by guessing."""
    manifest = json.loads((copied / "manifest.json").read_text())
    (copied / "manifest.json").write_text(json.dumps({**manifest, "format": version}))
    with pytest.raises(BundleError, match=f"expected a model of format 1, got {version}; score with the version"):
        Model.load(copied)


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"format": 1}', "null"])
def test_a_manifest_that_is_none_is_refused(copied, text):
    """A manifest that is empty, cut short or of another shape is no manifest."""
    (copied / "manifest.json").write_text(text)
    with pytest.raises(BundleError, match=r"expected a saved model with a manifest\.json"):
        Model.load(copied)


def test_a_manifest_that_was_edited_is_refused(copied):
    """A manifest made to fit a changed file no longer fits its own sum."""
    manifest = json.loads((copied / "manifest.json").read_text())
    (copied / "card.json").write_text("{}")
    manifest["files"]["card.json"] = "44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a"
    (copied / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(BundleError, match=r"manifest\.json was changed"):
        Model.load(copied)


def test_a_folder_without_a_model_is_refused(tmp_path):
    """An empty folder, or none at all, is told apart from a model."""
    for folder in (tmp_path, tmp_path / "nowhere"):
        with pytest.raises(BundleError, match=r"expected a saved model with a manifest\.json, found none"):
            Model.load(folder)


def test_a_model_is_not_written_over_files(models, tmp_path):
    """Saving into a folder that holds something is refused and leaves it as it was."""
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(BundleError, match="expected a new or empty folder for the model"):
        models["lightgbm"].save(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


def test_a_population_of_another_plan_is_refused(models, tmp_path):
    """A whole and unaltered model whose population lacks a feature of its plan cannot judge, and says so."""
    model = models["lightgbm"]
    lacking = {name: counts for name, counts in model.population.histograms.items() if name != "events_count_1d"}
    replace(model, population=Population(model.population.counts, lacking)).save(tmp_path / "model")
    with pytest.raises(PlanMismatchError, match="the population does not know events_count_1d; train again"):
        Model.load(tmp_path / "model")


def test_the_calibration_and_the_pages_travel_with_the_model(models, saved):
    """A loaded model gives the same p-values to the last bit, has the same pages, and all stand in the manifest."""
    score = np.linspace(-10.0, 10.0, 301)
    for kind, model in models.items():
        loaded = Model.load(saved[kind])
        assert loaded.calibration.p_values(score).tobytes() == model.calibration.p_values(score).tobytes()
        assert loaded.pages == model.pages
        listed = json.loads((saved[kind] / "manifest.json").read_text())["files"]
        assert {"calibration.arrow", "card.html", "card.md"} <= set(listed)


def test_a_model_without_a_calibration_loads(models, tmp_path):
    """A model that was saved before there were calibrations is a model all the same."""
    bare = replace(models["isolation_forest"], calibration=None, pages={})
    bare.save(tmp_path / "bare")
    loaded = Model.load(tmp_path / "bare")
    assert loaded.calibration is None
    assert dict(loaded.pages) == {}
    assert loaded.fingerprint == bare.fingerprint
