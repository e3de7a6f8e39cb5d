"""The review page: one HTML file with all alerts of a scored batch, for people to decide on, without any network.

The page holds its data as JSON and two inline blocks, one of style and one of script. Its content security policy names
both by their SHA-256 and allows nothing else, so that whatever an entity calls itself cannot run, load or send
anything. Verdicts stay in the browser until they are written to a file for ``peculiar feedback``.

A batch with random picks is shown blind: without scores, ranks and picks, in an order that tells nothing. A reviewer
who sees that a window was drawn at random does not look at it with the same eyes.
"""

from __future__ import annotations

import base64
import hashlib
import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ..audit import Use, record
from ..errors import BundleError, SchemaError
from ..features.describe import family_line
from ..features.events import EventLog
from ..features.output import beside
from ..features.sources import open_source
from ..training.asides import days_of
from ..training.references import load
from .alert_lists import line_of
from .examined import examine
from .leads import leads_of, noun_of
from .review_data import page_data
from .scoring import score_batch

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from ..training.model import Model
    from ..training.references import LoadedModel
    from ..training.store import Store
    from .leads import Lead
    from .scoring import ScoredBatch

__all__ = ["Provenance", "ReviewRequest", "WrittenReview", "leads_in", "review_page", "review_scores", "write_review"]

_HERE = Path(__file__).parent


@dataclass(frozen=True)
class Provenance:
    """Who made a page, and of what; shown at its foot.

    Attributes
    ----------
    model, sha256 : str
        Name and version of the model, the fingerprint of its files.
    data : str
        Fingerprint of the events.
    scores : str
        The file of scores, as ``peculiar feedback --scores`` asks for it.
    zone : str
        The zone of all times on the page.
    noun : str
        What windows are called: "days", "hours", "windows".
    notes : tuple of str
        What a reader should know of the data.
    """

    model: str
    sha256: str
    data: str
    scores: str
    zone: str = "UTC"
    noun: str = "days"
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class ReviewRequest:
    """Which scores to put on a page.

    Attributes
    ----------
    scores : Path
        What ``peculiar score`` wrote.
    events : object
        The log that was scored: a path, glob, frame, or anything that speaks Arrow.
    output : Path
        The HTML file to write.
    model_uri : str or None
        By default the version that the scores name.
    reasons : int
        Per alert.
    most_events : int
        Shown per alert.
    labels : object, optional
        Confirmed trouble, if the scores were made with it.
    blind : bool, optional
        Whether to leave out scores, ranks and picks; by default where there are random picks.
    """

    scores: Path
    events: object
    output: Path
    model_uri: str | None = None
    reasons: int = 3
    most_events: int = 50
    labels: object | None = None
    blind: bool | None = None


@dataclass(frozen=True)
class WrittenReview:
    """A page that is on disk."""

    output: Path
    alerts: int
    size: int
    blind: bool
    model: str
    notes: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """Plain data, for JSON."""
        return vars(self) | {"output": str(self.output)}


def leads_in(  # noqa: PLR0913 - as score_batch
    model: Model, batch: ScoredBatch, log: EventLog, *, reasons: int = 3, most_events: int = 50, blind: bool = False
) -> list[Lead]:
    """The alerts of a batch as leads, those of the latest day first, each day by rank.

    Parameters
    ----------
    model : Model
    batch : ScoredBatch
    log : EventLog
        The events that were scored.
    reasons, most_events : int
        At most so many per alert.
    blind : bool
        Leave out what would tell a random pick: whether it would be an alert without its evidence.
    """
    rows = np.flatnonzero(batch.table["alert"].to_numpy())
    rank, as_of = batch.table["rank"].to_numpy()[rows], batch.vectors.as_of[rows]
    rows = rows[np.lexsort((rank, -as_of))]
    found, changes = examine(model, batch, rows, most=reasons, tested=not blind)
    return leads_of(model, batch, log, rows, found, most_events=most_events, changes=changes)


