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
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..features.describe import family_line
from ..features.output import beside
from .examined import examine
from .leads import leads_of
from .review_data import page_data

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ..features.events import EventLog
    from ..training.model import Model
    from .leads import Lead
    from .scoring import ScoredBatch

__all__ = ["Provenance", "WrittenReview", "leads_in", "review_page", "write_review"]

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
class WrittenReview:
    """A page that is on disk.

    Attributes
    ----------
    output : Path
    alerts : int
    size : int, bytes
    blind : bool
    model : str
    notes : tuple of str
    run_id : str
        The run in MLflow that has the page, too; empty if none has.
    untracked : str
        Why none has, if one should.
    """

    output: Path
    alerts: int
    size: int
    blind: bool
    model: str
    notes: tuple[str, ...]
    run_id: str = ""
    untracked: str = ""

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


def write_review(
    leads: Sequence[Lead],
    made: Provenance,
    output: Path,
    *,
    blind: bool | None = None,
    ready: Callable[[], object] | None = None,
) -> WrittenReview:
    """Write the page, whole or not at all.

    Parameters
    ----------
    leads : sequence of Lead
    made : Provenance
    output : Path
    blind : bool, optional
        As :func:`review_page` has it.
    ready : callable, optional
        Called when the page is on disk and nobody can see it yet; an error in it takes the page away.
    """
    blind = any(lead.standing.pick == "random" for lead in leads) if blind is None else blind
    page = review_page(leads, made, blind=blind).encode()
    output.parent.mkdir(parents=True, exist_ok=True)
    with beside(output) as unfinished:
        unfinished.write_bytes(page)
        if ready is not None:
            ready()
    return WrittenReview(output, len(leads), len(page), blind, made.model, made.notes)


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
