"""A web shop's log, simulated: visits of a few pages each, from a user's own devices and addresses.

Small and plain. It holds what such logs hold: a page, an action, an address, a device, a country, where the visitor
came from, how much was sent and how long it took, and the session; with nulls where such logs have them.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import pyarrow as pa

START = datetime(2025, 3, 3, tzinfo=UTC)
ACTIONS = ("view", "view", "view", "view", "search", "click", "click", "add_to_cart", "purchase", "login")
PAGES = ("/", "/search", "/cart", "/help", *(f"/item/{n}" for n in range(60)))
REFERRERS = (None, None, "search engine", "newsletter", "social", "partner")
COUNTRIES = ("DE", "DE", "DE", "AT", "CH", "FR")
AGENTS = ("Firefox", "Chrome", "Safari", "Edge", "App")


def web_log(users: int = 60, days: int = 35, seed: int = 0) -> pa.Table:
    """A log of about six events a visit and a visit every other day for each user, in the order of time."""
    rng = np.random.default_rng(seed)
    rows = [row for user in range(users) for row in _visits(user, days, rng)]
    rows.sort(key=lambda row: (row["ts"], row["user_id"]))
    numbered = [{"event_id": f"w{number:06d}", **row} for number, row in enumerate(rows)]
    return pa.Table.from_pylist(numbered)


def _visits(user: int, days: int, rng: np.random.Generator) -> list[dict]:
    """All events of one user, who has a time of day, a country, two addresses and an agent or two of their own."""
    hour, own = rng.normal(15.0, 4.0), {"country": rng.choice(COUNTRIES), "agents": rng.choice(AGENTS, 2)}
    addresses = [f"10.0.{user}.1", f"10.1.{user // 4}.1"]  # at home, and at an office of four
    rows: list[dict] = []
    for day in np.flatnonzero(rng.random(days) < 0.5):
        begin = START + timedelta(days=int(day), hours=float(np.clip(rng.normal(hour, 1.5), 0.0, 23.0)))
        visit = {
            "user_id": f"u{user:04d}",
            "ip": addresses[int(rng.random() < 0.4)],
            "user_agent": str(own["agents"][int(rng.random() < 0.2)]),
            "country": str(own["country"]) if rng.random() < 0.95 else None,
            "referrer": REFERRERS[int(rng.integers(len(REFERRERS)))],
            "session_id": f"s{user}-{day}",
        }
        rows += _pages(visit, begin, rng)
    return rows


def _pages(visit: dict, begin: datetime, rng: np.random.Generator) -> list[dict]:
    """The events of one visit: half a minute on each page, give or take, and popular items more often than others."""
    size = 1 + int(rng.poisson(5.0))
    times = begin + np.cumsum(rng.exponential(30.0, size)) * timedelta(seconds=1)
    pages = np.minimum(rng.zipf(1.4, size), len(PAGES)) - 1
    return [
        {
            **visit,
            "ts": at,
            "action": ACTIONS[int(rng.integers(len(ACTIONS)))],
            "page": PAGES[int(page)],
            "bytes": int(rng.lognormal(9.0, 1.0)),
            "duration": float(rng.exponential(20.0)) if rng.random() < 0.9 else None,
        }
        for at, page in zip(times, pages, strict=True)
    ]
