"""Settings: everything they can say is read, and what they cannot say is an error that shows the way."""

from __future__ import annotations

import tomllib
from datetime import UTC, datetime

import pytest

from peculiar.config import Config, load_config
from peculiar.errors import ConfigError
from peculiar.features.roles import Roles
from peculiar.features.snapshots import WindowSpec
from peculiar.training.isolation_forest import IsolationForest
from peculiar.training.joint import Joint
from peculiar.training.lightgbm import LightGBM
from peculiar.training.promotion_rules import Rules
from peculiar.training.settings import TrainingSettings
from peculiar.training.splits import Period
from peculiar.training.tails import Tails

DAY = 86_400_000_000
LOOKED = {"columns": ("risk",), "high": ("paid_*",), "low": ("history_*",)}

EVERYTHING = """
[events]
entity = "card"
at = "when"
id = "key"
dimensions = ["kind", "shop"]
action = "kind"
measures = ["paid"]
audit_only = ["gender"]
time_zone = "Europe/Berlin"
place = ["lat", "lon"]
peer_by = "branch"

[windows]
every = "1h"
horizon = "21d"
by = "session"
span = "1h"

[training]
detectors = ["lightgbm"]
train_from = 2025-03-01
train_until = 2025-03-30
test_from = 2025-03-31
test_until = 2025-04-10
label_delay = "3d"
leave_out_known = true
value = "paid"
promote = "always"
trials = 4
objective = "recall_at_budget"
rehearse = 6
seconds = 60.5
seed = 9

[isolation_forest]
trees = 200
group_trees = 20
samples = 512
grove = false
rows = 1000
norm = 7.0
knee = 2.0
common_null = 0.02
columns = ["risk"]
high = ["paid_*"]
low = ["history_*"]
opinion = "adding"

[joint]
columns = ["risk"]
high = ["paid_*"]
low = ["history_*"]
even = 0.5
knee = 10.0
rows = 2000
learning_rate = 0.1
leaves = 7
min_leaf = 22
feature_share = 0.4
row_share = 0.9
l2 = 3.0
rounds = 80
threads = 1

[lightgbm]
learning_rate = 0.02
leaves = 15
min_leaf = 21
feature_share = 0.7
row_share = 0.6
l1 = 0.5
l2 = 2.0
positive_weight = 3.0
rounds = 70
patience = 9
last_part = 0
refit = false
threads = 1
rising = ["risk"]
falling = ["history_*"]

[tails]
columns = ["risk"]
high = ["paid_*"]
low = ["history_*"]
tenfold = 2

[rehearsal]
kinds = { payments = 1.0, burst = 2.0 }

[alerts]
budget = "7/day"
explore = 0.1
fdr = 0.2
reasons = 5
per = "window"
team_by = "branch"
case_gap = "3d"
suppressions = "suppressions.toml"

[alerts.teams]
North = "20/day"

[scoring]
late = "2d"
block = "14d"
shadow = false

[promotion]
metric = "recall_at_budget"
least_gain = 0.01
most_loss = 0.1
least_precision_at_budget = 0.2
least_recall_at_budget = 0.3
most_alert_change = 0.5
least_positives = 7
calibrated = false

[store]
experiment = "cards"
model = "card_watch"
owner = "the fraud desk"
"""


def instant(text: str) -> int:
    """Microseconds since 1970 of a time in UTC."""
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()) * 1_000_000


def as_lists(value: object) -> object:
    """Tuples as lists, as TOML has them."""
    if isinstance(value, dict):
        return {key: as_lists(inner) for key, inner in value.items()}
    return [as_lists(inner) for inner in value] if isinstance(value, tuple) else value


def test_every_section_and_key_is_read():
    """A file that names each key there is comes back value by value; no key of the settings is missing from it."""
    config = Config.parse(EVERYTHING)
    assert as_lists(config.model_dump()) == tomllib.loads(EVERYTHING)


def test_no_value_of_the_full_file_is_the_default():
    """The file above would not show a key that is read and then ignored if it said what holds anyway."""
    given, default = Config.parse(EVERYTHING).model_dump(), Config().model_dump()
    same = [f"{name}.{key}" for name, section in given.items() for key in section if section[key] == default[name][key]]
    assert same == []