def review_page(leads: Sequence[Lead], made: Provenance, *, blind: bool | None = None) -> str:
    """One HTML page with all leads.

    Parameters
    ----------
    leads : sequence of Lead
    made : Provenance
    blind : bool, optional
        Whether to leave out scores, ranks and picks; by default where there are random picks.

    Returns
    -------
    str
        HTML that needs no network and runs no script but its own.
    """
    import jinja2
    from markupsafe import Markup

    blind = any(lead.standing.pick == "random" for lead in leads) if blind is None else blind
    style, script = ((_HERE / name).read_text(encoding="utf-8") for name in ("review.css", "review.js"))
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_HERE), autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True
    )
    families = sorted({reason.family for lead in leads for reason in lead.reasons})
    data = page_data(leads, made.zone, made.noun, blind=blind)
    data |= {"families": {name: family_line(name) for name in families}, "key": _key(leads, made)}
    # The two blocks are ours, and the data has no sign that could end its block; all else Jinja escapes.
    return environment.get_template("review.html.jinja").render(
        made=made,
        alerts=len(leads),
        blind=blind,
        style=Markup(style),  # noqa: S704 - our own file
        script=Markup(script),  # noqa: S704 - our own file
        data=Markup(_harmless(data)),  # noqa: S704 - see _harmless, and its test
        hashes={"style": _hash(style), "script": _hash(script)},
    )


def write_review(leads: Sequence[Lead], made: Provenance, output: Path, *, blind: bool | None = None) -> WrittenReview:
    """Write the page, whole or not at all.

    Parameters
    ----------
    leads : sequence of Lead
    made : Provenance
    output : Path
    blind : bool, optional
        As :func:`review_page` has it.
    """
    blind = any(lead.standing.pick == "random" for lead in leads) if blind is None else blind
    page = review_page(leads, made, blind=blind).encode()
    output.parent.mkdir(parents=True, exist_ok=True)
    with beside(output) as unfinished:
        unfinished.write_bytes(page)
    return WrittenReview(output, len(leads), len(page), blind, made.model, made.notes)


def review_scores(
    request: ReviewRequest, store: Store, *, progress: Callable[[str, float], None] | None = None
) -> WrittenReview:
    """Put the alerts of a file of scores on a page, and the use on record.

    The scored days are scored again: a page that tells other reasons than those that raised the alert would be worse
    than none.

    Raises
    ------
    BundleError
        If there is no such model, or the scores do not name the one that made them.
    SchemaError
        If the file holds no scores, or the events are not those that were scored.
    """
    scores = _read_scores(request.scores)
    loaded = load(store, request.model_uri or _model_of(scores, request.scores))
    model = loaded.model
    log = EventLog.open(request.events, model.plan.roles)
    batch, notes = _again(model, log, scores, request, progress)
    version = loaded.source.version
    made = Provenance(
        model=f"{version.name}/{version.number}" if version else loaded.source.sha256[:12],
        sha256=loaded.source.sha256,
        data=batch.fingerprint,
        scores=str(request.scores),
        zone=model.plan.roles.time_zone,
        noun=noun_of(model),
        notes=(*batch.report.notes, *notes),
    )
    picks = scores["pick"].to_pylist()
    blind = "random" in picks if request.blind is None else request.blind
    leads = leads_in(model, batch, log, reasons=request.reasons, most_events=request.most_events, blind=blind)
    written = write_review(leads, made, request.output, blind=blind)
    _on_record(loaded, made, written, store)
    return written


def _read_scores(path: Path) -> pa.Table:
    source = open_source(str(path))
    names = source.schema().names
    missing = [name for name in ("entity", "since", "as_of", "score", "rank", "alert", "pick") if name not in names]
    if missing:
        message = f"{path}: expected a file that peculiar score wrote, it has no {', '.join(missing)}"
        raise SchemaError(message)
    table = source.read(names)
    if not table.num_rows:
        message = f"{path}: expected scores, found no row"
        raise SchemaError(message)
    return table


def _model_of(scores: pa.Table, path: Path) -> str:
    """The version that the scores name."""
    names = scores["model"].unique().to_pylist() if "model" in scores.column_names else []
    if len(names) != 1 or "/" not in str(names[0]):
        told = ", ".join(map(str, names)) or "none"
        message = f"{path}: expected scores of one registered model, they name {told}; say which with --model"
        raise BundleError(message)
    return f"models:/{names[0]}"


