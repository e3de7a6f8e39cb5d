"""Settings from ``peculiar.toml``, checked; an unknown key is an error that names the nearest one there is."""

from __future__ import annotations

import difflib
import tomllib
from dataclasses import fields
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any, Literal, Self, cast
from zoneinfo import ZoneInfo

from pydantic import BaseModel, ConfigDict, Field, ValidationError, create_model

from .errors import ConfigError
from .features.roles import Roles
from .features.snapshots import WindowSpec
from .serving.alerts import AlertRules
from .serving.picks import Exploration
from .serving.scoring import Budget
from .serving.suppressions import read_suppressions
from .training.isolation_forest import IsolationForest
from .training.joint import Joint
from .training.lightgbm import LightGBM
from .training.promotion_rules import Metric, Rules
from .training.settings import TrainingSettings
from .training.splits import Period
from .training.tails import Tails

__all__ = ["Config", "load_config"]

DEFAULT_PATH = "peculiar.toml"


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class EventsSection(_Section):
    """``[events]``: the part of each column; without an entity and a time the roles are guessed."""

    entity: str | None = None
    at: str | None = None
    id: str | None = None
    dimensions: tuple[str, ...] = ()
    action: str | None = None
    measures: tuple[str, ...] = ()
    audit_only: tuple[str, ...] = ()
    time_zone: str = "UTC"
    place: tuple[str, str] | None = None
    peer_by: str | None = None


class WindowsSection(_Section):
    """``[windows]``: how time is cut."""

    every: Literal["1d", "1h", "event"] = "1d"
    horizon: str = "28d"
    by: str | None = None
    span: Literal["1d", "1h"] = "1d"


class TrainingSection(_Section):
    """``[training]``: periods (whole days of the log's zone; an end is not part of its period), detectors, search."""

    detectors: tuple[Literal["isolation_forest", "joint", "lightgbm", "tails"], ...] = ("isolation_forest", "lightgbm")
    train_from: date | None = None
    train_until: date | None = None
    test_from: date | None = None
    test_until: date | None = None
    label_delay: str = Field("7d", pattern=r"^\d+d$")
    leave_out_known: bool = False
    value: str | None = None
    promote: Literal["first", "always"] = "first"
    trials: int = Field(10, ge=0)
    objective: Literal["average_precision", "recall_at_budget"] = "average_precision"
    rehearse: int = Field(0, ge=0)
    seconds: float | None = Field(None, gt=0)
    seed: int = Field(0, ge=0)


def _detector_section(name: str, kind: type[Any]) -> type[_Section]:
    """A section with the fields of a detector's settings, none of which need be given."""
    given = {each.name: (type(each.default) | None, None) for each in fields(kind)}
    made: type[_Section] = create_model(f"{name}Section", __base__=_Section, **cast("dict[str, Any]", given))
    made.__doc__ = f"``[{kind.kind}]``: settings of the detector; what is not given keeps its default."
    return made


IsolationForestSection = _detector_section("IsolationForest", IsolationForest)
JointSection = _detector_section("Joint", Joint)
LightGBMSection = _detector_section("LightGBM", LightGBM)
TailsSection = _detector_section("Tails", Tails)


class AlertsSection(_Section):
    """``[alerts]``: how many each team can read, what share of them is drawn at random, and what is suppressed."""

    budget: str = "100/day"
    explore: float = Field(0.0, ge=0.0, le=1.0)
    fdr: float | None = Field(None, gt=0.0, lt=1.0)
    reasons: int = Field(3, ge=0)
    per: Literal["entity", "window"] = "entity"
    team_by: str | None = None
    teams: dict[str, str] = {}
    case_gap: str = Field("7d", pattern=r"^\d+d$")
    suppressions: str | None = None


class ScoringSection(_Section):
    """``[scoring]``: days of a dataset to score again, days scored in one pass; whether a challenger scores, too."""

    late: str = Field("0d", pattern=r"^\d+d$")
    block: str = Field("60d", pattern=r"^[1-9]\d*d$")
    shadow: bool = True

    @property
    def days(self) -> dict[str, int]:
        """The settings as numbers of days."""
        return {name: int(getattr(self, name)[:-1]) for name in ("late", "block")}


class PromotionSection(_Section):
    """``[promotion]``: what a version has to show before it becomes the champion; see :class:`Rules`."""

    metric: Metric = Rules.metric
    least_gain: float = Rules.least_gain
    most_loss: float = Field(Rules.most_loss, ge=0.0)
    least_precision_at_budget: float | None = Field(None, ge=0.0, le=1.0)
    least_recall_at_budget: float | None = Field(None, ge=0.0, le=1.0)
    most_alert_change: float | None = Field(None, ge=0.0, le=1.0)
    least_positives: int = Field(Rules.least_positives, ge=0)
    calibrated: bool = Rules.calibrated


class RehearsalSection(_Section):
    """``[rehearsal]``: what misbehaviour is staged, and how much each kind counts; what suits the log by default."""

    kinds: dict[str, float] = {}


class StoreSection(_Section):
    """``[store]``: names in MLflow, and who answers for the model."""

    experiment: str = "peculiar"
    model: str = "peculiar"
    owner: str = ""


