"""The folder that MLflow keeps."""

from __future__ import annotations

import sys

import stand_in
import yaml

from peculiar.training.packaging import requirements, signature, write_bundle


def test_the_folder_holds_data_and_names_its_loader(tmp_path, monkeypatch):
    """Data, metadata and requirements, and no pickle, code or conda file."""
    for name, module in stand_in.modules().items():
        monkeypatch.setitem(sys.modules, name, module)
    from mlflow.models import Model

    sha256 = write_bundle(stand_in.StandIn(), tmp_path / "model", Model())
    there = [path for path in (tmp_path / "model").rglob("*") if path.is_file()]
    files = {path.relative_to(tmp_path / "model").as_posix() for path in there}
    assert files == {"MLmodel", "requirements.txt", "python_env.yaml", "peculiar/model.json", "peculiar/manifest.json"}
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
    """No inputs, the columns of the scores, and the two settings."""
    made = signature()
    assert made.inputs is None
    names = ["entity", "since", "as_of", "score", "p_value", "rank", "alert", "pick", "chance", "family", "reasons"]
    assert made.outputs.input_names() == names
    assert [param.name for param in made.params.params] == ["budget", "explain"]
