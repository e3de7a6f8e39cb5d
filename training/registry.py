"""Models in the store: logging them, numbering them, and naming the champion.

A model is logged as an output of its run and becomes a version of a registered model in a second step. Every version
carries the fingerprint of its data as a tag, outside of the folder that it vouches for;
:func:`peculiar.training.references.load` holds the one against the other.
"""

from __future__ import annotations

import json
import re
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from .packaging import write_bundle
from .store import current
from .tracking import SOURCE_TAGS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mlflow import MlflowClient

    from .model import Model
    from .tracking import LiveRun, Store

__all__ = [
    "REGISTERED_NAME",
    "LoggedModel",
    "Version",
    "by_alias",
    "by_number",
    "champion",
    "log_model",
    "register",
    "set_alias",
]

REGISTERED_NAME = "peculiar"


@dataclass(frozen=True)
class LoggedModel:
    """A model in the store, tied to the run that made it; not yet a version of a registered model.

    Attributes
    ----------
    model_id, run_id : str
    name : str
        One name per kind of candidate.
    kind, sha256, plan : str
        The detector's kind, the fingerprint of the data, the fingerprint of the feature plan.
    """

    model_id: str
    run_id: str
    name: str
    kind: str
    sha256: str
    plan: str

    @property
    def uri(self) -> str:
        """``models:/m-…``, which MLflow and peculiar understand."""
        return f"models:/{self.model_id}"

    @property
    def tags(self) -> dict[str, str]:
        """What a version carries to vouch for it."""
        return {"peculiar.kind": self.kind, "peculiar.sha256": self.sha256, "peculiar.plan": self.plan}


@dataclass(frozen=True)
class Version:
    """A version of a registered model.

    Attributes
    ----------
    name : str
    number : str
    aliases : tuple of str
    model_id, run_id : str
        The logged model and the run behind it; empty if unknown.
    kind, sha256, plan : str
        From its tags; empty if it was registered by other means.
    """

    name: str
    number: str
    aliases: tuple[str, ...]
    model_id: str
    run_id: str
    kind: str
    sha256: str
    plan: str

    @property
    def uri(self) -> str:
        """``models:/<name>/<number>``."""
        return f"models:/{self.name}/{self.number}"


def log_model(run: LiveRun, model: Model, *, name: str) -> LoggedModel:
    """Put a model into the store as an output of a run.

    Log the run's parameters first: the model's page shows a copy of them.

    Parameters
    ----------
    run : LiveRun
    model : Model
    name : str
        What the Models page calls it; without ``/ : . % " '``.
    """
    from mlflow.entities import LoggedModelOutput

    client = run.store.client
    kind = model.detector.kind
    tags = SOURCE_TAGS | {"peculiar.kind": kind, "peculiar.plan": model.plan_fingerprint}
    params = client.get_run(run.run_id).data.params
    logged = client.create_logged_model(
        run.store.experiment_id, name=name, source_run_id=run.run_id, tags=tags, params=params, model_type=kind
    )
    sha256 = _upload(client, model, logged, run.run_id)
    client.log_outputs(run.run_id, [LoggedModelOutput(logged.model_id, step=0)])
    return LoggedModel(logged.model_id, run.run_id, name, kind, sha256, model.plan_fingerprint)


def _upload(client: MlflowClient, model: Model, logged: Any, run_id: str) -> str:
    """Write the files; the model becomes READY only when all of them are there."""
    from mlflow.models import Model as MlflowModel

    identity = {"model_uuid": logged.model_id, "model_id": logged.model_id, "run_id": run_id}
    status: Literal["READY", "FAILED"] = "FAILED"
    try:
        with tempfile.TemporaryDirectory() as folder:
            place = Path(folder) / "model"
            sha256 = write_bundle(model, place, MlflowModel(artifact_path=logged.artifact_location, **identity))
            client.log_model_artifacts(logged.model_id, str(place))
        client.set_logged_model_tags(logged.model_id, {"peculiar.sha256": sha256})
        status = "READY"
    finally:
        client.finalize_logged_model(logged.model_id, status)
    return sha256


def register(
    store: Store,
    logged: LoggedModel,
    *,
    name: str = REGISTERED_NAME,
    description: str = "",
    tags: Mapping[str, str] | None = None,
) -> Version:
    """Make a logged model the next version of a registered model.

    One call creates the version with its tags and description, after all files are in place: a process that is killed
    leaves either no version or a whole one.

    Parameters
    ----------
    store : Store
    logged : LoggedModel
    name : str
        The registered model, created if there is none.
    description : str
        Markdown for the version's page.
    tags : mapping of str to str, optional
        More tags.
    """
    client = store.client
    _create_registered_model(client, name)
    tags = logged.tags | dict(tags or {})
    with current(store):  # the SQL registry looks the logged model up in the process-wide store
        made = client.create_model_version(
            name, logged.uri, logged.run_id, tags, description=description, model_id=logged.model_id
        )
    _link_version(client, logged.model_id, name, made.version)
    return _version(made)


def set_alias(store: Store, version: Version, alias: str) -> Version:
    """Give a version an alias ("champion", "challenger"); the version that had it loses it."""
    store.client.set_registered_model_alias(version.name, alias, version.number)
    return replace(version, aliases=tuple(sorted({*version.aliases, alias})))


def by_alias(store: Store, alias: str, *, name: str = REGISTERED_NAME) -> Version | None:
    """The version with an alias; None if there is no such alias, or no such model."""
    from mlflow.exceptions import MlflowException

    try:
        return _version(store.client.get_model_version_by_alias(name, alias))
    except MlflowException as error:  # the SQL store says the second of a missing alias
        if error.error_code not in {"RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"}:
            raise
        return None


def by_number(store: Store, name: str, number: str) -> Version | None:
    """The version with a number; None if there is none."""
    from mlflow.exceptions import MlflowException

    try:
        return _version(store.client.get_model_version(name, number))
    except MlflowException as error:
        if error.error_code != "RESOURCE_DOES_NOT_EXIST":
            raise
        return None


def champion(store: Store, name: str = REGISTERED_NAME) -> Version | None:
    """The version in use; None if there is none yet."""
    return by_alias(store, "champion", name=name)


def _create_registered_model(client: MlflowClient, name: str) -> None:
    from mlflow.exceptions import MlflowException

    try:
        client.create_registered_model(name, description=_REGISTERED_NOTE)
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise


_REGISTERED_NOTE = (
    "Scores, from **raw events**, who behaves unlike themselves, unlike their peers, or in a combination nobody has "
    "seen. A score is a lead for a person to check, never a verdict.\n\n"
    "`champion` is the version in use, `challenger` the one that may follow it."
)


def _link_version(client: MlflowClient, model_id: str, name: str, number: str) -> None:
    """Let the logged model's page show the version, as MLflow's own registration does."""
    linked = json.loads(client.get_logged_model(model_id).tags.get("mlflow.modelVersions", "[]"))
    linked.append({"name": name, "version": number})
    client.set_logged_model_tags(model_id, {"mlflow.modelVersions": json.dumps(linked)})


def _version(found: Any) -> Version:
    """Our record of MLflow's; its SQL store leaves ``model_id`` empty, but the source names the model."""
    match = re.search(r"m-[0-9a-f]{32}", found.source or "")
    tags = found.tags
    ours = [tags.get(f"peculiar.{key}", "") for key in ("kind", "sha256", "plan")]
    aliases = tuple(sorted(found.aliases))
    return Version(found.name, str(found.version), aliases, match[0] if match else "", found.run_id or "", *ours)
