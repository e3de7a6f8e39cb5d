"""A model as the folder that MLflow keeps: the data, and the page of metadata around it.

Nothing is inferred: the requirements are written down (inferring them starts a process, takes 8 s, and leaves this
package out), and the signature names what comes out and the two settings, but not what goes in. A typed input would
refuse time zones, ISO strings, categories, nullable integers and Arrow tables, and would print rows of events into its
error; the model checks events itself.
"""

from __future__ import annotations

import platform
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

    from mlflow.models import Model as MlflowModel
    from mlflow.models import ModelSignature

    from .model import Model

__all__ = ["DATA", "FLAVOR", "LOADER", "requirements", "signature", "write_bundle"]

FLAVOR = "peculiar"
LOADER = "peculiar.serving.flavor"  # a name for MLflow to import; training itself never does
DATA = "peculiar"
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
    pyfunc.add_to_model(mlflow_model, loader_module=LOADER, data=DATA, python_env="python_env.yaml")
    mlflow_model.add_flavor(FLAVOR, peculiar_version=version("peculiar"), data=DATA, sha256=sha256)
    (folder / "requirements.txt").write_text("".join(f"{line}\n" for line in requirements()))
    (folder / "python_env.yaml").write_text(_PYTHON_ENV.format(python=platform.python_version()))
    mlflow_model.model_size_bytes = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    mlflow_model.save(str(folder / "MLmodel"))
    return sha256


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
    """What the model returns per snapshot, and the settings a caller may pass."""
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, DataType, ParamSchema, ParamSpec, Schema
    from mlflow.types.schema import Array

    types: dict[str, Any] = {
        "entity": DataType.string,
        "since": DataType.datetime,
        "as_of": DataType.datetime,
        "score": DataType.double,
        "p_value": DataType.double,
        "rank": DataType.long,
        "alert": DataType.boolean,
        "pick": DataType.string,
        "chance": DataType.double,
        "family": DataType.string,
        "reasons": Array(DataType.string),
    }
    optional = {"p_value", "pick", "chance", "family", "reasons"}
    columns: list[Any] = [ColSpec(kind, name, required=name not in optional) for name, kind in types.items()]
    params = [ParamSpec("budget", DataType.long, 100), ParamSpec("explain", DataType.long, 3)]
    return ModelSignature(outputs=Schema(columns), params=ParamSchema(params))
