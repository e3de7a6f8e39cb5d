"""What every test may ask for, and how Hypothesis behaves here and in CI."""

from __future__ import annotations

import gc
import os
import shutil
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
from hypothesis import settings

ROOT = Path(__file__).resolve().parent.parent

# Before anything imports mlflow: it reads this once.
os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
os.environ.setdefault("DO_NOT_TRACK", "1")
for store in ("MLFLOW_TRACKING_URI", "MLFLOW_REGISTRY_URI"):  # tests have stores of their own
    os.environ.pop(store, None)

# No deadline: the first call of a kernel compiles it. In CI the examples are the same in every run, so that a red run
# means the change and not the dice; at a developer's desk they differ, which is how new counterexamples are found.
settings.register_profile("desk", deadline=None, print_blob=True)
settings.register_profile("ci", deadline=None, derandomize=True)
settings.load_profile("ci" if os.environ.get("CI") else "desk")


class LeftOut:
    """Says at the end which tests that have a target of their own were left out; pytest is silent where xdist runs."""

    TARGETS = ("long", "spark")

    def __init__(self) -> None:
        self.tests = dict.fromkeys(self.TARGETS, 0)

    def pytest_deselected(self, items) -> None:
        """Count where tests are collected: in each worker, all of them."""
        for mark in self.TARGETS:
            self.tests[mark] += sum(item.get_closest_marker(mark) is not None for item in items)

    def pytest_sessionfinish(self, session) -> None:
        """Hand the counts of a worker over to the process that reports."""
        if hasattr(session.config, "workeroutput"):
            session.config.workeroutput["left_out"] = self.tests

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node) -> None:
        """Take over the counts of a worker."""
        self.tests = getattr(node, "workeroutput", {}).get("left_out", self.tests)

    def pytest_terminal_summary(self, terminalreporter) -> None:
        """A line for each mark."""
        for mark, count in self.tests.items():
            if count:
                terminalreporter.line(f"LEFT OUT [{count}] {mark} tests: make test-{mark}")


def pytest_configure(config) -> None:
    """Count what is left out."""
    config.pluginmanager.register(LeftOut())


# Where nothing is compiled yet, two workers that begin alike would compile the same kernels side by side. So one goes
# through all families, and the other, meanwhile, through what needs none of them.
_FIRST = (
    "features/test_conformance.py",
    "serving/test_ui.py",
    "training/test_paired.py",
    "training/test_metrics.py",
    "training/test_comparison.py",
    "features/test_sql.py",
    "training/test_store.py",
    "test_config.py",
    "features/test_sources.py",
)


def pytest_collection_modifyitems(items) -> None:
    """Put some files first; the others stay in their order."""
    place = {ROOT / "tests" / name: number for number, name in enumerate(_FIRST)}
    items.sort(key=lambda item: place.get(item.path, len(place)))


def pytest_collection_finish() -> None:
    """Look no more for garbage among what the imports made: a tenth of the time of many small tests."""
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session")
def benchmark_data() -> Path:
    """Folder of third-party logs that stay outside the repository; tests that need them skip where it is absent."""
    folder = Path(os.environ.get("PECULIAR_DATA", ROOT.parent / "shared" / "data"))
    if not (folder / "fraud_handbook" / "events.parquet").is_file():
        pytest.skip(f"no benchmark data in {folder}: set PECULIAR_DATA to the folder that has fraud_handbook/")
    return folder


@pytest.fixture(scope="session")
def chromium() -> str:
    """Path of a Chromium to look at pages with; tests that need it skip where there is none."""
    path = shutil.which("chromium") or shutil.which("chromium-browser")
    if path is None:
        pytest.skip("no chromium on the PATH: install it to run the browser tests")
    return path


@pytest.fixture(scope="session")
def city():
    """A simulated city card: 42 days of 400 users, six of whom ride fifty buses in a day."""
    from peculiar.experiments.simulate import Scenarios, simulate

    return simulate(events=30_000, users=400, days=42, seed=0, stories=Scenarios(fifty_buses=6))


@pytest.fixture(scope="session")
def trained(city, tmp_path_factory):
    """The one training that many tests look at: ``log``, ``settings``, ``store`` and ``result``, with labels."""
    from peculiar.config import Config
    from peculiar.features.events import EventLog
    from peculiar.training.isolation_forest import IsolationForest
    from peculiar.training.store import open_store
    from peculiar.training.train import train

    log = EventLog.open(city.events)
    small = IsolationForest(trees=100, group_trees=15, samples=512)  # a third of the time of the defaults
    settings = Config().training_settings(log.roles.time_zone)
    settings = replace(settings, trials=2, budget=10, seed=0, chosen=(small,))
    store = open_store(tmp_path_factory.mktemp("trained"))
    result = train(log, city.labels, settings=settings, store=store)
    return SimpleNamespace(log=log, settings=settings, store=store, result=result)
