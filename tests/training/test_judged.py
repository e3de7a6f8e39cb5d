"""The windows a candidate was judged on: written beside its run, read back for comparisons."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from toys import vectors_of

from peculiar.errors import BundleError
from peculiar.training.judged import SCHEMA, Judgement, about_judged, judged_table, read_judged, write_judged
from peculiar.training.registry import by_alias

ABOUT = {"budget": 10, "zone": "UTC", "data": "cafe", "plan": "f00d"}


def test_a_training_leaves_what_it_was_judged_on(trained):
    """Each version's table has the test windows in order, with the scores, p-values and truth of its candidate."""
    material = trained.result.material
    for candidate, version in zip(trained.result.candidates, trained.result.versions, strict=True):
        table = read_judged(trained.store, version)
        assert table.schema.names == SCHEMA.names
        assert table.schema.types == SCHEMA.types
        assert table["entity"].to_pylist() == material.test.entity.to_pylist()
        assert table["as_of"].cast(pa.int64()).to_pylist() == material.test.as_of.tolist()
        assert table["score"].to_numpy().tobytes() == candidate.score.tobytes()
        assert table["p_value"].to_numpy().tobytes() == candidate.judged.p_value.tobytes()
        assert table["confirmed"].to_pylist() == material.test_truth.tolist()
        assert table["value"].to_numpy().tobytes() == material.asides.value.tobytes()
        about = about_judged(table)
        assert (about["budget"], about["zone"], about["plan"]) == (10, "UTC", material.plan.fingerprint)
        assert len(about["data"]) == 32


def test_what_is_not_known_is_null(tmp_path):
    """Without labels, calibration and measures those columns are null, and nobody is cleared."""
    vectors = vectors_of(np.zeros((3, 2)))
    table = judged_table(vectors, np.arange(3), Judgement(np.arange(3.0)), ABOUT)
    write_judged(tmp_path / "judged.parquet", table)
    back = pq.read_table(tmp_path / "judged.parquet")
    assert back.schema.names == SCHEMA.names
    assert [back[name].null_count for name in ("p_value", "confirmed", "cleared", "value")] == [3, 3, 0, 3]
    assert back["day"].to_pylist() == [0, 1, 2]
    assert about_judged(back) == {"format": 1, **ABOUT}


def test_a_version_without_the_table_is_told(trained):
    """A version that was registered by other means says what to do instead."""
    study = replace(by_alias(trained.store, "champion"), run_id=trained.result.run_id)
    with pytest.raises(
        BundleError, match=r"has no judged\.parquet that can be read .* score the same events with both"
    ):
        read_judged(trained.store, study)


@pytest.mark.parametrize(("metadata", "message"), [
    (None, "expected a table of judged windows"),
    ({"peculiar.judged": '{"format": 2}'}, "expected judged windows of format 1, got 2"),
])  # fmt: skip
def test_another_table_is_refused(metadata, message, tmp_path):
    """What is no table of judged windows, or one of a later format, is neither read nor written."""
    table = pa.table({"score": [1.0]}).replace_schema_metadata(metadata)
    with pytest.raises(BundleError, match=message):
        write_judged(tmp_path / "judged.parquet", table)
    assert not list(tmp_path.iterdir())
