"""The folder that MLflow keeps."""

from __future__ import annotations

import sys

import pyarrow as pa
import pytest
import stand_in
import yaml
from mlflow.models import ModelSignature
from mlflow.types import DataType
from mlflow.types.schema import Array

from peculiar.features.events import EventLog
from peculiar.features.roles import Roles
from peculiar.training.packaging import SCORES, _kind, example_events, requirements, signature, write_bundle


def test_the_folder_holds_data_and_names_its_loader(tmp_path, monkeypatch):
    """Data, metadata and requirements, and no pickle, code or conda file."""
    for name, module in stand_in.modules().items():
        monkeypatch.setitem(sys.modules, name, module)
    from mlflow.models import Model

    sha256 = write_bundle(stand_in.StandIn(), tmp_path / "model", Model())
    there = [path for path in (tmp_path / "model").rglob("*") if path.is_file()]
    files = {path.relative_to(tmp_path / "model").as_posix() for path in there}
    assert files == {
        "MLmodel", "requirements.txt", "python_env.yaml", "input_example.json", "serving_input_example.json",
        "peculiar/model.json", "peculiar/manifest.json",
    }  # fmt: skip
    page = yaml.safe_load((tmp_path / "model" / "MLmodel").read_text())
    assert page["flavors"]["python_function"]["loader_module"] == "peculiar.serving.flavor"
    assert page["flavors"]["peculiar"]["sha256"] == sha256 == stand_in.StandIn().fingerprint
    assert "code" not in page["flavors"]["python_function"]


def test_requirements_name_this_package_and_bound_the_others():
    """Exactly this version, and every library within its major version."""
    lines = requirements()
    assert lines[0].startswith("peculiar==")
    assert all(">=" in line and ",<" in line for line in lines[1:])


def test_the_signature_types_what_comes_out_only():
    """No inputs, the columns of the scores with their types, and the settings, none of which is required."""
    made = signature()
    assert made.inputs is None
    assert made.outputs.input_names() == list(SCORES)
    kinds = dict(zip(made.outputs.input_names(), map(str, made.outputs.input_types()), strict=True))
    assert [kinds[name] for name in ("entity", "as_of", "score", "rank", "alert", "reasons")] == [
        "DataType.string", "DataType.datetime", "DataType.double", "DataType.long", "DataType.boolean", "Array(string)",
    ]  # fmt: skip
    assert [(param.name, param.default) for param in made.params.params] == [
        ("budget", None), ("explain", 3), ("fdr", None),
    ]  # fmt: skip
    assert ModelSignature.from_dict(made.to_dict()) == made


def test_nested_columns_have_a_type_of_their_own():
    """A list of structs, as evidence may be, is an array of objects to MLflow."""
    kind = _kind(pa.list_(pa.struct([("id", pa.string()), ("at", pa.timestamp("us", tz="UTC"))])))
    assert isinstance(kind, Array)
    assert {each.name: each.dtype for each in kind.dtype.properties} == {"id": DataType.string, "at": DataType.datetime}


@pytest.mark.parametrize("roles", [
    Roles("user", "at"),
    Roles("user", "at", "id", ("action", "shop"), "action", ("paid",), ("age",), "UTC", ("lat", "lon"), "branch"),
    Roles("user", "at", dimensions=("shop",), peer_by="shop"),
])  # fmt: skip
def test_the_example_has_every_column_that_a_role_names(roles):
    """And no other: an attribute kept for audits is not asked for. Its events are fit to be read."""
    made = example_events(roles)
    assert tuple(made) == roles.columns
    timeline, report, _ = EventLog.open(pa.table(made), roles).read()
    assert (len(timeline), report.rejected) == (3, {})