def test_every_key_reaches_the_training():
    """Each setting ends in the field of the training's settings that its name promises."""
    config = Config.parse(EVERYTHING)
    assert config.training_settings("UTC") == TrainingSettings(
        windows=WindowSpec("1h", "21d", by="session", span="1h"),
        detectors=("lightgbm",),
        train=Period(instant("2025-03-01"), instant("2025-03-30")),
        test=Period(instant("2025-03-31"), instant("2025-04-10")),
        label_delay=3 * DAY,
        leave_out_known=True,
        budget=7,
        value="paid",
        promote="always",
        trials=4,
        objective="recall_at_budget",
        rehearse=6,
        rehearse_kinds={"payments": 1.0, "burst": 2.0},
        seconds=60.5,
        chosen=(
            IsolationForest(
                200, 20, 512, grove=False, rows=1000, norm=7.0, knee=2.0, common_null=0.02, **LOOKED, opinion="adding"
            ),
            Joint(
                **LOOKED,
                even=0.5,
                knee=10.0,
                rows=2000,
                learning_rate=0.1,
                leaves=7,
                min_leaf=22,
                feature_share=0.4,
                row_share=0.9,
                l2=3.0,
                rounds=80,
                threads=1,
            ),
            LightGBM(
                0.02,
                15,
                21,
                0.7,
                0.6,
                0.5,
                2.0,
                3.0,
                70,
                9,
                0.0,
                refit=False,
                threads=1,
                rising=("risk",),
                falling=("history_*",),
            ),
            Tails(**LOOKED, tenfold=2),
        ),
        seed=9,
        owner="the fraud desk",
        model_name="card_watch",
    )
    assert config.training_settings("UTC").detector("lightgbm").leaves == 15
    assert TrainingSettings().detector("lightgbm") == LightGBM()
    assert config.roles() == Roles(
        "card",
        "when",
        "key",
        ("kind", "shop"),
        "kind",
        ("paid",),
        ("gender",),
        "Europe/Berlin",
        ("lat", "lon"),
        "branch",
    )


def test_nothing_said_gives_the_defaults():
    """An empty file is the defaults: a day, 28 days of horizon, both detectors, guessed roles, 100 alerts a day."""
    config = Config.parse("")
    assert config == Config()
    assert config.roles() is None
    assert config.training_settings("UTC") == TrainingSettings()
    assert (config.alerts.budget, config.alerts.reasons, config.alerts.explore) == ("100/day", 3, 0.0)
    assert (config.store.experiment, config.store.model) == ("peculiar", "peculiar")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("[trainning]\nseed = 1", r"unknown key trainning; did you mean 'training'\?"),
        ("seed = 1", r"unknown key seed; did you mean "),
        ("[events]\nentty = 'card'", r"unknown key events\.entty; did you mean 'entity'\?"),
        ("[windows]\nhorzon = '7d'", r"unknown key windows\.horzon; did you mean 'horizon'\?"),
        ("[training]\ntrain_til = 2025-01-01", r"unknown key training\.train_til; did you mean 'train_until'\?"),
        ("[alerts]\nbuget = '5/day'", r"unknown key alerts\.buget; did you mean 'budget'\?"),
        ("[lightgbm]\nleafs = 15", r"unknown key lightgbm\.leafs; did you mean 'leaves'\?"),
        ("[store]\nmodle = 'x'", r"unknown key store\.modle; did you mean 'model'\?"),
    ],
)
def test_an_unknown_key_names_the_nearest_there_is(text, told):
    """A slip of the pen in any section, or in a section's name, is an error that says what was probably meant."""
    with pytest.raises(ConfigError, match=f"^cards.toml: {told}"):
        Config.parse(text, "cards.toml")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("events = 3", r"events: .*got 3"),
        ("[events]\nentity = 3", r"events\.entity: .*string, got 3"),
        ("[events]\ndimensions = 'shop'", r"events\.dimensions: .*tuple, got 'shop'"),
        ("[windows]\nevery = '2d'", r"windows\.every: .*'1d', '1h' or 'event', got '2d'"),
        ("[windows]\nspan = '2h'", r"windows\.span: .*'1d' or '1h', got '2h'"),
        ("[training]\ndetectors = ['xgboost']", r"training\.detectors\.0: .* or 'tails', got 'xgboost'"),
        ("[training]\ntrain_from = 'soon'", r"training\.train_from: .*date.*got 'soon'"),
        ("[training]\nlabel_delay = '7 days'", r"training\.label_delay: .*got '7 days'"),
        ("[training]\nleave_out_known = 'perhaps'", r"training\.leave_out_known: .*boolean.*got 'perhaps'"),
        ("[training]\ntrials = -1", r"training\.trials: .*greater than or equal to 0, got -1"),
        ("[training]\nseconds = 0", r"training\.seconds: .*greater than 0, got 0"),
        ("[training]\nseed = 1.5", r"training\.seed: .*integer.*got 1\.5"),
        ("[alerts]\nexplore = 1.5", r"alerts\.explore: .*less than or equal to 1, got 1.5"),
        ("[scoring]\nlate = 'two days'", r"scoring\.late: .*got 'two days'"),
        ("[scoring]\nblock = '0d'", r"scoring\.block: .*got '0d'"),
        ("[alerts]\nreasons = -1", r"alerts\.reasons: .*greater than or equal to 0, got -1"),
        ("[store]\nmodel = []", r"store\.model: .*string, got \[\]"),
        ("[events", r"expected TOML: "),
    ],
)
def test_a_value_of_the_wrong_kind_is_named_with_what_came(text, told):
    """The error names the file, the key, what was expected and what came."""
    with pytest.raises(ConfigError, match=f"^cards.toml: {told}"):
        Config.parse(text, "cards.toml")


