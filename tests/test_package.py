"""What the package promises before any of its code runs: its version, its parts, its locks, its examples."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tomllib
from importlib.metadata import version
from pathlib import Path

import pytest
from packaging.requirements import Requirement

import peculiar

ROOT = Path(__file__).resolve().parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
PACKAGES = PROJECT["tool"]["setuptools"]["packages"]
NOT_THE_PACKAGE = {"tests", "docs", "build", "dist"}
HEAVY = {
    "duckdb", "lightgbm", "matplotlib", "mlflow", "numba", "optuna", "pandas", "polars", "pyarrow", "pyspark", "sklearn"
}  # fmt: skip


def folder_of(package: str) -> Path:
    """Folder of a package, by the layout: the root is `peculiar`."""
    return ROOT.joinpath(*package.split(".")[1:])


def pins(lock: str) -> dict[str, str]:
    """Name and version of everything that a lock file names."""
    text = (ROOT / "requirements" / lock).read_text(encoding="utf-8")
    return dict(re.findall(r"^([a-z0-9._-]+)==(\S+)", text, flags=re.MULTILINE))


def python(*arguments: str, cwd: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run this Python in a folder of its own and capture what it says."""
    command = [sys.executable, *arguments]
    return subprocess.run(
        command, check=False, cwd=cwd, env=os.environ | environment, capture_output=True, text=True, timeout=240
    )


def test_the_version_has_one_source():
    """What is installed carries the version that the package itself states."""
    assert version("peculiar") == peculiar.__version__


def test_every_package_on_disk_is_shipped():
    """A folder with an `__init__.py` that pyproject.toml does not list would be missing from the wheel."""
    inits = [path.relative_to(ROOT) for path in ROOT.glob("[!.]*/**/__init__.py")]
    on_disk = {".".join(("peculiar", *path.parent.parts)) for path in inits if path.parts[0] not in NOT_THE_PACKAGE}
    assert on_disk | {"peculiar"} == set(PACKAGES)


def test_types_are_announced():
    """Type checkers read our annotations only where a py.typed marker lies beside the code."""
    assert (Path(peculiar.__file__).parent / "py.typed").is_file()


@pytest.mark.parametrize("module", ["peculiar", "peculiar.cli"])
def test_starting_up_imports_nothing_heavy(module, tmp_path):
    """The command line answers at once because heavy libraries wait for the verb that needs them."""
    done = python("-c", f"import sys, {module}; print(*sys.modules, sep='\\n')", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert HEAVY & set(done.stdout.split()) == set()


@pytest.mark.parametrize("lock", ["run.txt", "dev.txt"])
def test_a_lock_pins_every_dependency_within_its_bounds(lock):
    """What pyproject.toml asks for stands in the lock, at a version that pyproject.toml allows."""
    pinned = pins(lock) | (pins("spark.txt") if lock == "dev.txt" else {})  # PySpark has a lock to itself
    asked = [Requirement(line) for line in PROJECT["project"]["dependencies"]]
    if lock == "dev.txt":
        extras = PROJECT["project"]["optional-dependencies"]
        lines = [line for extra in ("postgresql", "spark", "test", "docs", "dev") for line in extras[extra]]
        asked += [requirement for requirement in map(Requirement, lines) if requirement.name != "peculiar"]
    outside = {
        str(need): pinned.get(need.name) for need in asked if not need.specifier.contains(pinned.get(need.name, "0"))
    }
    assert outside == {}, "run `make lock`"


def test_both_locks_agree():
    """What is tested is what a user gets: a run-time package has the same version in both locks."""
    run, dev = pins("run.txt"), pins("dev.txt")
    assert len(run) > 20
    assert run.items() <= dev.items()


@pytest.mark.parametrize("lock", ["run.txt", "dev.txt", "spark.txt"])
def test_a_lock_holds_pins_hashes_and_nothing_else(lock):
    """A lock names no host and no option: where packages come from is each machine's own affair."""
    lines = (ROOT / "requirements" / lock).read_text(encoding="utf-8").splitlines()
    allowed = re.compile(r"[a-z0-9._-]+==\S+( ; .+)? \\|    --hash=sha256:[0-9a-f]{64}( \\)?|\s*#.*")
    assert [line for line in lines if not allowed.fullmatch(line)] == []


@pytest.mark.long
def test_the_doctest_run_finds_every_module_with_an_example(tmp_path):
    """`pytest --doctest-modules --pyargs peculiar` on an installed copy collects the examples, not nothing.

    Where collection quietly finds no module, every example in the documentation could be wrong.
    """
    for package in PACKAGES:
        target = tmp_path.joinpath(*package.split("."))
        target.mkdir()
        for module in folder_of(package).glob("*.py"):
            shutil.copy(module, target)
    options = ["--collect-only", "-q", "--doctest-modules", "--pyargs", "peculiar", "-p", "no:cacheprovider"]
    config = ["-c", str(ROOT / "pyproject.toml"), "--rootdir", str(tmp_path)]
    done = python("-m", "pytest", *config, *options, cwd=tmp_path, PYTHONPATH=str(tmp_path))
    with_examples = {
        str(path.relative_to(tmp_path))
        for path in tmp_path.rglob("*.py")
        if re.search(r"^\s*>>> ", path.read_text(encoding="utf-8"), flags=re.MULTILINE)
    }
    assert with_examples, done.stdout
    assert {line.partition("::")[0] for line in done.stdout.splitlines() if "::" in line} == with_examples, done.stdout
