"""A model small enough for tests of the store: a folder with a manifest, and scores that anyone can check by hand."""

from __future__ import annotations

import hashlib
import json
import types
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pyarrow as pa

from peculiar.errors import BundleError
from peculiar.features.roles import Roles

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True)
class StandIn:
    """Scores an entity by the number of its events."""

    kind: str = "isolation_forest"
    salt: str = "0"

    @property
    def detector(self) -> StandIn:
        """Itself: it has the kind."""
        return self

    @property
    def plan(self) -> types.SimpleNamespace:
        """No features, but roles."""
        return types.SimpleNamespace(roles=Roles("user", "at"))

    @property
    def plan_fingerprint(self) -> str:
        """A fixed one."""
        return "0123456789abcdef"

    @property
    def fingerprint(self) -> str:
        """SHA-256 over the manifest."""
        return _whole({"model.json": _sha256(self._text().encode())})

    def _text(self) -> str:
        return json.dumps({"kind": self.kind, "salt": self.salt})

    def save(self, folder: Path) -> None:
        """Write the data and the manifest."""
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "model.json").write_text(self._text())
        files = {"model.json": _sha256(self._text().encode())}
        (folder / "manifest.json").write_text(json.dumps({"format": 1, "files": files, "sha256": _whole(files)}))

    @classmethod
    def load(cls, folder: Path) -> StandIn:
        """Read what was saved, after checking it."""
        check(folder)
        return cls(**json.loads((folder / "model.json").read_text()))


def check(folder: Path) -> str:
    """Hold the files against the manifest, as the real one does."""
    manifest = json.loads((folder / "manifest.json").read_text())
    for name, sha256 in manifest["files"].items():
        if _sha256((folder / name).read_bytes()) != sha256:
            message = f"{folder}: {name} was changed after the model was saved"
            raise BundleError(message)
    return manifest["sha256"]


def score_events(model: StandIn, events: object, *, budget: int = 100, explain: int = 3, **_: object) -> pa.Table:
    """One row per entity, the busiest first."""
    counts = pa.table(events).group_by("user").aggregate([("user", "count")]).sort_by([("user_count", "descending")])
    rows = len(counts)
    day = pa.array([0] * rows).cast(pa.timestamp("us", tz="UTC"))
    return pa.table({
        "entity": counts["user"], "since": day, "as_of": day, "score": counts["user_count"].cast("float64"),
        "rank": list(range(1, rows + 1)), "alert": [row < budget for row in range(rows)],
        "family": pa.array(["volume"] * rows),
        "reasons": [[f"{n} events"][:explain] for n in counts["user_count"].to_pylist()],
    })  # fmt: skip


def modules() -> dict[str, types.ModuleType]:
    """Modules to put in the place of the real ones."""
    model, scoring = types.ModuleType("peculiar.training.model"), types.ModuleType("peculiar.serving.scoring")
    model.Model, model.check = StandIn, check
    scoring.score_events = score_events
    return {"peculiar.training.model": model, "peculiar.serving.scoring": scoring}


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _whole(files: dict[str, str]) -> str:
    return _sha256(json.dumps(files, sort_keys=True).encode())
