"""The simulated log: its form, its rhythm, and above all that its stories are there and no threshold finds them."""

from __future__ import annotations

import math
import subprocess
import sys
from itertools import combinations
from typing import TYPE_CHECKING

import numpy as np
import polars as pl
import pyarrow.parquet as pq
import pytest
from sklearn.metrics import average_precision_score

from peculiar.errors import ConfigError
from peculiar.experiments.city import ACTIONS, Calendar, draw_city, stream
from peculiar.experiments.scenarios import SCENARIOS, baskets
from peculiar.experiments.simulate import START, Scenarios, simulate, write_simulation

if TYPE_CHECKING:
    import pyarrow as pa

COLUMNS = [
    "event_id",
    "user_id",
    "ts",
    "action",
    "item",
    "category",
    "vehicle",
    "device",
    "country",
    "amount",
    "district",
]
SMALL = {"events": 20_000, "users": 400, "days": 30}
DAYS = 60


@pytest.fixture(scope="module")
def log() -> tuple[pl.DataFrame, pl.DataFrame]:
    """Events and labels of a city of 8,000 over 60 days."""
    simulation = simulate(events=400_000, users=8_000, days=DAYS, seed=11)
    events, labels = pl.DataFrame(simulation.events), pl.DataFrame(simulation.labels)
    return events.with_columns(pl.col(pl.Categorical).cast(pl.String), day=pl.col("ts").dt.date()), labels


@pytest.fixture(scope="module")
def events(log):
    """Events, with their ``day``."""
    return log[0]


@pytest.fixture(scope="module")
def labels(log):
    """Labels."""
    return log[1]


@pytest.fixture(scope="module")
def labelled(events, labels):
    """Events that labels name one by one, with entity and scenario."""
    return (
        labels.drop_nulls("event_id").select("entity", "event_id", "scenario", "known_at").join(events, on="event_id")
    )


@pytest.fixture(scope="module")
def odd_days(labels, labelled):
    """User-days that hold a labelled event or lie in a labelled span."""
    spans = labels.drop_nulls("from").select(
        "entity", "scenario", day=pl.date_ranges(pl.col("from").dt.date(), pl.col("to").dt.date())
    )
    points = labelled.select("entity", "scenario", "day")
    return pl.concat([points, spans.explode("day")]).unique().rename({"entity": "user_id"})


@pytest.fixture(scope="module")
def day_counts(events):
    """The raw counts of each user-day that somebody might set a threshold on."""
    return events.group_by("user_id", "day").agg(
        events=pl.len(),
        vehicles=pl.col("vehicle").drop_nulls().n_unique(),
        items=pl.col("item").drop_nulls().n_unique(),
        purchases=(pl.col("action") == "purchase").sum(),
        views=(pl.col("action") == "view").sum(),
        devices=pl.col("device").n_unique(),
        countries=pl.col("country").n_unique(),
        spent=pl.col("amount").sum(),
        largest=pl.col("amount").max().fill_null(0.0),
    )


def of(labels: pl.DataFrame, scenario: str) -> pl.DataFrame:
    """Return the labels of one scenario."""
    return labels.filter(pl.col("scenario") == scenario)


# --- Form -------------------------------------------------------------------------------------------------------------


def test_a_log_has_exactly_the_events_asked_for_in_time_order(events):
    """The number of events is exact, ids count up from 0 with time, and the columns are the documented ones."""
    assert events.drop("day").columns == COLUMNS
    assert events["event_id"].to_list() == list(range(400_000))
    assert events["ts"].is_sorted()
    assert events["ts"].dt.date().n_unique() == DAYS


def test_a_column_is_null_where_the_action_has_no_such_thing(events):
    """Rides have a vehicle, goods an item and its category, payments an amount in whole cents; nothing else has."""
    has_item = events["action"].is_in(["purchase", "refund", "view"])
    paid = events["action"].is_in(["ride", "purchase", "refund", "top_up", "transfer", "withdraw"])
    assert set(events["action"].unique()) == set(ACTIONS)
    assert (events["vehicle"].is_not_null() == (events["action"] == "ride")).all()
    assert (events["item"].is_not_null() == has_item).all()
    assert (events["category"].is_not_null() == has_item).all()
    assert (events["amount"].is_not_null() == paid).all()
    assert events["amount"].drop_nulls().min() > 0.0
    assert (events["amount"].drop_nulls() == events["amount"].drop_nulls().round(2)).all()


