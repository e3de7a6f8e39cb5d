"""Finding a model again by the name a person gives, and loading it without running anything.

The metadata beside a model names a module that MLflow's generic loader may call. Nothing here looks at that name:
:func:`load` reads data, imports nothing that the artifact asks for, and holds the data against the fingerprint that the
registry keeps. The manifest inside the folder stops accidents; the fingerprint outside of it stops intent.
"""

from __future__ import annotations

import contextlib
import re
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from ..errors import BundleError
from .packaging import DATA
from .registry import by_alias, by_number

if TYPE_CHECKING:
    from .model import Model
    from .registry import Version
    from .tracking import Store

__all__ = ["LoadedModel", "ModelSource", "load", "resolve"]


@dataclass(frozen=True)
class ModelSource:
    """Where a model's files are, and what is known about them from elsewhere.

    Attributes
    ----------
    location : str
        A folder, or the address of one.
    sha256 : str
        The fingerprint that the store keeps; empty for a plain folder, which nothing vouches for.
    model_id : str
    version : Version or None
        The registered version, if it was asked for by version or alias.
    """

    location: str
    sha256: str = ""
    model_id: str = ""
    version: Version | None = None


@dataclass(frozen=True)
class LoadedModel:
    """A model, and where it came from."""

    model: Model
    source: ModelSource


def resolve(store: Store, reference: str | Path) -> ModelSource:
    """Find a model.

    Parameters
    ----------
    reference : str or Path
        ``models:/<name>@<alias>``, ``models:/<name>/<number>``, ``models:/m-<id>``, ``runs:/<run>/<model name>``,
        ``runs:/<run>``, or a folder.

    Raises
    ------
    BundleError
        If there is no such model; the message lists what there is.
    """
    text = str(reference)
    if match := re.fullmatch(r"models:/(m-[0-9a-f]{32})", text):
        return _logged_source(store, match[1])
    if match := re.fullmatch(r"models:/([^/@]+)(?:@([^/@]+)|/([0-9]+))", text):
        version = by_alias(store, match[2], name=match[1]) if match[2] else by_number(store, match[1], match[3])
        return _version_source(store, version, text, match[1])
    if match := re.fullmatch(r"runs:/([0-9a-f]{32})(?:/([^/]+))?", text):
        return _run_source(store, match[1], match[2])
    if Path(text).is_dir():
        return ModelSource(str(Path(text).absolute()))
    message = (
        f"expected a model such as models:/peculiar@champion, models:/peculiar/3, runs:/<run>/<model> or a folder that "
        f"exists, got {text!r}"
    )
    raise BundleError(message)


def load(store: Store, reference: str | Path) -> LoadedModel:
    """Load a model: data only, checked against its manifest and against the fingerprint that the store keeps.

    Raises
    ------
    BundleError
        If there is no such model, or its files are not those that were registered.
    """
    from .model import Model, check

    source = resolve(store, reference)
    with contextlib.ExitStack() as stack:
        folder = _bundle(_fetch(store, source.location, stack), str(reference))
        sha256 = check(folder)
        if source.sha256 not in {"", sha256}:
            message = f"{reference}: the store vouches for {source.sha256}, its files are {sha256}; do not use it"
            raise BundleError(message)
        return LoadedModel(Model.load(folder), replace(source, sha256=sha256))


def _fetch(store: Store, location: str, stack: contextlib.ExitStack) -> Path:
    """The folder itself if it is on this machine, else a copy that lives as long as the stack."""
    parts = urlsplit(location)
    if parts.scheme in {"", "file"}:
        return Path(unquote(parts.path) if parts.scheme else location)
    from mlflow.artifacts import download_artifacts

    folder = stack.enter_context(tempfile.TemporaryDirectory())
    return Path(download_artifacts(artifact_uri=location, dst_path=folder, tracking_uri=store.uri))


def _bundle(folder: Path, reference: str) -> Path:
    """The data inside of what MLflow keeps, or the folder itself if it is the data."""
    for place in (folder / DATA, folder):
        if (place / "manifest.json").is_file():
            return place
    message = f"{reference}: expected a model of peculiar in {folder}, found no manifest.json there"
    raise BundleError(message)


def _version_source(store: Store, version: Version | None, text: str, name: str) -> ModelSource:
    if version is None:
        raise BundleError(f"there is no model {text} in {store.uri}; {_choices(store, name)}")
    location = store.client.get_model_version_download_uri(version.name, version.number)
    if match := re.fullmatch(r"models:/(m-[0-9a-f]{32})", location):
        location = _logged_source(store, match[1]).location
    return ModelSource(location, version.sha256, version.model_id, version)


def _logged_source(store: Store, model_id: str) -> ModelSource:
    from mlflow.exceptions import MlflowException

    try:
        logged = store.client.get_logged_model(model_id)
    except MlflowException as error:
        raise BundleError(f"there is no logged model {model_id} in {store.uri}: {error.message}") from error
    return ModelSource(logged.artifact_location, logged.tags.get("peculiar.sha256", ""), model_id)


def _run_source(store: Store, run_id: str, name: str | None) -> ModelSource:
    found = store.client.search_logged_models([store.experiment_id], f"source_run_id = '{run_id}'")
    fitting = [model for model in found if name in {None, model.name}]
    if len(fitting) != 1:
        names = ", ".join(sorted(model.name for model in found)) or "none"
        message = f"expected one model {name or ''!r} of the run {run_id}, there are {len(fitting)}; it has {names}"
        raise BundleError(message)
    return _logged_source(store, fitting[0].model_id)


def _choices(store: Store, name: str) -> str:
    """What could have been meant."""
    versions = store.client.search_model_versions(f"name = '{name}'")
    if not versions:
        names = ", ".join(model.name for model in store.client.search_registered_models()) or "none"
        return f"no version of {name!r} is registered (registered models: {names}); train one first"
    aliases = ", ".join(sorted(store.client.get_registered_model(name).aliases)) or "none"
    return f"{name!r} has the aliases {aliases} and {len(versions)} versions, the latest is {versions[0].version}"