class Config(_Section):
    r"""Everything that ``peculiar.toml`` can say.

    Examples
    --------
    >>> Config.parse('[windows]\nevery = "1h"').windows.every
    '1h'
    >>> Config.parse("[windows]\nevry = '1h'")
    Traceback (most recent call last):
    ...
    peculiar.errors.ConfigError: the settings: unknown key windows.evry; did you mean 'every'?
    """

    events: EventsSection = EventsSection()
    windows: WindowsSection = WindowsSection()
    training: TrainingSection = TrainingSection()
    isolation_forest: IsolationForestSection = IsolationForestSection()  # type: ignore[valid-type]
    joint: JointSection = JointSection()  # type: ignore[valid-type]
    lightgbm: LightGBMSection = LightGBMSection()  # type: ignore[valid-type]
    tails: TailsSection = TailsSection()  # type: ignore[valid-type]
    alerts: AlertsSection = AlertsSection()
    scoring: ScoringSection = ScoringSection()
    promotion: PromotionSection = PromotionSection()
    rehearsal: RehearsalSection = RehearsalSection()
    store: StoreSection = StoreSection()

    @classmethod
    def parse(cls, text: str, where: str = "the settings") -> Self:
        """Read TOML text.

        Raises
        ------
        ConfigError
            If it is not TOML, or a key or value is not one of ours.
        """
        try:
            return cls.model_validate(tomllib.loads(text))
        except tomllib.TOMLDecodeError as error:
            message = f"{where}: expected TOML: {error}"
            raise ConfigError(message) from error
        except ValidationError as error:
            message = f"{where}: {'; '.join(_tell(cls, detail) for detail in error.errors())}"
            raise ConfigError(message) from None

    def roles(self) -> Roles | None:
        """The roles, or None if they are to be guessed.

        Raises
        ------
        ConfigError
            If only half of what a log needs is named.
        """
        given = self.events
        if given == EventsSection(time_zone=given.time_zone):
            return None
        if given.entity is None or given.at is None:
            message = (
                "expected both events.entity and events.at once any column is named; or name none, and all are guessed"
            )
            raise ConfigError(message)
        return Roles(**given.model_dump())

    def windows_spec(self) -> WindowSpec:
        """The windows of the plan."""
        return WindowSpec(**self.windows.model_dump())

    def alert_rules(self, **given: Any) -> AlertRules:
        """What becomes an alert.

        Parameters
        ----------
        **given
            ``budget`` (as the settings write it), ``fdr``, ``per`` and ``suppressions`` (a path) from elsewhere, in the
            place of the settings; None leaves these. A rate alone is not bounded by the budget that holds by default.

        Raises
        ------
        ConfigError
            If a budget is none, teams have no column, or the suppressions cannot be read.
        """
        named = {name: value for name, value in given.items() if value is not None}
        told = self.alerts.model_copy(update=named)
        unbounded = told.fdr is not None and "budget" not in told.model_fields_set
        return AlertRules(
            budget=None if unbounded else Budget.parse(told.budget).per_day,
            fdr=told.fdr,
            explore=Exploration(told.explore, self.training.seed),
            per=told.per,
            team_by=told.team_by,
            teams={name: Budget.parse(budget).per_day for name, budget in told.teams.items()},
            case_gap=int(told.case_gap[:-1]),
            suppressions=None if told.suppressions is None else read_suppressions(told.suppressions),
        )

    def promotion_rules(self) -> Rules:
        """The rules that a version has to pass."""
        return Rules(**self.promotion.model_dump())

    @property
    def label_delay(self) -> int:
        """How long labels take to become known, in microseconds."""
        return int(self.training.label_delay[:-1]) * 86_400_000_000

    def training_settings(self, zone: str) -> TrainingSettings:
        """The settings of a training, its days as instants in the log's zone."""
        given = self.training
        kinds = (IsolationForest, Joint, LightGBM, Tails)
        told = [cast("BaseModel", getattr(self, kind.kind)).model_dump(exclude_none=True) for kind in kinds]
        return TrainingSettings(
            chosen=tuple(kind(**own) for kind, own in zip(kinds, told, strict=True) if own),
            windows=self.windows_spec(),
            detectors=given.detectors,
            train=Period(_instant(given.train_from, zone), _instant(given.train_until, zone)),
            test=Period(_instant(given.test_from, zone), _instant(given.test_until, zone)),
            label_delay=self.label_delay,
            leave_out_known=given.leave_out_known,
            value=given.value,
            promote=given.promote,
            budget=Budget.parse(self.alerts.budget).per_day,
            trials=given.trials,
            objective=given.objective,
            rehearse=given.rehearse,
            rehearse_kinds=self.rehearsal.kinds,
            seconds=given.seconds,
            seed=given.seed,
            owner=self.store.owner,
            model_name=self.store.model,
        )


def load_config(path: str | Path | None = None) -> Config:
    """Read a settings file; without a path ``peculiar.toml`` of the current folder if there is one, else the defaults.

    Raises
    ------
    ConfigError
        If the file does not exist or says something unknown.
    """
    file = Path(path or DEFAULT_PATH)
    if not file.is_file():
        if path is None:
            return Config()
        message = f"expected settings at {file}, found no file"
        raise ConfigError(message)
    try:
        text = file.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        message = f"{file}: expected TOML in UTF-8: {error}; save the file as UTF-8"
        raise ConfigError(message) from error
    return Config.parse(text, str(file))


def _instant(day: date | None, zone: str) -> int | None:
    if day is None:
        return None
    midnight = datetime(day.year, day.month, day.day, tzinfo=ZoneInfo(zone))
    return int(midnight.astimezone(UTC).timestamp()) * 1_000_000


def _tell(config: type[BaseModel], detail: object) -> str:
    error = dict(detail)  # type: ignore[call-overload]
    where = [str(step) for step in error["loc"]]
    if error["type"] != "extra_forbidden":
        return f"{'.'.join(where)}: {error['msg']}, got {error['input']!r}"
    section: type[BaseModel] = config
    for step in where[:-1]:
        section = section.model_fields[step].annotation  # type: ignore[assignment]
    near = difflib.get_close_matches(where[-1], section.model_fields, n=1, cutoff=0.0)
    return f"unknown key {'.'.join(where)}; did you mean {near[0]!r}?"