def test_an_item_has_one_category(events):
    """No item is sold in two categories."""
    assert events.group_by("item").agg(pl.col("category").n_unique())["category"].max() == 1


def test_the_same_seed_writes_the_same_bytes_on_any_number_of_threads(tmp_path):
    """Two processes, one confined to a single thread, write identical files; another seed writes others."""
    script = (
        "import sys, pyarrow; pyarrow.set_cpu_count(int(sys.argv[2]));"
        "from peculiar.experiments.simulate import write_simulation;"
        "write_simulation(sys.argv[1], events=20_000, users=400, days=30, seed=int(sys.argv[3]))"
    )
    for folder, threads, seed in (("one", "1", "5"), ("many", "4", "5"), ("other", "1", "6")):
        subprocess.run([sys.executable, "-c", script, str(tmp_path / folder), threads, seed], check=True, cwd=tmp_path)
    for name in ("events.parquet", "labels.parquet"):
        one, many, other = ((tmp_path / folder / name).read_bytes() for folder in ("one", "many", "other"))
        assert one == many
        assert one != other


def test_writing_day_by_day_and_writing_a_whole_log_give_the_same_files(tmp_path):
    """``simulate(...).write`` and ``write_simulation`` agree to the byte, and so do the figures with the log."""
    simulation = simulate(**SMALL, seed=3)
    simulation.write(tmp_path / "whole")
    figures = write_simulation(tmp_path / "days", **SMALL, seed=3)
    for name in ("events.parquet", "labels.parquet"):
        assert (tmp_path / "whole" / name).read_bytes() == (tmp_path / "days" / name).read_bytes()
    assert figures == {
        "rows": 20_000,
        "users": len(simulation.events["user_id"].unique()),
        "days": 30,
        "scenarios": dict.fromkeys(SCENARIOS, 3),
    }


@pytest.fixture(scope="module")
def large_file(tmp_path_factory) -> pq.ParquetFile:
    """A log of two row groups whose device dictionary outgrows Parquet's usual megabyte."""
    folder = tmp_path_factory.mktemp("large")
    write_simulation(folder, events=1_100_000, users=100_000, days=7, seed=1)
    return pq.ParquetFile(folder / "events.parquet")


def _coded_size(column: pa.ChunkedArray) -> float:
    """Bytes of a column as a dictionary of its values and bit-packed codes."""
    values = column.unique().drop_null().to_pylist()
    return sum(4 + len(value) for value in values) + len(column) * math.ceil(math.log2(len(values) + 1)) / 8


def test_strings_are_dictionary_pages_without_fallback_to_plain(large_file):
    """Every string column takes the room of its dictionary and its codes, far less than plain pages would."""
    metadata, schema = large_file.metadata.row_group(0), large_file.schema_arrow
    devices = large_file.read_row_group(0, columns=["device"])["device"]
    assert sum(4 + len(value) for value in devices.unique().to_pylist()) > 2**20
    for index, field in enumerate(schema):
        if str(field.type) == "string":
            column = large_file.read_row_group(0, columns=[field.name])[field.name]
            assert metadata.column(index).total_uncompressed_size < 1.05 * _coded_size(column) + 60_000, field.name


def test_a_file_is_plain_strings_to_a_reader_and_in_row_groups_of_a_million(large_file):
    """No reader is handed dictionaries it did not ask for, and row groups are full but for the last."""
    assert [large_file.metadata.row_group(i).num_rows for i in range(2)] == [2**20, 1_100_000 - 2**20]
    assert large_file.schema_arrow.field("device").type == "string"
    assert str(large_file.schema_arrow.field("ts").type) == "timestamp[us, tz=UTC]"


