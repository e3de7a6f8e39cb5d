"""The gate: a version becomes the champion only if it passes rules that were written down beforehand.

Whether it passes or not, who asked and why stand in four places: a run of the role ``promotion`` with the rules and
what was found, a tag and a line of the description of the version, and the record of use. The version that has to go
keeps the alias ``previous``, and going back to it asks for a reason, not for rules: that must work on a bad day.

A promotion holds a lock from the moment it looks up the champion until the alias has moved, so of two at once the
second is judged against the winner of the first. The lock is a file beside the database, or in the project's folder
where a server keeps the store: that holds for processes that see this file, and no further.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field, fields, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from ..audit import Use, operating_user, record
from ..errors import BundleError, ConfigError
from .comparison import Comparison, NotComparableError, compare_versions
from .judged import about_judged, read_judged
from .promotion_rules import Finding, Rules, Standing, judge, standing
from .references import load
from .registry import by_alias, by_number
from .tracking import RunRecord, log_inputs, running, write_record
from .versions import find_version, version_uri

if TYPE_CHECKING:
    from collections.abc import Callable

    import pyarrow as pa
    from filelock import FileLock

    from .registry import Version
    from .store import Store
    from .tracking import LiveRun

__all__ = ["RULES", "TAG", "Asked", "Promotion", "previous_of", "promote"]

TAG = "peculiar.promotion"
RULES = "tables/rules.json"

Verdict = Literal["promoted", "promoted anyway", "rolled back", "refused", "unchanged"]


@dataclass(frozen=True, kw_only=True)
class Asked:
    """What is asked for, beside the version.

    Attributes
    ----------
    name : str
        The registered model, where the version names none.
    alias : str
        What the version is to be.
    rules : Rules
    budget : int or None
        Alerts a day; by default what the version was judged with.
    anyway : bool
        Promote even if rules are broken; needs a reason.
    reason : str
    judged : callable
        Tells the windows that a version was judged on; by default those of its training.
    """

    name: str = "peculiar"
    alias: str = "champion"
    rules: Rules = field(default_factory=Rules)
    budget: int | None = None
    anyway: bool = False
    reason: str = ""
    judged: Callable[[Store, Version], pa.Table] = read_judged


@dataclass(frozen=True)
class Promotion:
    """What became of it.

    Attributes
    ----------
    version : Version
    alias : str
    before : Version or None
        Who had the alias.
    verdict : {"promoted", "promoted anyway", "rolled back", "refused", "unchanged"}
    findings : tuple of Finding
    reason, by, at : str
        Why, the operating system's user, and when the run began (ISO 8601, UTC); empty if nothing was to be done.
    run_id : str
    comparison : Comparison or None
        With the version that had the alias.
    """

    version: Version
    alias: str
    before: Version | None
    verdict: Verdict
    findings: tuple[Finding, ...] = ()
    reason: str = ""
    by: str = ""
    at: str = ""
    run_id: str = ""
    comparison: Comparison | None = None

    @property
    def moved(self) -> bool:
        """Whether the alias is where it was asked to be."""
        return self.verdict != "refused"

    @property
    def broken(self) -> tuple[Finding, ...]:
        """The rules that do not hold."""
        return tuple(finding for finding in self.findings if not finding.holds)

    def __str__(self) -> str:
        """A few lines for a person."""
        who = f"{self.version.name} version {self.version.number}"
        before = "nobody" if self.before is None else f"version {self.before.number}"
        told = {
            "unchanged": f"{who} is @{self.alias} already; nothing to do",
            "refused": f"{who} does not become @{self.alias}, which stays with {before}: "
            f"{len(self.broken)} of {len(self.findings)} rules do not hold",
        }
        lines = [told.get(self.verdict, f"{who} is @{self.alias} now, before it was {before} ({self.verdict})")]
        lines += [f"  {'holds ' if each.holds else 'BROKEN'}  {each.rule}: {each.said}" for each in self.findings]
        return "\n".join(lines + ([f"  reason: {self.reason}"] if self.reason else []))

    def to_dict(self) -> dict[str, Any]:
        """Plain data, for JSON."""
        return {
            **self.told(),
            "run_id": self.run_id,
            "moved": self.moved,
            "comparison": None if self.comparison is None else self.comparison.to_dict(),
        }

    def told(self) -> dict[str, Any]:
        """What the version's tag says."""
        return {
            "model": self.version.name,
            "version": self.version.number,
            "alias": self.alias,
            "before": None if self.before is None else self.before.number,
            "verdict": self.verdict,
            "rules": [asdict(finding) for finding in self.findings],
            "reason": self.reason,
            "by": self.by,
            "at": self.at,
        }


def previous_of(alias: str) -> str:
    """The alias of the version that had an alias before.

    Examples
    --------
    >>> previous_of("champion"), previous_of("shadow")
    ('previous', 'previous-shadow')
    """
    return "previous" if alias == "champion" else f"previous-{alias}"


