"""The review page in MLflow: beside the scoring run that its scores are of, or in a run of its own.

The page is complete without it, so an error of MLflow's is told and takes nothing back. It names entities: who may open
the experiment may read it.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from ..training.tracking import RunRecord, running, write_record

if TYPE_CHECKING:
    from mlflow.entities import Run

    from ..training.store import Store
    from .review import Provenance, WrittenReview

__all__ = ["FOLDER", "Reviewed", "log_page", "scoring_run"]

FOLDER = "review"


@dataclass(frozen=True)
class Reviewed:
    """The scores behind a page, as far as a scoring run knows them.

    Attributes
    ----------
    made : Provenance
    rows, alerts : int
        Of all the scores, whichever of them are on the page.
    days : pair of int
        The first and the last day on the page, as days since 1970.
    digest : str
        Of the page's line in the record of use.
    """

    made: Provenance
    rows: int
    alerts: int
    days: tuple[int, int]
    digest: str


def log_page(store: Store, written: WrittenReview, scored: Reviewed) -> tuple[str, str]:
    """Log a page that is on disk.

    Returns
    -------
    run_id, error : str
        One of the two is empty.
    """
    from mlflow.exceptions import MlflowException

    tags = {"peculiar.review": scored.digest}
    try:
        run_id = scoring_run(store, scored)
        if run_id is None:
            return _of_its_own(store, written, scored, tags), ""
        store.client.log_artifact(run_id, str(written.output), FOLDER)
        for name, value in tags.items():
            store.client.set_tag(run_id, name, value)
    except (MlflowException, OSError) as error:
        return "", f"the page is complete, but MLflow has it not: {error}"
    return run_id, ""


def scoring_run(store: Store, scored: Reviewed) -> str | None:
    """The latest finished run that wrote these scores by this model; None if there is none."""
    query = f"attributes.status = 'FINISHED' AND tags.`peculiar.role` = 'score' AND {_same_model(scored)}"
    order = ["attributes.start_time DESC"]
    for run in store.client.search_runs([store.experiment_id], query, order_by=order, max_results=1000):
        if _wrote(run, scored):
            return str(run.info.run_id)
    return None


def _same_model(scored: Reviewed) -> str:
    return f"tags.`peculiar.sha256` = '{scored.made.sha256}'"


def _wrote(run: Run, scored: Reviewed) -> bool:
    """Whether a run's scores are these: by their place and number, or of a dataset by their days, too."""
    if _place(run.data.params.get("output", "")) != _place(scored.made.scores):
        return False
    if days := run.data.tags.get("peculiar.days"):
        first, last = (date(1970, 1, 1) + timedelta(days=day) for day in scored.days)
        begin, _, end = days.partition("/")
        return begin <= first.isoformat() and last.isoformat() <= end
    metrics = run.data.metrics
    return (metrics.get("score/rows"), metrics.get("score/alerts")) == (scored.rows, scored.alerts)


def _place(output: str) -> str:
    """An address as it is; a path of this machine from its root on."""
    return output if "://" in output else str(Path(output).resolve())


def _of_its_own(store: Store, written: WrittenReview, scored: Reviewed, tags: dict[str, str]) -> str:
    made = scored.made
    record = RunRecord(
        note=f"{written.alerts:,} alerts of {made.scores} to check, by {made.model}. The page names entities.",
        params={"model/version": made.model, "scores": made.scores},
        metrics={"review/alerts": float(written.alerts)},
        texts={f"{FOLDER}/{written.output.name}": written.output.read_text(encoding="utf-8")},
        tags=tags | {"peculiar.sha256": made.sha256},
    )
    with running(store, "review", name=f"review {written.output.name}") as run:
        write_record(run, record)
    return run.run_id