def test_a_run_that_fails_leaves_the_earlier_log_and_nothing_half_written(tmp_path):
    """An interrupted second run changes neither file of the first and leaves no other file behind."""
    write_simulation(tmp_path, **SMALL, seed=1)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}

    def interrupt(done: int, total: int) -> None:
        if done == total // 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_simulation(tmp_path, **SMALL, seed=2, progress=interrupt)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_progress_is_told_of_every_day(tmp_path):
    """``progress`` is called with 1, 2, … of the number of days."""
    calls: list[tuple[int, int]] = []
    write_simulation(tmp_path, **SMALL, seed=1, progress=lambda *call: calls.append(call))
    assert calls == [(day, 30) for day in range(1, 31)]


# --- Labels -----------------------------------------------------------------------------------------------------------


def test_a_label_is_about_an_event_or_about_a_span(labels, labelled):
    """Each label has either an event id, of an event of its own entity, or both ends of a half-open span."""
    about_event = labels["event_id"].is_not_null()
    assert (about_event == labels["from"].is_null()).all()
    assert (about_event == labels["to"].is_null()).all()
    assert (labelled["entity"] == labelled["user_id"]).all()
    assert len(labelled) == about_event.sum() == labels["event_id"].drop_nulls().n_unique()
    assert (labels.drop_nulls("from")["from"] < labels.drop_nulls("from")["to"]).all()


def test_an_incident_is_known_three_to_ten_days_after_its_last_event(labels, labelled):
    """``known_at`` is the same in all labels of an incident, and 3 to 10 days after it ended."""
    points = labelled.group_by("entity").agg(
        pl.col("known_at").n_unique().alias("n"), pl.col("known_at").max(), ended="ts"
    )
    points = points.with_columns(pl.col("ended").list.max())
    spans = labels.drop_nulls("to").select("entity", "known_at", ended="to")
    delay = pl.concat([points.select("entity", "known_at", "ended"), spans]).select(
        pl.col("known_at") - pl.col("ended")
    )
    days = delay.to_series().dt.total_seconds() / 86_400
    assert points["n"].max() == 1
    assert days.is_between(3.0 - 1e-4, 10.0).all()


def test_scenarios_scale_with_users_and_can_be_set():
    """One user in a thousand and at least three by default; a given number is kept, and 0 leaves a scenario out."""
    assert Scenarios().counts(users=100_000, most_baskets=121) == dict.fromkeys(SCENARIOS, 100)
    simulation = simulate(**SMALL, seed=1, stories=Scenarios(odd_basket=5, slow_drift=0))
    users = pl.DataFrame(simulation.labels).group_by("scenario").agg(pl.col("entity").n_unique()).rows()
    others = dict.fromkeys(SCENARIOS, 3)
    assert dict(users) == {name: n for name, n in {**others, "odd_basket": 5, "slow_drift": 0}.items() if n}


def test_no_user_is_in_two_incidents(labels):
    """Planted users are distinct, so what is found is found for one reason."""
    assert labels.group_by("entity").agg(pl.col("scenario").n_unique())["scenario"].max() == 1


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("days", [14, 30])
def test_both_stories_happen_in_the_last_quarter(seed, days):
    """However short the log, a fifty-buses user and an odd-basket user of its last quarter are there to be found."""
    stories = Scenarios(fifty_buses=1, odd_basket=1)
    simulation = simulate(events=20_000, users=400, days=days, seed=seed, stories=stories)
    labels = pl.DataFrame(simulation.labels)
    events = pl.DataFrame(simulation.events.select(["event_id", "ts"]))
    begun = labels.join(events, on="event_id", how="left").with_columns(at=pl.coalesce("from", "ts"))
    quarter = pl.lit(START).cast(pl.Datetime("us", "UTC")) + pl.duration(hours=18 * days)
    for story in ("fifty_buses", "odd_basket"):
        assert of(begun, story).select((pl.col("at") >= quarter).all()).item(), story


# --- The two stories --------------------------------------------------------------------------------------------------