def promote(store: Store, wanted: str, asked: Asked) -> Promotion:
    """Give a version an alias if it passes the rules, and write down why in any case.

    Parameters
    ----------
    store : Store
    wanted : str
        A version as in :func:`~peculiar.training.versions.find_version`; ``previous`` or ``@previous`` goes one step
        back, which asks for a reason and for no rule.
    asked : Asked

    Raises
    ------
    BundleError
        If there is no such version, or its files are not those that were registered.
    ConfigError
        If rules are to be passed over, or a step back is to be made, without a reason.
    """
    back = previous_of(asked.alias)
    uri = version_uri(f"@{back}" if wanted == "previous" else wanted, name=asked.name)
    rollback = uri.endswith(f"@{back}")
    if (rollback or asked.anyway) and not asked.reason.strip():
        what = "a step back" if rollback else "passing rules over"
        message = f"expected a reason for {what}, got none: add --reason TEXT"
        raise ConfigError(message)
    with _lock(store):
        version = find_version(store, uri, name=asked.name)
        before = by_alias(store, asked.alias, name=version.name)
        if before is not None and before.number == version.number:
            return Promotion(version, asked.alias, before, "unchanged")
        load(store, version.uri)  # it has to be whole before anything is said of it
        with running(store, "promotion", name=f"{version.name}/{version.number} as {asked.alias}") as run:
            done = _decide(run, (version, before), asked, rollback=rollback)
            _write(run, done, asked)
        return done


def _decide(run: LiveRun, pair: tuple[Version, Version | None], asked: Asked, *, rollback: bool) -> Promotion:
    version, before = pair
    at = datetime.fromtimestamp(run.started / 1000, UTC).isoformat(timespec="seconds")
    told_by = asked.reason.strip(), operating_user(), at
    plain = Promotion(version, asked.alias, before, "rolled back", (), *told_by, run.run_id)
    if rollback:
        return plain
    own, told = _looked(run.store, version, before, asked)
    findings = judge(asked.rules, own, told, first=before is None)
    verdict: Verdict = "promoted"
    if not all(finding.holds for finding in findings):
        verdict = "promoted anyway" if asked.anyway else "refused"
    comparison = told if isinstance(told, Comparison) else None
    return replace(plain, verdict=verdict, findings=findings, comparison=comparison)


def _looked(
    store: Store, version: Version, before: Version | None, asked: Asked
) -> tuple[Standing | str, Comparison | str]:
    """The version alone, and beside the one that has the alias; a text says why there is nothing to look at."""
    try:
        table = asked.judged(store, version)
    except BundleError as error:
        return str(error), str(error)
    budget = asked.budget or int(about_judged(table)["budget"])
    own = standing(table, budget)
    if before is None:
        return own, "there is no version to hold it against"
    try:
        return own, compare_versions(store, (before, version), budget=budget, judged=asked.judged)
    except (BundleError, NotComparableError) as error:
        return own, str(error)


def _write(run: LiveRun, done: Promotion, asked: Asked) -> None:
    """Put the decision on record, then move the aliases, then tell the version's page."""
    client, version = run.store.client, done.version
    for each in (version, done.before):
        if each is not None and each.model_id:
            log_inputs(run, model_id=each.model_id)
    parameters = {key: value for key, value in done.told().items() if key not in {"model", "version", "rules"}}
    parameters["broken"] = [finding.rule for finding in done.broken]
    use = Use(verb="promote", model=version.name, version=version.number, sha256=version.sha256, parameters=parameters)
    digest = record(run.store.home, use)
    write_record(run, _record_of(done, asked, digest))
    if done.moved:
        _move(run.store, done)
    client.set_model_version_tag(version.name, version.number, TAG, json.dumps(done.told()))
    described = client.get_model_version(version.name, version.number).description or ""
    client.update_model_version(version.name, version.number, f"{described}\n\n{_line(done)}".strip())


def _move(store: Store, done: Promotion) -> None:
    """The one that goes gets its alias first: a kill in between leaves nobody without a name."""
    client, version = store.client, done.version
    if done.before is not None:
        client.set_registered_model_alias(version.name, previous_of(done.alias), done.before.number)
    client.set_registered_model_alias(version.name, done.alias, version.number)
    now = by_number(store, version.name, version.number)
    if now is not None and done.alias == "champion" and "challenger" in now.aliases:
        client.delete_registered_model_alias(version.name, "challenger")


def _record_of(done: Promotion, asked: Asked, digest: str) -> RunRecord:
    columns = {part.name: [getattr(each, part.name) for each in done.findings] for part in fields(Finding)}
    return RunRecord(
        note=str(done).replace("\n", "\n\n"),
        params={"version": f"{done.version.name}/{done.version.number}", "alias": done.alias,
                **{f"rule/{name}": value for name, value in asdict(asked.rules).items()}},
        metrics={"promotion/rules": float(len(done.findings)), "promotion/broken": float(len(done.broken))},
        tables={RULES: columns} if done.findings else {},
        tags={"peculiar.verdict": done.verdict, "peculiar.reason": done.reason, "peculiar.audit": digest},
    )  # fmt: skip


def _line(done: Promotion) -> str:
    """One line of the version's description."""
    why = f"; {len(done.broken)} of {len(done.findings)} rules broken" if done.broken else ""
    why += f": {', '.join(finding.rule for finding in done.broken)}" if done.broken else ""
    reason = f'; "{done.reason}"' if done.reason else ""
    return f"- {done.at}, {done.by}: {done.verdict} as @{done.alias}{why}{reason} (run {done.run_id})"


def _lock(store: Store) -> FileLock:
    from filelock import FileLock

    place = store.home / "promotion" if store.remote else Path(store.uri.removeprefix("sqlite:///"))
    place.parent.mkdir(parents=True, exist_ok=True)
    return FileLock(f"{place}.promotion.lock" if not store.remote else f"{place}.lock")
