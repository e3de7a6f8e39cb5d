"""What MLflow loads: a registered model that takes raw events and returns scores with reasons.

Two ways in. :func:`load_model` is ours: it imports nothing that the artifact names and checks the data against the
fingerprint in the registry. :func:`_load_pyfunc` is MLflow's: ``mlflow.pyfunc.load_model`` and ``mlflow models serve``
find it through the module name written into the model. There the data is held against the fingerprint in the metadata
beside it, or one that the caller names. Neither opens a pickle, and neither looks at other files beside the data.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from ..errors import BundleError, ConfigError, SchemaError
from ..training.packaging import FLAVOR, signature, write_bundle
from ..training.references import load
from ..training.store import open_store

if TYPE_CHECKING:
    import pandas as pd
    from mlflow.models import Model as MlflowModel
    from mlflow.models.model import ModelInfo

    from ..training.model import Model
    from ..training.store import Store

__all__ = ["EventScorer", "load_model", "log_model", "save_model", "signature"]


def save_model(model: Model, path: str | Path, mlflow_model: MlflowModel | None = None) -> None:
    """Save a model as a folder that MLflow can load.

    Parameters
    ----------
    model : Model
    path : str or Path
        A new folder.
    mlflow_model : mlflow.models.Model, optional
        Metadata to complete; MLflow passes it when it logs.
    """
    from mlflow.models import Model as MlflowModel

    write_bundle(model, Path(path), mlflow_model or MlflowModel())


def log_model(model: Model, name: str = "peculiar", **kwargs: Any) -> ModelInfo:
    """Log a model to MLflow's active run, as MLflow's own flavors do.

    Training uses :func:`peculiar.training.registry.log_model`, which needs no active run.

    Parameters
    ----------
    model : Model
    name : str
        What the Models page calls it.
    **kwargs
        For ``mlflow.models.Model.log``: ``registered_model_name``, ``run_id``, ``metadata``, ``step``.
    """
    from mlflow.models import Model as MlflowModel

    tags = {
        "peculiar.kind": model.detector.kind,
        "peculiar.plan": model.plan_fingerprint,
        "peculiar.sha256": model.fingerprint,
    } | kwargs.pop("tags", {})
    flavor = sys.modules[__name__]
    return MlflowModel.log(None, flavor, name=name, flavor_name=FLAVOR, tags=tags, model=model, **kwargs)


def load_model(reference: str | Path, *, store: Store | None = None) -> Model:
    """Load a model as data: no pickle, no code, nothing imported that the artifact names.

    Parameters
    ----------
    reference : str or Path
        ``models:/<name>@<alias>``, ``models:/<name>/<number>``, ``models:/m-<id>``, ``runs:/<run>/<name>`` or a folder.
    store : Store, optional
        The current folder's by default.

    Raises
    ------
    BundleError
        If there is no such model, or its files are not those that were registered.
    """
    return load(store or open_store(), reference).model


class EventScorer:
    """A model behind MLflow's generic interface: raw events in, a frame of scores out.

    Whoever cuts the events into parts has to keep each entity whole, with its horizon: ``mlflow.pyfunc.spark_udf`` does
    not, and is not valid on raw events. Ranks and alerts are of a day, so they hold for the whole alone.

    Parameters
    ----------
    model : Model
    """

    def __init__(self, model: Model) -> None:
        self._model = model

    def get_raw_model(self) -> Model:
        """The model itself, for ``PyFuncModel.get_raw_model``."""
        return self._model

    def predict(self, data: object, params: dict[str, Any] | None = None) -> pd.DataFrame:
        """Score raw events.

        Parameters
        ----------
        data : pandas, polars or Arrow table, columns by name, a list of records, or a path
            Events with the columns that the model's roles name. A served model takes no path.
        params : dict, optional
            ``budget``: alerts a day; 100 if neither it nor ``fdr`` is given. ``explain``: reasons per alert (3).
            ``fdr``: the share of a day's alerts that may be false, from 0 to 1.

        Returns
        -------
        pandas.DataFrame
            The rows and columns of :func:`~peculiar.serving.scoring.score_batch`; lists as Python lists.

        Raises
        ------
        SchemaError
            If the events are not a table, or lack a column.
        ConfigError
            If a setting is out of its range.
        """
        from .scoring import score_batch

        events, settings = _events(data), _settings(params or {})
        return _frame(score_batch(self._model, events, **settings).table)


def _settings(params: dict[str, Any]) -> dict[str, Any]:
    given = {"explain": 3} | {name: value for name, value in params.items() if value is not None}
    unknown = sorted(set(given) - {"budget", "explain", "fdr"})
    if unknown:
        message = f"expected the settings budget, explain and fdr, got {', '.join(map(str, unknown))}"
        raise ConfigError(message)
    for name in {"budget", "explain"} & set(given):
        if int(given[name]) != given[name] or given[name] < 0:
            message = f"expected a whole number of 0 or more as {name}, got {given[name]}"
            raise ConfigError(message)
        given[name] = int(given[name])
    if not 0.0 < given.get("fdr", 0.5) < 1.0:
        message = f"expected a share between 0 and 1 as fdr, got {given['fdr']}"
        raise ConfigError(message)
    return given


def _frame(table: pa.Table) -> pd.DataFrame:
    """The table for pandas, in objects that a served answer can hold: lists, dicts, and None for what is not there.

    pandas' own null would be the word NaN there, which is no JSON.
    """
    import pandas as pd

    frame = table.to_pandas()
    for field in table.schema:
        if pa.types.is_nested(field.type) or pa.types.is_string(field.type) or table[field.name].null_count:
            frame[field.name] = pd.Series(table[field.name].to_pylist(), frame.index, dtype=object)
    return frame


def _events(data: object) -> object:
    """A table of events or, where files may be opened, a path.

    Whoever calls a server must not choose which of its files it opens.
    """
    if isinstance(data, str | os.PathLike):
        if os.environ.get("_MLFLOW_IS_IN_SERVING_ENVIRONMENT") != "true":
            return data
        raise SchemaError("expected a table of events, got a path: a served model opens no files; send the events")
    if any(hasattr(data, mark) for mark in ("columns", "column_names", "__arrow_c_stream__")):
        return data
    plain = data.tolist() if isinstance(data, np.ndarray) else data
    if isinstance(plain, dict) or (isinstance(plain, list) and all(isinstance(row, dict) for row in plain)):
        return _table(plain)
    message = f"expected a table of events, got {type(data).__name__}; send dataframe_split or dataframe_records"
    raise SchemaError(message)


def _table(plain: dict[str, Any] | list[dict[str, Any]]) -> pd.DataFrame:
    """A frame of columns by name, or of records."""
    import pandas as pd

    if isinstance(plain, list):  # MLflow makes an array of no dimensions of each value
        plain = [{k: v.tolist() if isinstance(v, np.ndarray) else v for k, v in row.items()} for row in plain]
    try:
        return pd.DataFrame(plain)
    except (ValueError, TypeError) as error:
        message = f"expected columns of one length, or records, got a {type(plain).__name__} that is neither"
        raise SchemaError(message) from error


def _load_pyfunc(path: str, model_config: dict[str, Any] | None = None) -> EventScorer:
    """What MLflow calls with the folder of data; it is checked against its manifest, and that against a fingerprint."""
    from ..training.model import Model, check

    expected = (model_config or {}).get("sha256")
    found = check(Path(path))
    if expected not in {None, found}:
        message = f"{path}: expected the model {expected}, its files are {found}; do not use it"
        raise BundleError(message)
    return EventScorer(Model.load(Path(path)))