def _again(
    model: Model,
    log: EventLog,
    scores: pa.Table,
    request: ReviewRequest,
    progress: Callable[[str, float], None] | None,
) -> tuple[ScoredBatch, tuple[str, ...]]:
    """The batch behind a file of scores, with the file's own table, and what differs."""
    since, as_of = (scores[name].cast(pa.int64()).to_numpy() for name in ("since", "as_of"))
    first = int(since.min()) if model.plan.windows.calendar else int(as_of.min()) - 1
    given: dict[str, Any] = {
        "labels": request.labels,
        "since": first,
        "until": int(as_of.max()),
        "budget": 0,
        "explain": 0,
    }
    batch = score_batch(model, log, **given, progress=progress)
    place = _places(batch, scores, request.scores)
    kept = scores.select([name for name in scores.column_names if name != "model"])
    was, now = scores["score"].to_numpy(), batch.table["score"].to_numpy()[place]
    moved = int(np.count_nonzero((was != now) & scores["alert"].to_numpy()))
    said = f"{moved:,} alerts have another score now: events came late, or labels were given only once"
    chosen = batch.vectors.take(place)
    zone = model.plan.roles.time_zone
    line = _lines(kept, days_of(chosen, model.plan.windows, zone))
    return replace(batch, table=kept, vectors=chosen, line=line), (said,) if moved else ()


def _lines(scores: pa.Table, day: NDArray[np.int64]) -> NDArray[np.float64]:
    """The score that each row has to be under to be no alert on its day, in its team; NaN where there is none."""
    bare = pa.chunked_array([pa.nulls(len(day), pa.string())])
    team, hidden, pick = (
        scores[name].cast(pa.string()) if name in scores.column_names else bare
        for name in ("team", "suppressed", "pick")
    )
    codes = team.combine_chunks().dictionary_encode(null_encoding="encode").indices.to_numpy().astype(np.int64)
    by_rank = pc.fill_null(pc.equal(pick, "rank"), fill_value=False).to_numpy()
    lists = day * (int(codes.max(initial=0)) + 1) + codes
    return line_of(lists, scores["score"].to_numpy(), by_rank, hidden.is_valid().to_numpy())


def _places(batch: ScoredBatch, scores: pa.Table, path: Path) -> NDArray[np.intp]:
    """Where each row of the file stands in the batch."""
    after = scores.column_names[scores.column_names.index("as_of") + 1]
    keys = ["entity", "since", "as_of", *([] if after == "score" else [after])]
    there = {key: n for n, key in enumerate(_keys(batch.table, keys))}
    wanted = _keys(scores, keys)
    missing = [key for key in wanted if key not in there]
    if missing:
        message = (
            f"{path}: {len(missing):,} of {len(wanted):,} windows are not in the events, the first is "
            f"{missing[0][0]!r}; give the log that was scored"
        )
        raise SchemaError(message)
    return np.array([there[key] for key in wanted], np.intp)


def _keys(table: pa.Table, names: list[str]) -> list[tuple[Any, ...]]:
    times = ("since", "as_of")
    columns = [table[name].cast(pa.int64() if name in times else pa.string()).to_pylist() for name in names]
    return list(zip(*columns, strict=True))


def _harmless(data: dict[str, Any]) -> str:
    """JSON in which no sign can end a block of script or begin a comment, whatever the values hold."""
    text = json.dumps(data, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    for sign in "<>&\u2028\u2029":
        text = text.replace(sign, f"\\u{ord(sign):04x}")
    return text


def _hash(block: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(block.encode()).digest()).decode()


def _key(leads: Sequence[Lead], made: Provenance) -> str:
    """Names the batch in the browser's storage: another batch does not find these verdicts."""
    windows = "\n".join(sorted(f"{lead.entity}\t{lead.since}\t{lead.as_of}\t{lead.event}" for lead in leads))
    return hashlib.sha256(f"{made.sha256}\n{made.data}\n{windows}".encode()).hexdigest()[:16]


def _on_record(loaded: LoadedModel, made: Provenance, written: WrittenReview, store: Store) -> None:
    version = loaded.source.version
    use = Use(
        verb="review",
        model=version.name if version else made.model,
        version=version.number if version else "",
        sha256=made.sha256,
        data=made.data,
        rows=written.alerts,
        output=str(written.output),
        parameters={"scores": made.scores, "blind": written.blind},
    )
    record(store.home, use)
