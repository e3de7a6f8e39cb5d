"""Windows that two made-up models were judged on, for tests of comparing and promoting."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from peculiar.features.vectors import Vectors
from peculiar.training.judged import Judgement, judged_table

DAY = 86_400_000_000
FIRST = 20_000  # days since 1970


def judged(
    sight=2.0,
    *,
    seed=0,
    entities=300,
    days=14,
    first=FIRST,
    budget=5,
    labels=True,
    p="fair",
    value=False,
    share=0.02,
):
    """A table of windows; `sight` is how much higher trouble scores, the noise is that of the seed in every table."""
    rng = np.random.default_rng(seed)
    rows = entities * days
    names = pa.array([f"u{number:04d}" for number in range(entities)])
    code, day = np.repeat(np.arange(entities), days), first + np.tile(np.arange(days), entities)
    y = rng.random(rows) < share
    noise, worth = rng.normal(size=rows), rng.gamma(2.0, 50.0, rows)
    score = noise + sight * y
    fair = (1 + rows - np.searchsorted(np.sort(noise), score, side="left")) / (rows + 1)
    p_value = {"fair": fair, "off": fair**2, "none": None}[p]
    entity = pa.DictionaryArray.from_arrays(pa.array(code, pa.int32()), names)
    nothing = np.empty((0, rows), np.float32)
    vectors = Vectors(entity, day * DAY, (day + 1) * DAY, nothing, (), "plan")
    known = {"confirmed": y, "cleared": ~y & (rng.random(rows) < 0.01)} if labels else {}
    told = Judgement(score, p_value=p_value, value=worth if value else None, **known)
    return judged_table(vectors, day, told, {"budget": budget, "zone": "UTC", "data": "cafe", "plan": "plan"})
