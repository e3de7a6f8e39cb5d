"""Which formulation of an odd set finds planted baskets best? ``docs/decisions`` tells what came of it.

A simulated city is counted on its first eight weeks and judged, day by day, in its last one, where baskets of three to
six goods replace purchases. Every formulation sees the same counts and the same sets: what a user touched on the day
(the window), and that with the 28 days before (the horizon). A rank is the number of ordinary user-days of the same day
that are at least as odd: 0 is perfect.
"""

from __future__ import annotations

import json
from collections import defaultdict
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path
from typing import Any

import click
import numpy as np
from scipy.stats import spearmanr

from ..errors import ConfigError
from .city import PURCHASE, START, TASTES, Calendar, Floats, Ints, stream
from .oddness import REACHES, Counts, Sets, Touches, pair_worth, scores
from .scenarios import Scenarios
from .world import World, draw_world

__all__ = ["KINDS", "SIZES", "compare"]

KINDS = ("one day", "two weeks", "familiar pairs", "brand-new")
"""Goods of different tastes bought in a day, or gathered over two weeks; goods of the buyer's own taste any two of
which are bought together but never three; goods that nobody had touched before, which should not be odd as a set."""
SIZES = (3, 4, 5, 6)
_KEYS = [f"{kind}, {size}" for kind, size in product(KINDS, SIZES)]

_COUNTED, _JUDGED, _DAYS, _GATHERED, _TOP = 56, 70, 77, 13, 10
_PURPOSE = 99  # of the random stream


@dataclass(frozen=True)
class _Basket:
    """A planted set, who completes it and when."""

    kind: str
    user: int
    day: int
    items: tuple[int, ...]


def _touches(world: World, stray: float, rng: np.random.Generator) -> Touches:
    """Play the world; everyone goes without a third of their taste's goods, and a share of such goods goes astray."""
    parts = []
    for number, block in enumerate(world.blocks()):
        kept = block.item >= 0
        parts.append((block.user[kept], block.item[kept], np.full(kept.sum(), number), block.action[kept] == PURCHASE))
    user, item, day, bought = (np.concatenate(column) for column in zip(*parts, strict=True))
    city = world.habits.city
    taste, which = np.divmod(item, city.per_taste)
    which = np.where(which % 3 == user % 3, np.where(which > 0, which - 1, 1), which)
    taste = np.where(rng.random(len(item)) < stray, (taste + rng.integers(1, TASTES, len(item))) % TASTES, taste)
    return Touches(user, np.where(item < city.general, taste * city.per_taste + which, item), day, bought)


