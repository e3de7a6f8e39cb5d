"""Featuretools and tsfresh, in an environment of their own: this file is run as a script, and imports nothing of ours.

Featuretools works with pandas before 3, which our lock does not hold; so ``make rivals`` puts both into
``.venv-rivals``, and the race runs this file with that environment's Python. It takes one argument, a JSON object with
``rival``, ``log`` and ``tiny`` (Parquet files), the roles ``entity``, ``at``, ``id``, ``dimensions``, ``measures``,
``trailing`` (days) and perhaps ``save`` (a Parquet file for the values), and prints one with ``seconds``,
``cpu_seconds``, ``peak_rss_bytes``, ``rows`` and ``names``. Features that mean what one of ours means bear its name.

Both are given what suits them: Featuretools its compiled aggregations only (its entropy calls Python for each group),
once for each width of window; tsfresh its minimal set, which is vectorised, on the amounts of each user and day.
"""

from __future__ import annotations

import json
import logging
import resource
import sys
import time
import warnings
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    import pandas as pd

_WARM_ENTITIES = 20
_TSFRESH = {"sum_values": "sum", "mean": "mean", "maximum": "max"}


def main(request: dict[str, Any]) -> dict[str, Any]:
    """Build the rival's features of the log, after a first run on a small part of the tiny one."""
    build = _RIVALS[request["rival"]]
    tiny = _read(request["tiny"], request)
    build(tiny[tiny[request["entity"]].isin(tiny[request["entity"]].unique()[:_WARM_ENTITIES])], request)
    wall, cpu = time.perf_counter(), time.process_time()
    made = build(_read(request["log"], request), request)
    seconds, cpu_seconds = time.perf_counter() - wall, time.process_time() - cpu
    if "save" in request:
        made.to_parquet(request["save"], index=False)
    names = [name for name in made.columns if name not in {"entity", "as_of"}]
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    told = {"seconds": seconds, "cpu_seconds": cpu_seconds, "peak_rss_bytes": peak}
    return {**told, "rows": len(made), "names": names}


def _read(path: str, request: dict[str, Any]) -> pd.DataFrame:
    """The columns of the log; times without their zone, which neither rival bears."""
    import pandas as pd

    columns = [request["entity"], request["at"], request["id"], *request["dimensions"], *request["measures"]]
    frame = pd.read_parquet(path, columns=columns)
    return frame.assign(**{request["at"]: frame[request["at"]].dt.tz_localize(None)})


def _featuretools(events: pd.DataFrame, request: dict[str, Any]) -> pd.DataFrame:
    """A cutoff at the last microsecond of each user's day, and one synthesis for each width of window."""
    import featuretools
    import pandas as pd

    entity, at, dimensions = request["entity"], request["at"], request["dimensions"]
    log = featuretools.EntitySet("log")
    text = {entity: "Categorical"} | dict.fromkeys(dimensions, "Categorical")
    log.add_dataframe(events, "events", index=request["id"], time_index=at, logical_types=text)
    users = pd.DataFrame({entity: events[entity].unique()})
    log.add_dataframe(users, "users", index=entity, logical_types={entity: "Categorical"})
    log.add_relationship("users", entity, "events", entity)
    ends = events[at].dt.floor("D") + pd.Timedelta(days=1) - pd.Timedelta(1, "us")
    cutoffs = pd.DataFrame({entity: events[entity], "time": ends}).drop_duplicates().sort_values([entity, "time"])
    given = {"entityset": log, "target_dataframe_name": "users", "trans_primitives": [], "max_depth": 1, "n_jobs": 1}
    made = cutoffs.rename(columns={entity: "entity"}).assign(as_of=(cutoffs["time"] + pd.Timedelta(1, "us")))
    for days in (1, *request["trailing"]):
        how = ["count", "num_unique", *(["sum", "mean", "max"] if days == 1 else [])]
        found, _ = featuretools.dfs(
            **given, agg_primitives=how, cutoff_time=cutoffs, training_window=f"{days} days", cutoff_time_in_index=True
        )
        names = {_as_ours(name, days): found[name] for name in found.columns}
        made = made.merge(
            pd.DataFrame(names).rename_axis(index=["entity", "time"]).reset_index(), on=["entity", "time"]
        )
    return made.drop(columns="time")


def _as_ours(name: str, days: int) -> str:
    """``NUM_UNIQUE(events.item)`` over 7 days is our ``item_distinct_7d``."""
    how, _, what = name.removesuffix(")").partition("(")
    column = what.removeprefix("events.")
    word = {"COUNT": "count", "NUM_UNIQUE": "distinct"}.get(how, how.lower())
    return f"{column}_{word}_{days}d"


def _tsfresh(events: pd.DataFrame, request: dict[str, Any]) -> pd.DataFrame:
    """The minimal set on each measure of each user and day; days without a value have no row."""
    import pandas as pd
    from tsfresh import extract_features
    from tsfresh.feature_extraction import MinimalFCParameters

    day = events[request["at"]].dt.floor("D")
    chunk = events[request["entity"]].factorize()[0].astype("int64") * (1 << 20) + day.astype("int64") // _per_day(day)
    made = events[[request["entity"]]].rename(columns={request["entity"]: "entity"})
    made = made.assign(as_of=day + pd.Timedelta(days=1), chunk=chunk).drop_duplicates("chunk")
    for name in request["measures"]:
        series = pd.DataFrame({"chunk": chunk, "at": events[request["at"]], name: events[name]}).dropna()
        order = {"column_id": "chunk", "column_sort": "at", "column_value": name}
        quiet = {"n_jobs": 0, "disable_progressbar": True}
        found = extract_features(series, default_fc_parameters=MinimalFCParameters(), **order, **quiet)
        words = {f"{name}__{theirs}": f"{name}_{ours}_1d" for theirs, ours in _TSFRESH.items()}
        made = made.merge(found.rename(columns=words), left_on="chunk", right_index=True, how="left")
    return made.drop(columns="chunk")


def _per_day(moments: pd.Series) -> int:
    import pandas as pd

    return pd.Timedelta(days=1) // pd.Timedelta(1, moments.dt.unit)


_RIVALS: dict[str, Callable[[pd.DataFrame, dict[str, Any]], pd.DataFrame]] = {
    "featuretools": _featuretools,
    "tsfresh": _tsfresh,
}

if __name__ == "__main__":
    logging.disable(logging.WARNING)
    warnings.simplefilter("ignore")
    sys.stdout.write(json.dumps(main(json.loads(sys.argv[1]))))
