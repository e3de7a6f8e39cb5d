"""Featuretools and tsfresh build what they say, in an environment of their own; without it the race says so."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest
from rival_logs import held, raced, written

from peculiar.errors import ConfigError
from peculiar.experiments.rivals.entrants import Course
from peculiar.experiments.rivals.foreign import python_of_rivals, run_foreign


@pytest.fixture
def course(tmp_path):
    """A random log with its plan, as the race lays it out; skips without the rivals' environment."""
    try:
        python_of_rivals()
    except ConfigError as error:
        pytest.skip(str(error))
    path = written(tmp_path, 5, 1500)
    _, recipe = raced(path, ("volume", "breadth", "timing"))
    (tmp_path / "plan.json").write_text(json.dumps({"roles": recipe.roles.to_dict()}))
    return Course(path, path, tmp_path)


def built(rival, course, folder) -> pd.DataFrame:
    """What the rival saved, times as ours."""
    run = run_foreign(rival, course, save=folder / "theirs.parquet")
    made = pd.read_parquet(folder / "theirs.parquet")
    assert run.rows == len(made)
    assert set(run.names) == set(made.columns) - {"entity", "as_of"}
    assert run.seconds > 0.0 < run.cpu_seconds
    return made.assign(as_of=made["as_of"].astype("datetime64[us]").astype("int64"))


def test_featuretools_builds_our_features(course, tmp_path):
    """Counts, distinct values over three windows and an amount's sum, mean and maximum are ours, all of them.

    Its sum over nothing is 0 where ours is null; that alone is set right before the comparison.
    """
    ours, _ = raced(course.log, ("volume", "breadth", "timing"))
    made = built("featuretools", course, tmp_path)
    for name in ("amount", "bytes"):
        made[f"{name}_sum_1d"] = made[f"{name}_sum_1d"].where(made[f"{name}_max_1d"].notna())
    held(made, ours, least=3 + 9 + 6)


def test_tsfresh_builds_our_features(course, tmp_path):
    """Of its minimal set the sum, mean and maximum of each measure are ours, with a null on days without a value."""
    ours, _ = raced(course.log, ("volume", "breadth", "timing"))
    made = built("tsfresh", course, tmp_path)
    shared = [f"{name}_{how}_1d" for name in ("amount", "bytes") for how in ("sum", "mean", "max")]
    held(made[["entity", "as_of", *shared]], ours, least=6)
    assert np.isfinite(made["amount__minimum"]).any()


def test_without_the_environment_the_error_says_what_to_do(monkeypatch, tmp_path):
    """A missing environment is an error that names the place looked at and the way out."""
    monkeypatch.setenv("PECULIAR_RIVALS", str(tmp_path / "none"))
    with pytest.raises(ConfigError, match=r"none.*make rivals"):
        python_of_rivals()


def test_a_rival_that_fails_is_told_with_its_own_words(course, tmp_path):
    """What the script ended with reaches the reader."""
    broken = Course(tmp_path / "absent.parquet", course.tiny, course.frozen)
    with pytest.raises(ConfigError, match=r"tsfresh.*absent"):
        run_foreign("tsfresh", broken)