def _items(kind: str, size: int, taste: int, world: World, rng: np.random.Generator) -> Ints:
    """Choose what is in a basket; five and six goods of four tastes are two of some."""
    city, place = world.habits.city, np.arange(size)
    if kind == "brand-new":
        return city.items + place
    if kind == "familiar pairs":
        return taste * city.per_taste + place % 3 + 3 * rng.permutation(city.per_taste // 3)[place // 3]
    return rng.permutation(TASTES)[place % TASTES] * city.per_taste + rng.permutation(city.per_taste)[place]


def _room(kind: str, size: int, rows: Ints, ago: Ints, rng: np.random.Generator) -> Ints | None:
    """Choose which purchases of a user, made ``ago`` days before, a basket replaces; none if there are too few."""
    today, earlier = rows[ago == 0], (ago > 0) & (ago <= _GATHERED)
    if kind != "two weeks":
        return rng.choice(today, size, replace=False) if len(today) >= size else None
    if not len(today) or earlier.sum() < size - 1 or np.ptp(ago[earlier]) == 0:
        return None
    spread = np.linspace(0, earlier.sum() - 1, size - 1).astype(np.int64)
    return np.append(rows[earlier][spread], rng.choice(today))


def _plant(log: Touches, world: World, each: int, rng: np.random.Generator) -> tuple[Touches, list[_Basket]]:
    """Replace purchases of ordinary users, without a taste unless pairs are to be familiar, by baskets; one a user."""
    rows = np.flatnonzero(log.bought & (log.day >= _COUNTED))
    rows = rows[np.argsort(log.user[rows], kind="stable")]
    bounds = np.searchsorted(log.user[rows], np.arange(world.habits.rhythm.users + 1))
    late = rows[(log.day[rows] >= _JUDGED) & world.habits.rhythm.ordinary[log.user[rows]]]
    days = rng.permutation(np.unique(log.user[late] * _DAYS + log.day[late]))
    item, baskets, taken = log.item.copy(), list[_Basket](), set[int]()
    # The largest first: they find room in the fewest places.
    for size, kind in product(sorted(SIZES, reverse=True), KINDS):
        wanted = each
        for user, day in zip(*(part.tolist() for part in np.divmod(days, _DAYS)), strict=True):
            taste, mine = int(world.habits.tastes.taste[user]), rows[bounds[user] : bounds[user + 1]]
            if not wanted or user in taken or (taste >= 0) != (kind == "familiar pairs"):
                continue
            if (room := _room(kind, size, mine, day - log.day[mine], rng)) is not None:
                item[room] = _items(kind, size, taste, world, rng)
                baskets.append(_Basket(kind, user, day, tuple(item[room].tolist())))
                taken.add(user)
                wanted -= 1
        if wanted:
            message = f"expected room for {each} baskets ({kind}, {size} items), lacked {wanted}: raise events or users"
            raise ConfigError(message)
    return replace(log, item=item), baskets


def compare(*, events: int, users: int, each: int, seed: int, stray: float) -> dict[str, Any]:
    """Plant baskets in one city and rank them by every formulation.

    Parameters
    ----------
    events, users
        Size of the log of 77 days.
    each
        Baskets of each size of each kind.
    seed
        Seed of the city and of the baskets.
    stray
        Share of goods of a taste that are bought against it: 0 keeps pairs across tastes at none.

    Returns
    -------
    dict
        Row counts; for each formulation and reach the ranks, lists of integers by kind and size (``"one day, 4"``), and
        the rank correlation of score and size among ordinary rows, day by day.

    Raises
    ------
    ConfigError
        If the log is too small for so many baskets.

    Examples
    --------
    >>> found = compare(events=90_000, users=1_500, each=1, seed=1, stray=0.0)
    >>> found["ranks"]["six oddest pairs"]["window"]["one day, 4"]
    [0]
    """
    rng = stream(seed, _PURPOSE)
    calendar, stories = Calendar(START, _DAYS), Scenarios(0, 0, 0, 0, 0, 0)
    world = draw_world(events=events, users=users, calendar=calendar, seed=seed, stories=stories)
    log, baskets = _plant(_touches(world, stray, rng), world, each, rng)
    counts = Counts.of(log, world.habits.city.items, new=max(SIZES), until=_COUNTED)
    worth, planted = pair_worth(counts), [basket.user for basket in baskets]
    ranks: dict[str, Any] = defaultdict(lambda: {reach: defaultdict(list) for reach in REACHES})
    growth: dict[str, Any] = defaultdict(lambda: {reach: [] for reach in REACHES})
    rows = 0
    for day, reach in product(range(_JUDGED, _DAYS), REACHES):
        sets = Sets.of(log, counts, day)[reach]
        ordinary, size = ~np.isin(sets.user, planted), np.bincount(sets.row, minlength=len(sets.user))
        rows += int(ordinary.sum()) if reach == "window" else 0
        for name, score in scores(sets, counts, worth, ordinary).items():
            usual = np.sort(score[ordinary])
            growth[name][reach].append(_growth(score[ordinary], size[ordinary]))
            for basket in (one for one in baskets if one.day == day):
                own = score[np.searchsorted(sets.user, basket.user)]
                rank = len(usual) - int(np.searchsorted(usual, own))
                ranks[name][reach][f"{basket.kind}, {len(basket.items)}"].append(rank)
    return {"touches": len(log.user), "rows": rows, "ranks": ranks, "growth": growth}


def _growth(score: Floats, size: Ints) -> float:
    return float(spearmanr(score, size).statistic) if np.ptp(score) > 0 and np.ptp(size) > 0 else 0.0


def _told(ranks: list[int]) -> dict[str, float]:
    in_top = np.mean(np.array(ranks) < _TOP)
    return {"planted": len(ranks), "median": float(np.median(ranks)), "worst": max(ranks), "in_top_10": float(in_top)}


def _pooled(cities: list[dict[str, Any]]) -> dict[str, Any]:
    """Figures over the cities of all seeds: of each formulation and reach, by kind of basket, and by kind and size."""
    found: dict[str, Any] = {}
    for name, reach in product(cities[0]["ranks"], REACHES):
        by_size = {key: [rank for city in cities for rank in city["ranks"][name][reach][key]] for key in _KEYS}
        by_kind = {kind: sum((by_size[f"{kind}, {size}"] for size in SIZES), list[int]()) for kind in KINDS}
        growth = float(np.mean([city["growth"][name][reach] for city in cities]))
        told = {key: _told(ranks) for key, ranks in {**by_kind, **by_size}.items()}
        found.setdefault(name, {})[reach] = {"growth": growth, "baskets": told}
    return {"touches": [city["touches"] for city in cities], "rows": [city["rows"] for city in cities], "found": found}


def _print(stray: str, pooled: dict[str, Any]) -> None:
    from rich.console import Console
    from rich.table import Table

    for reach in REACHES:
        title = f"{reach}, {stray} astray, {sum(pooled['rows']):,} rows: median rank / worst / in the top {_TOP}"
        table = Table("", *KINDS, "growth with size", title=title)
        for name, found in pooled["found"].items():
            told = (found[reach]["baskets"][kind] for kind in KINDS)
            cells = (f"{one['median']:,.0f} / {one['worst']:,} / {one['in_top_10']:.0%}" for one in told)
            table.add_row(name, *cells, f"{found[reach]['growth']:.2f}")
        Console(width=150).print(table)


@click.command()
@click.option("--events", default=2_000_000, show_default=True, type=click.IntRange(20_000), help="Size of a log.")
@click.option("--users", default=20_000, show_default=True, type=click.IntRange(100), help="Its users.")
@click.option("--each", default=20, show_default=True, type=click.IntRange(1), help="Baskets of each kind and size.")
@click.option("--seeds", default=3, show_default=True, type=click.IntRange(1), help="Seeds 0 to N - 1.")
@click.option("--stray", "strays", multiple=True, default=(0.0, 0.03), show_default=True, type=click.FloatRange(0, 1),
              help="Share of signature goods bought against taste; may be repeated.")  # fmt: skip
@click.option("--json", "json_path", type=click.Path(path_type=Path), help="Write the figures to this file.")
def main(  # noqa: PLR0913 - a command has as many parameters as options
    *, events: int, users: int, each: int, seeds: int, strays: tuple[float, ...], json_path: Path | None
) -> None:
    """Rank planted baskets by every formulation of an odd set."""
    size = {"events": events, "users": users, "each": each}
    results = {
        f"{stray:g}": _pooled([compare(**size, seed=seed, stray=stray) for seed in range(seeds)]) for stray in strays
    }
    for stray, pooled in results.items():
        _print(stray, pooled)
    if json_path is not None:
        told = {**size, "seeds": seeds, "stray": results}
        json_path.write_text(json.dumps(told, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
