"""The challenger in the champion's shadow: it scores the same windows, alerts nobody, and the difference is told.

Which windows a challenger would put before reviewers, and which it would spare them, is known before it is promoted.
Two models of one training share plan and population; then the vectors are those of the champion, and all that is added
is the time that the challenger takes to score them.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import pyarrow as pa

from ..errors import PeculiarError
from ..features.exchange import TROUBLE
from ..training.asides import days_of
from ..training.references import load
from ..training.registry import by_alias
from .alerts import Scored, raise_alerts
from .calibrated import p_values_of
from .scoring import ranks_of
from .traces import model_name

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from ..features.vectors import Vectors
    from ..training.model import Model
    from ..training.references import LoadedModel
    from ..training.store import Store
    from .alerts import AlertRules
    from .scoring import ScoredBatch

__all__ = ["Companion", "Shadow", "challenger_of", "difference_of", "shadow_of"]

_LEVEL = 0.01
_COLUMNS = ("score", "rank", "alert")
_UNLIKE = "no shadow: {name} reads other columns or cuts other windows than the champion"


@dataclass(frozen=True, eq=False)
class Shadow:
    """What a challenger makes of n windows that the champion scored.

    Attributes
    ----------
    model : str
        Name and version of the challenger.
    score : float64 array of shape (n,)
    rank : int64 array of shape (n,)
        1 is the highest score of the day.
    alert : bool array of shape (n,)
        Which windows would be alerts by rank under the same rules.
    p_value : float64 array of shape (n,), or None
    """

    model: str
    score: NDArray[np.float64]
    rank: NDArray[np.int64]
    alert: NDArray[np.bool_]
    p_value: NDArray[np.float64] | None

    def columns(self) -> dict[str, pa.Array]:
        """Columns ``challenger`` (its name), ``challenger_score``, ``challenger_rank`` and ``challenger_alert``."""
        return {
            "challenger": pa.array([self.model] * len(self.score), pa.string()),
            "challenger_score": pa.array(self.score),
            "challenger_rank": pa.array(self.rank),
            "challenger_alert": pa.array(self.alert),
        }

    def beside(self, table: pa.Table) -> pa.Table:
        """The keys of the champion's table with the challenger's columns: what is written beside the scores."""
        made = table.select(table.column_names[: table.column_names.index("score")])
        for name, column in self.columns().items():
            made = made.append_column(name, column)
        return made

    def difference(self, table: pa.Table) -> dict[str, float]:
        """How the two differ, for MLflow.

        Parameters
        ----------
        table : pyarrow.Table, n rows
            The champion's scores.

        Returns
        -------
        dict of str to float
            ``shadow/rank_correlation`` (Spearman's, of the scores), ``shadow/alerts_in_common`` (of all that either
            would alert; 1 if neither alerts anything), ``shadow/alerts_only_champion``,
            ``shadow/alerts_only_challenger``, and ``shadow/p01_share`` where the challenger is calibrated.
        """
        from scipy.stats import spearmanr

        theirs = np.asarray(table["score"].to_numpy())
        alerted = np.asarray(table["alert"].to_numpy()) & (np.asarray(table["pick"].to_pylist()) == "rank")
        either = np.count_nonzero(alerted | self.alert)
        both = np.count_nonzero(alerted & self.alert)
        told = {
            "shadow/alerts_in_common": both / either if either else 1.0,
            "shadow/alerts_only_champion": float(np.count_nonzero(alerted & ~self.alert)),
            "shadow/alerts_only_challenger": float(np.count_nonzero(self.alert & ~alerted)),
        }
        if len(theirs) > 1 and np.ptp(theirs) > 0 and np.ptp(self.score) > 0:
            told["shadow/rank_correlation"] = float(spearmanr(theirs, self.score).statistic)
        if self.p_value is not None and len(self.p_value):
            told["shadow/p01_share"] = float(np.mean(self.p_value <= _LEVEL))
        return told


@dataclass(frozen=True, eq=False)
class Companion:
    """The challenger that goes along with a scoring run, or why none does.

    Attributes
    ----------
    challenger : LoadedModel or None
    note : str
        Why there is a challenger and yet no shadow; empty where all is well or nobody challenges.
    """

    challenger: LoadedModel | None = None
    note: str = ""

    @classmethod
    def of(cls, store: Store, loaded: LoadedModel, *, wanted: bool = True) -> Self:
        """Find the challenger of the model that scores; one that cannot be read does not stop the champion.

        Parameters
        ----------
        store : Store
        loaded : LoadedModel
            What scores.
        wanted : bool
            Whether a shadow is asked for at all.
        """
        if not wanted:
            return cls()
        try:
            challenger = challenger_of(store, loaded)
        except PeculiarError as error:
            return cls(note=f"no shadow: the challenger cannot be read: {error}")
        if challenger is None or _alike(loaded.model, challenger.model):
            return cls(challenger)
        return cls(note=_UNLIKE.format(name=model_name(challenger)))

    @property
    def made_of(self) -> dict[str, Any]:
        """What a day's shadow is made of, for its commit; nothing where there is none."""
        if self.challenger is None:
            return {}
        source = self.challenger.source
        return {"challenger": {"name": model_name(self.challenger), "sha256": source.sha256}}

    @property
    def asked(self) -> dict[str, Any]:
        """What the record of use says of it."""
        return {} if self.challenger is None else {"challenger": model_name(self.challenger)}

    def shadow(self, champion: Model, batch: ScoredBatch, rules: AlertRules) -> Shadow | None:
        """The shadow of a batch that the champion scored; None if there is no challenger."""
        return None if self.challenger is None else shadow_of(champion, batch, self.challenger, rules=rules)[0]


