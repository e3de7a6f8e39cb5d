"""Small leads for the tests of the dossier and the review page."""

from __future__ import annotations

import numpy as np

from peculiar.serving.history import History
from peculiar.serving.leads import EventTable, Lead, Standing
from peculiar.serving.reasons import Reason

DAY = 86_400_000_000
BEGIN = 20_150 * DAY  # 3 March 2025
FAMILIES = ("breadth", "velocity", "combination")


def lead_of(n: int, *, entity: str = "", events: int = 4, random: bool = False, reason: str = "") -> Lead:
    """The n-th lead: ten a day, the first of each day the oddest."""
    since = BEGIN + n // 10 * DAY
    family = FAMILIES[n % 3]
    texts = (reason or f"{n + 20} different vehicles; its own usual is 2", "40 events within one hour")
    found = tuple(
        Reason(
            family=family,
            feature=f"vehicle_distinct_{place}d",
            weight=1.0,
            text=text,
            seen=n + 20.0,
            usual=2.0,
            everyone=5.0,
            unit="values",
            events=tuple(range(events)),
        )
        for place, text in enumerate(texts)
    )
    values = np.where(np.arange(29) % 4 == 0, np.nan, 2.0)
    values[-1] = n + 20.0
    table = EventTable(
        at=since + np.arange(events) * 1_000_000 * 600,
        ids=tuple(f"e{n}-{each}" for each in range(events)),
        dimensions={
            "action": ("ride",) * events,
            "vehicle": tuple(f"v{(n * 7 + each) % 500:03d}" for each in range(events)),
        },
        measures={"amount": np.where(np.arange(events) % 2, 1234567.89, 2.4)},
        reasons=((0, 1),) * events,
        named=events,
        window=events + 3,
    )
    standing = Standing(
        9.0 - n / 1000, 0.0025, n % 10 + 1, 300, "random" if random else "rank", 0.01 if random else 1.0, 3.0
    )
    history = History("vehicle_distinct_1d", "different vehicles", "values", since // DAY - 28, values, (2.0, 2.0), 5.0)
    low = (False, False)
    return Lead(
        entity or f"u{n:07d}",
        since,
        since + DAY,
        "",
        standing,
        found,
        low,
        table,
        history,
        ("short history",),
        ("by chance",),
        values=(f"v{n * 7 % 500:03d} and {n + 19} more", ""),
    )