def test_fifty_buses_are_fifty_vehicles_in_a_day_of_an_ordinary_card(events, labels):
    """The span lies within a day and holds fifty vehicles; on every other day the card sees a few."""
    rides = events.filter(pl.col("action") == "ride")
    for label in of(labels, "fifty_buses").iter_rows(named=True):
        own = rides.filter(pl.col("user_id") == label["entity"])
        within = own.filter(pl.col("ts").is_between(label["from"], label["to"], closed="left"))
        elsewhere = own.filter(pl.col("day") != label["from"].date()).group_by("day").agg(pl.col("vehicle").n_unique())
        assert within["day"].n_unique() == 1
        assert within["vehicle"].n_unique() >= 50
        assert (elsewhere["vehicle"].max() or 0) <= 14


@pytest.fixture(scope="module")
def odd(labelled):
    """Planted baskets: entity, items, days."""
    return of(labelled, "odd_basket").group_by("entity").agg("item", pl.col("day").unique().sort())


def test_no_two_items_of_a_planted_basket_are_ever_with_another_user(events, odd):
    """For every pair of every planted basket, the planted user alone has touched both items, in any way."""
    touched = events.drop_nulls("item").group_by("item").agg(pl.col("user_id").unique())
    users = {item: set(users) for item, users in touched.iter_rows()}
    assert len(odd) == 8
    for entity, items, _ in odd.iter_rows():
        assert len(set(items)) == 4
        for one, other in combinations(items, 2):
            assert users[one] & users[other] == {entity}


def test_every_planted_item_is_common(events, odd):
    """Each planted item is bought by at least 2 % of all users in every month."""
    bought = events.filter(pl.col("action") == "purchase", pl.col("item").is_in(odd["item"].explode().to_list()))
    month = (pl.col("day") - pl.lit(START)).dt.total_days() // 30
    buyers = bought.group_by("item", month=month).agg(share=pl.col("user_id").n_unique() / 8_000)
    assert len(buyers) == 2 * odd["item"].explode().n_unique()
    assert buyers["share"].min() >= 0.02


def test_half_of_the_baskets_are_one_visit_and_half_are_gathered_over_two_weeks(events, odd):
    """Half of the users buy the four within an hour, half on four days of fourteen."""
    spans = [(days[-1] - days[0]).days for days in odd["day"].to_list()]
    assert sorted(spans)[:4] == [0] * 4
    assert sorted(spans)[4:] == [13] * 4


def test_a_planted_basket_is_ordinary_but_for_its_items(day_counts, odd):
    """On the days of planted purchases no raw count is beyond the 95th percentile of everybody's days."""
    days = odd.select(pl.col("entity").alias("user_id"), "day").explode("day")
    theirs = day_counts.join(days, on=["user_id", "day"])
    assert len(theirs) == len(days)
    for count in ("events", "items", "purchases", "spent", "largest"):
        typical = day_counts.filter(pl.col("purchases") > 0)[count]
        assert theirs[count].median() <= typical.quantile(0.8), count
        assert theirs[count].max() <= typical.quantile(0.995), count


