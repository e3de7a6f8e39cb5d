"""Windows that budgets are played through on: what each kind of table says of them."""

from __future__ import annotations

from datetime import UTC, datetime

import numpy as np
import pyarrow as pa
import pytest

from peculiar.errors import BundleError, SchemaError
from peculiar.features.vectors import Vectors
from peculiar.serving.played import Played
from peculiar.training.judged import Judgement, judged_table
from peculiar.training.labels import read_labels

DAY = 86_400_000_000
BEGIN = datetime(2025, 3, 3, tzinfo=UTC)
START = int(BEGIN.timestamp() * 1e6)


def scores(*, suppressed: bool = False) -> pa.Table:
    """Three windows of a day: ann an alert by rank, bob one at random, cyd none."""
    end = pa.array([START + DAY] * 3).cast(pa.timestamp("us", tz="UTC"))
    more = {"suppressed": pa.array(["1: known", None, None])} if suppressed else {}
    return pa.table({
        "entity": ["ann", "bob", "cyd"],
        "since": pa.array([START] * 3).cast(pa.timestamp("us", tz="UTC")),
        "as_of": end,
        "score": [3.0, 1.0, 2.0],
        "p_value": [0.01, 0.5, 0.2],
        "chance": [1.0, 0.25, None],
        **more,
    })  # fmt: skip


def said(*rows: tuple[str, str]):
    """Verdicts, with the chance of a random pick for bob."""
    return read_labels(pa.table({
        "entity": [who for who, _ in rows],
        "verdict": [word for _, word in rows],
        "from": ["2025-03-03"] * len(rows),
        "to": ["2025-03-04"] * len(rows),
    }))  # fmt: skip


def test_verdicts_weigh_one_over_the_chance_that_anybody_looked():
    """Reviewed windows are known, a random pick for all it stands for; nobody looked at cyd."""
    rows = Played.scored(scores(), said(("ann", "cleared"), ("bob", "confirmed")), zone="UTC")
    assert rows.confirmed.tolist() == [False, True, False]
    assert rows.weight.tolist() == [1.0, 4.0, 0.0]
    assert not rows.hidden.any()
    assert rows.day.tolist() == [START // DAY] * 3
    assert (rows.score.tolist(), rows.p_value.tolist()) == ([3.0, 1.0, 2.0], [0.01, 0.5, 0.2])


def test_labels_of_all_trouble_make_the_rest_harmless():
    """Whoever they do not confirm is known, too."""
    rows = Played.scored(scores(), said(("cyd", "confirmed")), zone="UTC", whole=True)
    assert rows.confirmed.tolist() == [False, False, True]
    assert rows.weight.tolist() == [1.0] * 3


def test_without_labels_nothing_is_known():
    """Budgets can be played all the same."""
    rows = Played.scored(scores(), None, zone="UTC")
    assert not rows.weight.any()
    assert not rows.confirmed.any()


def test_a_day_is_one_of_the_zone():
    """A window that ends at 18:30 UTC is of the day that ends then in Kolkata."""
    table = scores()
    end = pa.array([START + 18 * 3_600_000_000 + 1_800_000_000] * 3).cast(pa.timestamp("us", tz="UTC"))
    table = table.set_column(2, "as_of", end)
    days = [Played.scored(table, None, zone=zone).day.tolist() for zone in ("Asia/Kolkata", "UTC")]
    assert days == [[START // DAY] * 3, [START // DAY] * 3]
    later = table.set_column(2, "as_of", pa.array([START + 19 * 3_600_000_000] * 3).cast(pa.timestamp("us", tz="UTC")))
    assert Played.scored(later, None, zone="Asia/Kolkata").day.tolist() == [START // DAY + 1] * 3


def test_what_was_suppressed_is_known_to_be():
    """The window stays as it was scored, with what is known of its trouble, and is marked."""
    rows = Played.scored(scores(suppressed=True), said(("ann", "confirmed")), zone="UTC")
    assert rows.hidden.tolist() == [True, False, False]
    assert (rows.score.tolist(), rows.p_value.tolist()) == ([3.0, 1.0, 2.0], [0.01, 0.5, 0.2])
    assert (rows.confirmed.tolist(), rows.weight.tolist()) == ([True, False, False], [1.0, 0.0, 0.0])


def test_scores_without_p_values_have_none():
    """Also where only some lack one, as after a change of the model."""
    table = scores().set_column(4, "p_value", pa.array([0.1, None, 0.2]))
    assert Played.scored(table, None, zone="UTC").p_value is None


@pytest.mark.parametrize("labels", [True, False])
def test_judged_windows_say_what_was_known(labels):
    """With labels all is known, without nothing."""
    entity = pa.array(["ann", "bob"]).dictionary_encode()
    vectors = Vectors(entity, np.full(2, START), np.full(2, START + DAY), np.empty((0, 2), np.float32), (), "plan")
    known = {"confirmed": np.array([True, False]), "cleared": np.array([False, False])} if labels else {}
    told = Judgement(np.array([2.0, 1.0]), **known)
    rows = Played.judged(judged_table(vectors, np.full(2, START // DAY), told, {"zone": "UTC"}))
    assert rows.entity.to_pylist() == ["ann", "bob"]
    assert rows.confirmed.tolist() == [labels, False]
    assert rows.weight.tolist() == [float(labels)] * 2
    assert rows.p_value is None


def test_what_is_no_such_table_is_refused():
    """The missing columns are named; a file of scores is not a table of judged windows."""
    with pytest.raises(SchemaError, match="expected scores as peculiar score writes them, found no chance, score;"):
        Played.scored(scores().drop_columns(["score", "chance"]), None, zone="UTC")
    with pytest.raises(BundleError, match="expected a table of judged windows"):
        Played.judged(scores())