def difference_of(parts: Sequence[tuple[Shadow | None, pa.Table]]) -> dict[str, float]:
    """How champion and challenger differ over all parts of a run, as :meth:`Shadow.difference`; empty without shadows.

    Parameters
    ----------
    parts : sequence of pair of Shadow or None, and pyarrow.Table
        The shadow of each part, and the champion's scores.
    """
    there = [(shadow, table.select(["score", "alert", "pick"])) for shadow, table in parts if shadow is not None]
    if not there:
        return {}
    shadows = [shadow for shadow, _ in there]
    score, rank, alert = (np.concatenate([getattr(each, name) for each in shadows]) for name in _COLUMNS)
    p = [each.p_value for each in shadows if each.p_value is not None]
    whole = Shadow(shadows[0].model, score, rank, alert, np.concatenate(p) if p else None)
    return whole.difference(pa.concat_tables([table for _, table in there]))


def challenger_of(store: Store, loaded: LoadedModel) -> LoadedModel | None:
    """The challenger of the model that scores, if that is the champion and another version is its challenger.

    Raises
    ------
    BundleError
        If the challenger's files are not those that were registered.
    """
    version = loaded.source.version
    if version is None or by_alias(store, "champion", name=version.name) != version:
        return None
    other = by_alias(store, "challenger", name=version.name)
    return None if other is None or other.number == version.number else load(store, other.uri)


def shadow_of(
    champion: Model, batch: ScoredBatch, challenger: LoadedModel, *, rules: AlertRules
) -> tuple[Shadow | None, str]:
    """Score a batch once more with a challenger.

    Parameters
    ----------
    champion : Model
        What scored the batch.
    batch : ScoredBatch
    challenger : LoadedModel
    rules : AlertRules
        What made the champion's alerts; suppressions do not hold here, since some are about a model's reasons.

    Returns
    -------
    shadow : Shadow or None
        None if the two cut time or read columns in different ways, so that they have no windows in common.
    note : str
        Why there is none; empty if there is one.
    """
    name = model_name(challenger)
    model = challenger.model
    if not _alike(champion, model):
        return None, _UNLIKE.format(name=name)
    vectors = batch.vectors if _same_vectors(champion, model) else _rebuilt(model, batch)
    score = model.detector.score(vectors)
    p = p_values_of(model, vectors, batch.timeline, score)
    day = days_of(vectors, model.plan.windows, model.plan.roles.time_zone)
    scored = Scored(vectors, batch.timeline, score, p, day, ranks_of(day, score))
    plain = replace(rules, suppressions=None, fdr=rules.fdr if p is not None else None)
    alerts = raise_alerts(model, scored, rules=plain)
    return Shadow(name, score, scored.rank, alerts.picks.by_rank, p), ""


def _alike(one: Model, other: Model) -> bool:
    return (one.plan.roles, one.plan.windows) == (other.plan.roles, other.plan.windows)


def _same_vectors(one: Model, other: Model) -> bool:
    return one.plan_fingerprint == other.plan_fingerprint and _same(
        one.population.histograms, other.population.histograms
    )


def _same(ours: Mapping[str, NDArray[np.int64]], theirs: Mapping[str, NDArray[np.int64]]) -> bool:
    """Whether two populations saw the same: each feature's values are counted in its histogram."""
    return ours.keys() == theirs.keys() and all(np.array_equal(ours[name], theirs[name]) for name in ours)


def _rebuilt(model: Model, batch: ScoredBatch) -> Vectors:
    """The same windows as another plan or population sees them; only what labels say of the events is kept."""
    known = {name: note for name, note in batch.timeline.notes.items() if name == TROUBLE}
    vectors = model.vectors(replace(batch.timeline, notes=known))
    place = {key: row for row, key in enumerate(_keys(vectors))}
    return vectors.take(np.array([place[key] for key in _keys(batch.vectors)], np.intp))


def _keys(vectors: Vectors) -> list[tuple[int, int, int]]:
    """Whose window it is, and where its last event stood in the source."""
    last = np.zeros(len(vectors), np.int64) if vectors.last is None else vectors.last
    return list(zip(vectors.entity.indices.to_pylist(), vectors.as_of.tolist(), last.tolist(), strict=True))