def test_all_that_is_wrong_is_told_at_once():
    """Two slips are two findings of one error, so that nobody has to mend and run twice."""
    with pytest.raises(ConfigError, match=r"events\.entty.*; windows\.every: "):
        Config.parse("[events]\nentty = 'card'\n[windows]\nevery = '2d'")


@pytest.mark.parametrize(
    ("zone", "begins", "ends"),
    [
        ("UTC", "2025-03-30T00:00", "2025-03-31T00:00"),
        ("Europe/Berlin", "2025-03-29T23:00", "2025-03-30T22:00"),
        ("America/New_York", "2025-03-30T04:00", "2025-03-31T04:00"),
    ],
)
def test_a_day_begins_at_midnight_of_the_zone(zone, begins, ends):
    """A day of a period is the zone's: in Berlin the 30 March 2025, when clocks change, lasts 23 hours."""
    config = Config.parse("[training]\ntrain_from = 2025-03-30\ntrain_until = 2025-03-31")
    assert config.training_settings(zone).train == Period(instant(begins), instant(ends))
    assert config.training_settings(zone).test == Period()


def test_a_period_that_ends_before_it_begins_is_refused():
    """A period turned round is an error, not an empty training."""
    config = Config.parse("[training]\ntest_from = 2025-03-02\ntest_until = 2025-03-01")
    with pytest.raises(ConfigError, match="expected a period that ends after it begins, got 2025-03-02"):
        config.training_settings("UTC")


@pytest.mark.parametrize("given", ["entity = 'card'", "at = 'when'", "measures = ['paid']"])
def test_half_given_roles_are_refused(given):
    """Once a column is named, entity and time must be: guessing the rest would mix two readings of the log."""
    with pytest.raises(ConfigError, match=r"expected both events\.entity and events\.at"):
        Config.parse(f"[events]\n{given}").roles()


def test_a_time_zone_alone_leaves_the_roles_to_be_guessed():
    """A zone names no column, so it does not make the roles half-given."""
    assert Config.parse("[events]\ntime_zone = 'Europe/Berlin'").roles() is None


@pytest.mark.parametrize("budget", ["lots", "100/week", "-5", ""])
def test_a_budget_that_is_none_is_refused(budget):
    """Alerts are counted by the day; what is not such a number is named."""
    with pytest.raises(ConfigError, match=f"expected a budget such as '100/day', got '{budget}'"):
        Config.parse(f"[alerts]\nbudget = '{budget}'").training_settings("UTC")


def test_a_file_that_was_named_must_exist(tmp_path):
    """A path given by hand that leads nowhere is an error: the defaults would be a silent surprise."""
    with pytest.raises(ConfigError, match=r"expected settings at .*nowhere\.toml, found no file"):
        load_config(tmp_path / "nowhere.toml")


def test_the_folder_own_file_is_read_if_it_is_there(tmp_path, monkeypatch):
    """Without a path ``peculiar.toml`` of the current folder counts if there is one, else the defaults."""
    monkeypatch.chdir(tmp_path)
    assert load_config() == Config()
    (tmp_path / "peculiar.toml").write_text(EVERYTHING)
    assert load_config() == load_config("peculiar.toml") == Config.parse(EVERYTHING)


def test_an_error_in_a_file_names_the_file(tmp_path):
    """Whoever has several settings files reads which one to open."""
    (tmp_path / "mine.toml").write_text("[windows]\nevry = '1h'")
    with pytest.raises(ConfigError, match=r"mine\.toml: unknown key windows\.evry; did you mean 'every'\?"):
        load_config(tmp_path / "mine.toml")


def test_the_rules_of_promotion_come_from_their_section():
    """Without the section the rules are the defaults; each setting is a rule, and a wrong one is named."""
    assert Config().promotion_rules() == Rules()
    given = tomllib.loads(EVERYTHING)["promotion"]
    assert Config.parse(EVERYTHING).promotion_rules() == Rules(**given)
    with pytest.raises(ConfigError, match=r"promotion\.metric"):
        Config.parse('[promotion]\nmetric = "accuracy"')
    with pytest.raises(ConfigError, match="did you mean 'least_gain'"):
        Config.parse("[promotion]\nleast_gains = 1")
