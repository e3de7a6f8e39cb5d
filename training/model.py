"""The model: everything that is needed to turn raw events into scores, and nothing that can run.

It is saved as a folder of data with a manifest: the plan as JSON, the population and the calibration as Arrow, the
detector as its own data files, a card. Loading reads data and checks every file against the manifest's SHA-256; a
changed, missing or extra file is refused by name. There is no pickle to open and no code to import.
"""

from __future__ import annotations

import hashlib
import json
import stat
import tempfile
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from ..errors import BundleError, PlanMismatchError
from ..features.plan import FeaturePlan
from ..features.population import Population
from .bundles import KINDS, check_file, once, read_json
from .calibration import Calibration
from .detectors import load_detector

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from ..features.timeline import Timeline
    from ..features.vectors import Vectors
    from .detector import FittedDetector

__all__ = ["Model"]

_FORMAT = 1
_MANIFEST = "manifest.json"
_CALIBRATION = "calibration.arrow"
_PAGES = ("card.html", "card.md")


@dataclass(frozen=True, eq=False)
class Model:
    """A feature plan, the population it was fitted on, and a fitted detector.

    Attributes
    ----------
    plan : FeaturePlan
    population : Population
    detector : FittedDetector
    card : mapping
        Plain data on where the model comes from: training period, counts, metrics.
    calibration : Calibration or None
        Turns scores into p-values; None in a model that was not calibrated.
    pages : mapping of str to str
        The card for a reader: ``card.html`` and ``card.md``, if there are any.
    """

    plan: FeaturePlan
    population: Population
    detector: FittedDetector
    card: Mapping[str, Any] = field(default_factory=dict)
    calibration: Calibration | None = None
    pages: Mapping[str, str] = field(default_factory=dict)

    @property
    def plan_fingerprint(self) -> str:
        """The fingerprint of the plan, 16 hexadecimal digits."""
        return self.plan.fingerprint

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 over the manifest of the saved model, 64 hexadecimal digits."""
        with tempfile.TemporaryDirectory() as folder:
            self.save(Path(folder) / "model")
            return str(_read_manifest(Path(folder) / "model")["sha256"])

    def vectors(
        self,
        timeline: Timeline,
        *,
        progress: Callable[[str, float], None] | None = None,
        since: int | None = None,
    ) -> Vectors:
        """The vectors of all snapshots, or of windows that end after ``since``, as training saw them."""
        return self.plan.vectors(timeline, self.population, progress=progress, since=since)

    def save(self, folder: Path) -> None:
        """Write the model into a new folder.

        Raises
        ------
        BundleError
            If the folder holds something already.
        """
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        if any(folder.iterdir()):
            message = f"expected a new or empty folder for the model, {folder} holds files; choose another"
            raise BundleError(message)
        (folder / "plan.json").write_text(self.plan.to_json())
        (folder / "card.json").write_text(json.dumps(self.card, indent=2))
        for name in _PAGES:
            if name in self.pages:
                (folder / name).write_text(self.pages[name], encoding="utf-8")
        self.population.save(folder / "population.arrow")
        if self.calibration is not None:
            self.calibration.save(folder / _CALIBRATION)
        (folder / "detector").mkdir()
        self.detector.save(folder / "detector")
        files = {name: _sha256(folder / name) for name in _files(folder)}
        manifest = {"format": _FORMAT, "files": files, "sha256": _whole(files)}
        (folder / _MANIFEST).write_text(json.dumps(manifest, indent=2, sort_keys=True))

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read a model that :meth:`save` wrote.

        Raises
        ------
        BundleError
            If a file is changed, missing, extra, or unsound, or the format is not this version's.
        PlanMismatchError
            If this version defines the plan's features differently.
        """
        folder = Path(folder)
        check(folder)
        for name in _files(folder):
            check_file(folder / name)
        try:
            model = cls._read(folder)
        except PlanMismatchError:
            raise
        except _NONSENSE as error:
            message = f"{folder}: whole, but not a model ({type(error).__name__}: {str(error)[:200]}); save it again"
            raise BundleError(message) from error
        unknown = sorted({feature.name for feature in model.plan.features} - set(model.population.histograms))
        if unknown:
            message = f"{folder}: the population does not know {', '.join(unknown[:5])}; train again"
            raise PlanMismatchError(message)
        return model

    @classmethod
    def _read(cls, folder: Path) -> Self:
        there = folder / _CALIBRATION
        return cls(
            FeaturePlan.from_json((folder / "plan.json").read_text(encoding="utf-8")),
            Population.load(folder / "population.arrow"),
            load_detector(folder / "detector"),
            read_json(folder / "card.json"),
            Calibration.load(there) if there.is_file() else None,
            {name: (folder / name).read_text(encoding="utf-8") for name in _PAGES if (folder / name).is_file()},
        )


# What readers of sound files raise when these do not say what a model says.
_NONSENSE = (KeyError, IndexError, TypeError, AttributeError, ValueError, OverflowError, MemoryError, OSError)


def check(folder: Path) -> str:
    """Hold every file of a saved model against its manifest, and return the SHA-256 of the whole.

    No file is opened before all of them are known to be files of the kinds that a model is made of, in this folder.

    Raises
    ------
    BundleError
        Naming the first file that is changed, missing or extra.
    """
    manifest = _read_manifest(folder)
    if manifest["format"] != _FORMAT:
        message = (
            f"{folder}: expected a model of format {_FORMAT}, got {str(manifest['format'])[:20]}; score with the "
            "version of peculiar that saved it (requirements.txt beside the data names it), or train again"
        )
        raise BundleError(message)
    files, there = manifest["files"], _files(folder)
    for name in sorted(set(files) ^ set(there)):
        word = "missing" if name in files else "not in the manifest"
        message = f"{folder}: {name} is {word}; fetch the model again, and do not edit it by hand"
        raise BundleError(message)
    for name in there:
        if Path(name).suffix not in KINDS or not stat.S_ISREG((folder / name).lstat().st_mode):
            kinds = ", ".join(KINDS)
            message = f"{folder}: {name} is no file of data (expected {kinds}, and no link); fetch the model again"
            raise BundleError(message)
    for name, sha256 in files.items():
        if _sha256(folder / name) != sha256:
            message = f"{folder}: {name} was changed after the model was saved; fetch the model again"
            raise BundleError(message)
    if _whole(files) != manifest["sha256"]:
        message = f"{folder}: {_MANIFEST} was changed after the model was saved; fetch the model again"
        raise BundleError(message)
    return str(manifest["sha256"])


def _files(folder: Path) -> list[str]:
    """Whatever lies in the folder but the manifest: files, links, and folders that hold nothing."""
    there = [path for path in folder.rglob("*") if path.is_symlink() or not path.is_dir() or not any(path.iterdir())]
    return sorted(name for path in there if (name := path.relative_to(folder).as_posix()) != _MANIFEST)


def _read_manifest(folder: Path) -> dict[str, Any]:
    try:
        if (folder / _MANIFEST).is_symlink():
            message = f"{folder}: {_MANIFEST} is a link; fetch the model again"
            raise BundleError(message)
        manifest = json.loads((folder / _MANIFEST).read_text(encoding="utf-8"), object_pairs_hook=once)
        return {"format": manifest["format"], "files": dict(manifest["files"].items()), "sha256": manifest["sha256"]}
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        message = f"{folder}: expected a saved model with a {_MANIFEST}, found none that can be read"
        raise BundleError(message) from error


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _whole(files: Mapping[str, str]) -> str:
    return hashlib.sha256(json.dumps(dict(files), sort_keys=True).encode()).hexdigest()