@pytest.mark.parametrize(("events_a_month", "prime"), [(30, 11), (15, 7), (5, 5)])
def test_planted_baskets_share_no_pair(events_a_month, prime):
    """As many baskets as the signature items allow have one item of each taste, and no pair occurs twice."""
    users = 1_000
    city = draw_city(Calendar(START, 30), events=events_a_month * users, users=users, rng=stream(1))
    chosen = baskets(prime * prime, city, stream(2))
    pairs = [pair for basket in chosen.tolist() for pair in combinations(basket, 2)]
    assert (chosen // city.per_taste == np.arange(4)).all()
    assert len(pairs) == len(set(pairs)) == 6 * prime * prime


# --- The other scenarios ----------------------------------------------------------------------------------------------


def test_a_takeover_brings_a_device_and_a_country_the_user_never_had(events, labelled):
    """No event of the user before has the stranger's device or country, and it happens at night."""
    for (entity,), theft in of(labelled, "account_takeover").group_by("entity"):
        before = events.filter(pl.col("user_id") == entity, pl.col("ts") < theft["ts"].min())
        assert not set(theft["device"]) & set(before["device"])
        assert not set(theft["country"]) & set(before["country"])
        assert theft["ts"].dt.hour().max() <= 6


def test_card_testing_is_many_tiny_payments_within_minutes(labelled):
    """At least fifteen purchases of at most 2.00 within a quarter of an hour."""
    tests = (
        of(labelled, "card_testing")
        .group_by("entity")
        .agg(n=pl.len(), largest=pl.col("amount").max(), took=pl.col("ts").max() - pl.col("ts").min())
    )
    assert tests["n"].min() >= 15
    assert tests["largest"].max() <= 2.0
    assert tests["took"].dt.total_minutes().max() <= 20


def test_slow_drift_grows_over_weeks(events, labels):
    """In each span of weeks the last third holds more events than the first, over all of them twice as many."""
    thirds = []
    for label in of(labels, "slow_drift").iter_rows(named=True):
        own = events.filter(pl.col("user_id") == label["entity"])
        third = (label["to"] - label["from"]) / 3
        first = own.filter(pl.col("ts").is_between(label["from"], label["from"] + third))
        last = own.filter(pl.col("ts").is_between(label["to"] - third, label["to"]))
        thirds.append((len(first), len(last)))
        assert third.days >= 9
        assert len(last) > len(first)
    first, last = np.sum(thirds, axis=0)
    assert last >= 2 * first


def test_exfiltration_is_breadth_at_an_ordinary_pace(events, labels):
    """Forty different items or more in one day, by a user of few, with minutes between one and the next."""
    views = events.filter(pl.col("action") == "view")
    for label in of(labels, "exfiltration").iter_rows(named=True):
        own = views.filter(pl.col("user_id") == label["entity"])
        within = own.filter(pl.col("ts").is_between(label["from"], label["to"], closed="left"))
        usual = own.filter(pl.col("day") != label["from"].date()).group_by("day").agg(pl.col("item").n_unique())
        assert within["item"].n_unique() >= 40
        assert (usual["item"].median() or 0) <= 8
        assert within["ts"].diff().dt.total_seconds().median() >= 120


# --- Realism ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("scenario", [None, *SCENARIOS])
def test_no_threshold_on_a_raw_count_finds_the_odd_days(day_counts, odd_days, scenario):
    """For all scenarios together and for each alone, the best raw count of a day has average precision below 0.5."""
    wanted = odd_days if scenario is None else of(odd_days, scenario)
    truth = wanted.select("user_id", "day", odd=pl.lit(value=True)).unique()
    counts = day_counts.join(truth, on=["user_id", "day"], how="left").with_columns(
        pl.col("odd").fill_null(value=False)
    )
    assert counts["odd"].sum() >= 8
    for count in day_counts.drop("user_id", "day").columns:
        assert average_precision_score(counts["odd"], counts[count]) < 0.5, count


def test_honest_people_see_fifty_vehicles_a_day_too(day_counts, labels):
    """More days of fifty vehicles belong to people who do it for a living than to planted users."""
    many = day_counts.filter(pl.col("vehicles") >= 50)
    honest = many.filter(~pl.col("user_id").is_in(labels["entity"].to_list()))
    assert len(honest) > len(many) - len(honest)


def test_couriers_ride_twenty_to_forty_vehicles_by_habit(day_counts):
    """Some users' median day has 20 to 40 vehicles, over many days."""
    usual = (
        day_counts.filter(pl.col("vehicles") > 0).group_by("user_id").agg(pl.col("vehicles").median(), days=pl.len())
    )
    assert len(usual.filter(pl.col("vehicles").is_between(20, 40), pl.col("days") >= 20)) >= 5


def test_working_days_have_rush_hours_and_weekends_have_none(events):
    """On working days more rides start at 8 and at 17 than at noon; at weekends noon beats 8."""
    rides = events.filter(pl.col("action") == "ride")
    working = rides.filter(pl.col("ts").dt.weekday() <= 5)["ts"].dt.hour().value_counts()
    weekend = rides.filter(pl.col("ts").dt.weekday() >= 6)["ts"].dt.hour().value_counts()
    at = {hour: count for hour, count in working.iter_rows()}  # noqa: C416 - dict() would not say what is what
    off = {hour: count for hour, count in weekend.iter_rows()}  # noqa: C416 - as above
    assert min(at[8], at[17]) > 1.2 * at[12]
    assert at[8] > 10 * at[2]
    assert off[12] > 2 * off[8]


def test_the_city_grows_rests_on_sundays_and_celebrates(events):
    """The last full week has more events than the first, Sundays fewer than Fridays, a holiday fewer than its like."""
    daily = dict(events.group_by("day").len().sort("day").rows())
    volume = list(daily.values())
    assert sum(volume[49:56]) > 1.2 * sum(volume[:7])
    assert sum(volume[6:56:7]) < 0.8 * sum(volume[4:54:7])
    # 20 January 2025, a Monday, is the city's day.
    assert volume[14] < 0.85 * min(volume[7], volume[21])


def test_activity_and_goods_have_long_tails(events):
    """The busiest tenth of users have over a third of the events, the best hundredth of items over a quarter."""
    users = events.group_by("user_id").len()["len"].sort(descending=True)
    items = events.drop_nulls("item").group_by("item").len()["len"].sort(descending=True)
    assert users.head(len(users) // 10).sum() > 0.33 * users.sum()
    assert items.head(len(items) // 100).sum() > 0.25 * items.sum()


def test_people_ride_habitual_lines_and_own_few_devices(events):
    """An ordinary rider of 20 rides or more knows the three best lines by heart, and has one to eight devices."""
    rides = events.filter(pl.col("action") == "ride").with_columns(
        line=pl.col("vehicle").str.slice(1).cast(pl.Int32) // 20
    )
    lines = rides.group_by("user_id", "line").len().sort("len", descending=True)
    share = lines.group_by("user_id").agg(top=pl.col("len").head(3).sum() / pl.col("len").sum(), n=pl.col("len").sum())
    devices = events.group_by("user_id").agg(pl.col("device").n_unique())["device"]
    assert share.filter(pl.col("n").is_between(20, 100))["top"].median() > 0.8
    assert 2.0 < devices.mean() < 4.5
    assert devices.max() <= 9


def test_honest_people_move_travel_and_shop_in_bursts_unlabelled(events, day_counts, labels):
    """Moves of house, journeys of days and baskets of thirty exist among users that no label names."""
    honest = ~pl.col("user_id").is_in(labels["entity"].to_list())
    people = (
        events.filter(honest)
        .group_by("user_id")
        .agg(pl.col("district").n_unique(), home=pl.col("country").mode().first(), abroad=pl.col("country").n_unique())
    )
    assert len(people.filter(pl.col("district") == 2)) > 50
    assert len(people.filter(pl.col("abroad") > 1)) > 400
    hauls = day_counts.filter(honest, pl.col("purchases") >= 30)
    once = hauls.group_by("user_id").len().filter(pl.col("len") == 1)
    assert len(once) > 20


def test_the_seasons_shelf_sells_in_its_month(events):
    """Some items sell mostly in one calendar month although sales as a whole are spread over both."""
    sold = events.filter(pl.col("action") == "purchase", pl.col("ts").dt.month() <= 2)
    by_month = sold.group_by("item").agg(january=(pl.col("ts").dt.month() == 1).mean(), n=pl.len())
    often = by_month.filter(pl.col("n") >= 100)
    assert len(often.filter(pl.col("january") > 0.9)) >= 3
    assert len(often.filter(pl.col("january") < 0.1)) >= 3
    assert 0.3 < often["january"].median() < 0.7


# --- Refusals ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("sizes", "message"),
    [
        ({"users": 50}, "expected users >= 100"),
        ({"days": 3}, "days >= 7"),
        ({"seed": -1}, "seed >= 0"),
        ({"events": 300}, "at least one event a user"),
        ({"stories": Scenarios(card_testing=-1)}, "expected 0 or more users for each scenario"),
        ({"stories": Scenarios(card_testing=400)}, "plant fewer"),
        ({"events": 1_000, "stories": Scenarios(fifty_buses=12)}, "the planted incidents need"),
    ],
)
def test_a_log_that_cannot_be_is_refused_with_the_way_out(sizes, message):
    """Sizes too small, and more incidents than fit, are errors that say what was expected."""
    with pytest.raises(ConfigError, match=message):
        simulate(**{**SMALL, "seed": 1, **sizes})
