"""A model as the folder that MLflow keeps: the data, and the page of metadata around it.

Nothing is inferred: the requirements are written down (inferring them starts a process, takes 8 s, and leaves this
package out), and the signature names what comes out and the two settings, but not what goes in. A typed input would
refuse time zones, ISO strings, categories, nullable integers and Arrow tables, and would print rows of events into its
error; the model checks events itself. What to send is shown by an example instead, which is made up from the roles: no
row of the training data leaves with the model.
"""

from __future__ import annotations

import json
import platform
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

import pyarrow as pa

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from mlflow.models import Model as MlflowModel
    from mlflow.models import ModelSignature

    from ..features.roles import Roles
    from .model import Model

__all__ = [
    "DATA",
    "EVIDENCE",
    "FLAVOR",
    "LOADER",
    "SCORES",
    "example_events",
    "requirements",
    "signature",
    "write_bundle",
]

FLAVOR = "peculiar"
LOADER = "peculiar.serving.flavor"  # a name for MLflow to import; training itself never does
DATA = "peculiar"
# Of each reason: its numbers, whether the alert would stand without its events, how many these are, and the first ids.
EVIDENCE = pa.list_(
    pa.struct(
        [
            *((name, pa.string()) for name in ("feature", "family")),
            *((name, pa.float64()) for name in ("weight", "seen", "usual", "everyone")),
            *(("unit", pa.string()), ("weak", pa.bool_()), ("count", pa.int64()), ("events", pa.list_(pa.string()))),
        ]
    )
)
# What scoring returns per snapshot, and whether it is always there; serving holds it against the table that it makes.
SCORES: Mapping[str, tuple[pa.DataType, bool]] = {
    "entity": (pa.string(), True),
    "since": (pa.timestamp("us", tz="UTC"), True),
    "as_of": (pa.timestamp("us", tz="UTC"), True),
    "score": (pa.float64(), True),
    "p_value": (pa.float64(), False),
    "rank": (pa.int64(), True),
    "alert": (pa.bool_(), True),
    "pick": (pa.string(), False),
    "chance": (pa.float64(), False),
    "team": (pa.string(), False),
    "case": (pa.string(), False),
    "suppressed": (pa.string(), False),
    "family": (pa.string(), False),
    "reasons": (pa.list_(pa.string()), False),
    "evidence": (EVIDENCE, False),
}
_READS = ("lightgbm", "mlflow", "numba", "numpy", "pandas", "polars", "pyarrow", "scikit-learn", "scipy")


def write_bundle(model: Model, folder: Path, mlflow_model: MlflowModel) -> str:
    """Write a model into a new folder in MLflow's layout, and return the SHA-256 of its data.

    Parameters
    ----------
    model : Model
    folder : Path
        Must not exist.
    mlflow_model : mlflow.models.Model
        The metadata to complete and save.
    """
    from mlflow import pyfunc

    from .model import check

    folder.mkdir(parents=True)
    model.save(folder / DATA)
    sha256 = check(folder / DATA)
    mlflow_model.signature = mlflow_model.signature or signature()
    # Whoever loads through MLflow may name the fingerprint that the data must have; by default it is this one.
    config = {"sha256": sha256}
    pyfunc.add_to_model(mlflow_model, LOADER, data=DATA, python_env="python_env.yaml", model_config=config)
    mlflow_model.add_flavor(FLAVOR, peculiar_version=version("peculiar"), data=DATA, sha256=sha256)
    (folder / "requirements.txt").write_text("".join(f"{line}\n" for line in requirements()))
    (folder / "python_env.yaml").write_text(_PYTHON_ENV.format(python=platform.python_version()))
    mlflow_model.saved_input_example_info = _write_example(example_events(model.plan.roles), folder)
    mlflow_model.model_size_bytes = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    mlflow_model.save(str(folder / "MLmodel"))
    return sha256


def _write_example(events: dict[str, list[Any]], folder: Path) -> dict[str, Any]:
    """Write made-up events as MLflow's input example and as a request, and say how MLflow finds them."""
    split = {"columns": list(events), "data": [list(row) for row in zip(*events.values(), strict=True)]}
    example, request = "input_example.json", "serving_input_example.json"
    (folder / example).write_text(json.dumps(split))
    (folder / request).write_text(json.dumps({"dataframe_split": split}, indent=1))
    return {"artifact_path": example, "type": "dataframe", "pandas_orient": "split", "serving_input_path": request}


def example_events(roles: Roles) -> dict[str, list[Any]]:
    """Events that show what to send: three of one made-up entity, by column, none of them from any data.

    Examples
    --------
    >>> from peculiar.features.roles import Roles
    >>> example_events(Roles("user", "at", measures=("paid",)))["at"][0]
    '2026-01-01T08:00:00Z'
    """
    hours = [f"2026-01-01T{hour:02}:00:00Z" for hour in (8, 9, 17)]
    known: dict[str, list[Any]] = {roles.entity: ["somebody"] * 3, roles.at: hours}
    known |= {roles.id: ["first", "second", "third"]} if roles.id else {}
    known |= {name: [1.5, 2.5, None] for name in roles.measures}
    known |= dict(zip(roles.place or (), ([52.5] * 3, [13.4] * 3), strict=False))
    return {name: known.get(name, ["something"] * 3) for name in roles.columns}


_PYTHON_ENV = """\
python: {python}
build_dependencies: []
dependencies:
- -r requirements.txt
"""


def requirements() -> list[str]:
    """What has to be installed to score with a model saved here: this version, and libraries of the same major version.

    Examples
    --------
    >>> any(line.startswith("peculiar==") for line in requirements())
    True
    """
    return [f"peculiar=={version('peculiar')}", *map(_same_major, _READS)]


def _same_major(package: str) -> str:
    here = version(package)
    return f"{package}>={here},<{int(here.split('.')[0]) + 1}"


def signature() -> ModelSignature:
    """What the model returns per snapshot (:data:`SCORES`), and the settings a caller may pass."""
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, DataType, ParamSchema, ParamSpec, Schema

    columns: list[Any] = [ColSpec(_kind(kind), name, required=always) for name, (kind, always) in SCORES.items()]
    # Without a default: a budget that was not asked for must not bound what a false-discovery rate allows.
    params = [
        ParamSpec("budget", DataType.long, None),
        ParamSpec("explain", DataType.long, 3),
        ParamSpec("fdr", DataType.double, None),
    ]
    return ModelSignature(outputs=Schema(columns), params=ParamSchema(params))


def _kind(kind: pa.DataType) -> Any:
    """MLflow's word for an Arrow type."""
    from mlflow.types import DataType
    from mlflow.types.schema import Array, Object, Property

    if pa.types.is_list(kind):
        return Array(_kind(kind.value_type))
    if pa.types.is_struct(kind):
        return Object([Property(field.name, _kind(field.type), required=False) for field in kind])
    if pa.types.is_timestamp(kind):
        return DataType.datetime
    kinds = {pa.bool_(): DataType.boolean, pa.int64(): DataType.long, pa.float64(): DataType.double}
    return kinds.get(kind, DataType.string)
