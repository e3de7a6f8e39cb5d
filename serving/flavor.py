"""What MLflow loads: a registered model that takes raw events and returns scores with reasons.

Two ways in. :func:`load_model` is ours: it imports nothing that the artifact names and checks the data against the
fingerprint in the registry. :func:`_load_pyfunc` is MLflow's: ``mlflow.pyfunc.load_model`` and ``mlflow models serve``
find it through the module name written into the model. Neither opens a pickle.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import SchemaError
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
        data : pandas, polars or Arrow table, or a path
            Events with the columns that the model's roles name. A served model takes tables only.
        params : dict, optional
            ``budget``: alerts a day (100). ``explain``: reasons per alert (3).

        Returns
        -------
        pandas.DataFrame
            One row per snapshot: entity, since, as_of, score, rank, alert, family, reasons (a list of texts).

        Raises
        ------
        SchemaError
            If the events are not a table, or lack a column.
        """
        from .scoring import score_events

        _check_table(data)
        settings = {"budget": 100, "explain": 3} | (params or {})
        budget, explain = int(settings["budget"]), int(settings["explain"])
        frame = score_events(self._model, data, budget=budget, explain=explain).to_pandas()
        # Lists instead of arrays: a served answer is JSON.
        frame["reasons"] = [None if texts is None else list(texts) for texts in frame["reasons"]]
        return frame


def _check_table(data: object) -> None:
    """Refuse what is no table; whoever calls a server must not choose which of its files it opens."""
    if isinstance(data, str | os.PathLike):
        if os.environ.get("_MLFLOW_IS_IN_SERVING_ENVIRONMENT") != "true":
            return
        raise SchemaError("expected a table of events, got a path: a served model opens no files; send the events")
    if not any(hasattr(data, mark) for mark in ("columns", "column_names", "__arrow_c_stream__")):
        message = f"expected a table of events, got {type(data).__name__}; send dataframe_split or dataframe_records"
        raise SchemaError(message)


def _load_pyfunc(path: str, model_config: dict[str, Any] | None = None) -> EventScorer:  # noqa: ARG001 - MLflow's call
    """What MLflow calls with the folder of data; the data is checked against its manifest."""
    from ..training.model import Model

    return EventScorer(Model.load(Path(path)))
