"""Suppressions: who is known to look odd for a good reason, on whose word, and until when.

A suppression takes alerts off the list; it changes no score. Each has an owner, a reason and an end within a year,
since what is forgotten in such a file is where trouble would hide best: how many alerts each one hid is told, that one
has ended and hides nothing is told, and so is that one hides nothing, or much.
"""

from __future__ import annotations

import hashlib
import re
import tomllib
from dataclasses import dataclass
from datetime import date, timedelta
from fnmatch import fnmatchcase, translate
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import pyarrow as pa
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from ..errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from ..training.model import Model
    from .reasons import Reason

__all__ = ["Scoped", "Suppression", "Suppressions", "read_suppressions"]

_LONGEST = timedelta(days=365)
_SCOPES = ("entity", "family", "feature", "subject", "peer_group", "team")
_EPOCH = date(1970, 1, 1)


class Suppression(BaseModel):
    """One entry: alerts of whom, or about what, are hidden, and who answers for it.

    All parts of the scope that are given must hold. Family, feature and subject are those of the alert's first reason.

    Attributes
    ----------
    entity : str, optional
        A name, or a pattern with ``*``, ``?`` and ``[…]``.
    family, subject : str, optional
        "timing"; "vehicle".
    feature : str, optional
        A name or a pattern: "night_share_*".
    peer_group, team : str, optional
    owner, reason : str
        Not blank.
    since : date, optional
        The first day; a year before ``until`` by default.
    until : date
        The day after the last one, at most 365 days after ``since``.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, str_strip_whitespace=True)

    entity: str | None = Field(None, min_length=1)
    family: str | None = Field(None, min_length=1)
    feature: str | None = Field(None, min_length=1)
    subject: str | None = Field(None, min_length=1)
    peer_group: str | None = Field(None, min_length=1)
    team: str | None = Field(None, min_length=1)
    owner: str = Field(min_length=1)
    reason: str = Field(min_length=1)
    since: date | None = None
    until: date

    @property
    def begins(self) -> date:
        """The first day on which it holds."""
        return max(self.until, _EPOCH + _LONGEST) - _LONGEST if self.since is None else self.since

    @property
    def by_reason(self) -> bool:
        """Whether the reasons of an alert have to be known to tell if it is in scope."""
        return not (self.family is self.feature is self.subject is None)

    def holds(self, day: NDArray[np.int64]) -> NDArray[np.bool_]:
        """On which days it is in force; days since 1970."""
        return np.asarray((day >= (self.begins - _EPOCH).days) & (day < (self.until - _EPOCH).days))

    def speaks_of(self, reason: Reason, subject: str) -> bool:
        """Whether an alert with this first reason is in scope."""
        return (
            self.family in (None, reason.family)
            and self.subject in (None, subject)
            and (self.feature is None or fnmatchcase(reason.feature, self.feature))
        )


@dataclass(frozen=True, eq=False)
class Scoped:
    """What scopes are about, of n windows.

    Attributes
    ----------
    entity : pyarrow.DictionaryArray of length n
    day : int64 array of shape (n,), days since 1970
    group, team : pyarrow.DictionaryArray of length n, or None
        Peer group and team; None where the log or the rules know none.
    """

    entity: pa.DictionaryArray
    day: NDArray[np.int64]
    group: pa.DictionaryArray | None = None
    team: pa.DictionaryArray | None = None


@dataclass(frozen=True)
class Suppressions:
    """The entries of one file, numbered from 1 in its order.

    Attributes
    ----------
    entries : tuple of Suppression
    name : str
        The file.
    sha256 : str
        Of the file's bytes, for the record of use.
    tell_above : float
        A share of the would-be alerts: an entry that hides more is told. ``tell_above`` in the file.
    """

    entries: tuple[Suppression, ...]
    name: str = "the suppressions"
    sha256: str = ""
    tell_above: float = 0.2

    @classmethod
    def parse(cls, text: str, name: str = "the suppressions") -> Self:
        r"""Read TOML text.

        Raises
        ------
        ConfigError
            If it is not TOML, an entry lacks what it needs, or says something unknown; the message names the entry.

        Examples
        --------
        >>> entry = '[[suppress]]\nentity = "svc-*"\nowner = "kim"\nreason = "nightly jobs"\nuntil = 2025-06-01'
        >>> Suppressions.parse(entry).entries[0].begins
        datetime.date(2024, 6, 1)
        >>> Suppressions.parse(entry.replace("owner", "ower"))  # doctest: +ELLIPSIS
        Traceback (most recent call last):
        ...
        peculiar.errors.ConfigError: the suppressions, entry 1 (nightly jobs): owner: Field required; ower: unknown ...
        """
        try:
            found = tomllib.loads(text)
        except tomllib.TOMLDecodeError as error:
            message = f"{name}: expected TOML: {error}"
            raise ConfigError(message) from error
        given, above = found.pop("suppress", []), found.pop("tell_above", 0.2)
        if found or not isinstance(given, list) or not all(isinstance(each, dict) for each in given):
            message = f"{name}: expected [[suppress]] entries and perhaps tell_above, got {', '.join(found) or given!r}"
            raise ConfigError(message)
        if isinstance(above, bool) or not isinstance(above, int | float) or not 0 <= above <= 1:
            message = f"{name}: expected tell_above to be a share of the alerts, 0 to 1, got {above!r}"
            raise ConfigError(message)
        entries = tuple(_entry(each, f"{name}, entry {number}") for number, each in enumerate(given, 1))
        return cls(entries, name, hashlib.sha256(text.encode()).hexdigest(), float(above))

    @property
    def labels(self) -> tuple[str, ...]:
        """What the column ``suppressed`` says of windows that each entry hides: its number and its reason."""
        return tuple(f"{number}: {entry.reason}" for number, entry in enumerate(self.entries, 1))

    def check(self, model: Model, *, teams: bool) -> None:
        """Refuse scopes that could never match.

        Raises
        ------
        ConfigError
            If an entry names a family or subject that the model does not have, or a team or peer group where there are
            none.
        """
        known = {
            "family": sorted(model.plan.by_family),
            "subject": sorted({feature.subject or feature.name for feature in model.plan.features}),
        }
        for number, entry in enumerate(self.entries, 1):
            for scope, there in known.items():
                named = getattr(entry, scope)
                if named is not None and named not in there:
                    self._refuse(number, f"{scope}: the model has no {named!r}, it has {', '.join(there)}")
            if entry.feature and not any(fnmatchcase(each.name, entry.feature) for each in model.plan.features):
                self._refuse(number, f"feature: no feature of the model fits {entry.feature!r}; see peculiar describe")
            if entry.team is not None and not teams:
                self._refuse(number, "team: there are no teams; name their column with alerts.team_by")
            if entry.peer_group is not None and model.plan.roles.peer_by is None:
                self._refuse(number, "peer_group: the model's log names no peers; name somebody by entity")

    def covers(self, rows: Scoped) -> NDArray[np.bool_]:
        """Which windows are in the scope of which entry, as far as can be told without reasons.

        Returns
        -------
        bool array of shape (n_entries, n)
        """
        found = np.zeros((len(self.entries), len(rows.day)), np.bool_)
        for number, entry in enumerate(self.entries):
            scopes = ((entry.entity, rows.entity), (entry.peer_group, rows.group), (entry.team, rows.team))
            found[number] = entry.holds(rows.day)
            for name, column in scopes:
                if name is not None:
                    found[number] &= _named(column, name, glob=column is rows.entity)
        return found

    def notes(self, day: NDArray[np.int64], hidden: Mapping[int, int], alerts: int) -> tuple[str, ...]:
        """What a reader of the scores has to know.

        Parameters
        ----------
        day : int64 array, days since 1970
            Of the scored windows.
        hidden : mapping of int to int
            How many windows each entry took off the list; those that took none may be absent.
        alerts : int
            Alerts by rank that are left.
        """
        if not len(day):
            return ()
        last = _EPOCH + timedelta(days=int(day.max()))
        first, all_ = _EPOCH + timedelta(days=int(day.min())), alerts + sum(hidden.values())
        told = []
        for number, entry in enumerate(self.entries, 1):
            count = hidden.get(number, 0)
            who = f"{self.name}: suppression {self.labels[number - 1]} ({entry.owner})"
            if entry.until <= last:
                told.append(f"{who} ended on {entry.until} and hides nothing from then on; renew it or take it out")
            if entry.begins > last:
                told.append(f"{who} begins on {entry.begins}, after the scored days")
            elif not count and entry.until > first:
                told.append(f"{who} hid no alert; is it still needed?")
            if count:
                much = f", more than {self.tell_above:.0%}" if count > self.tell_above * all_ else ""
                told.append(f"{who} hid {count:,} of {all_:,} would-be alerts{much}")
        return tuple(told)

    def to_dict(self) -> dict[str, Any]:
        """Plain data, for the record of use."""
        return {"file": self.name, "sha256": self.sha256, "entries": len(self.entries)}

    def _refuse(self, number: int, said: str) -> None:
        message = f"{self.name}, entry {number} ({self.entries[number - 1].reason}): {said}"
        raise ConfigError(message)


def read_suppressions(path: str | Path) -> Suppressions:
    """Read a file of suppressions.

    Raises
    ------
    ConfigError
        If there is no such file, or an entry is not what it should be.
    """
    file = Path(path)
    try:
        text = file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        message = f"expected suppressions as TOML in UTF-8 at {file}: {error}; leave out alerts.suppressions for none"
        raise ConfigError(message) from error
    return Suppressions.parse(text, str(file))


def _entry(given: dict[str, Any], where: str) -> Suppression:
    about = f"{where} ({given['reason']})" if given.get("reason") else where
    try:
        entry = Suppression.model_validate(given)
    except ValidationError as error:
        message = f"{about}: {'; '.join(_tell(detail) for detail in error.errors())}"
        odd = any(detail["type"] == "extra_forbidden" for detail in error.errors())
        raise ConfigError(f"{message}; there are {', '.join(Suppression.model_fields)}" if odd else message) from None
    if all(getattr(entry, scope) is None for scope in _SCOPES):
        message = f"{about}: expected a scope, at least one of {', '.join(_SCOPES)}; got none, which would hide all"
        raise ConfigError(message)
    latest = min(entry.begins, date.max - _LONGEST) + _LONGEST
    if not entry.begins < entry.until <= latest:
        message = (
            f"{about}: until: expected a day after {entry.begins} and not after {latest}, "
            f"got {entry.until}; look at it again each year"
        )
        raise ConfigError(message)
    return entry


def _tell(detail: Any) -> str:
    where = ".".join(map(str, detail["loc"]))
    if detail["type"] == "extra_forbidden":
        return f"{where}: unknown key"
    got = "" if detail["type"] == "missing" else f", got {detail['input']!r}"
    return f"{where}: {detail['msg']}{got}"


def _named(column: pa.DictionaryArray | None, name: str, *, glob: bool) -> NDArray[np.bool_]:
    """Which rows have the name, or one that fits the pattern; null has none, and no row without a column."""
    if column is None:
        return np.zeros(1, np.bool_)
    fits = re.compile(translate(name) if glob else re.escape(name)).fullmatch
    found = [value is not None and fits(str(value)) is not None for value in column.dictionary.to_pylist()]
    codes = column.indices.cast(pa.int64()).fill_null(-1).to_numpy(zero_copy_only=False)
    return np.asarray(np.array([*found, False], np.bool_)[codes])
