"""The book's features, as the package's parts make them, are those of the book's own pandas."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from peculiar.experiments.rivals import book

pytestmark = pytest.mark.long

HOUR = 3_600_000_000
START = 1_522_540_800_000_000  # 1 April 2018


def plain(payments: pd.DataFrame) -> pd.DataFrame:
    """The book's definitions in pandas: rolling windows by customer, and by terminal with a delay of seven days."""
    payments = payments.sort_values(["ts", "event_id"]).reset_index(drop=True)
    made = pd.DataFrame({"event_id": payments["event_id"]})
    for _, group in payments.groupby("user_id"):
        rows = group.set_index("ts")["amount"]
        for days in (1, 7, 30):
            rolling = rows.rolling(f"{days}D")
            count, total = rolling.count().to_numpy(), rolling.sum().to_numpy()
            made.loc[group.index, f"customer_count_{days}d"] = count
            made.loc[group.index, f"customer_mean_amount_{days}d"] = total / count
    for _, group in payments.groupby("terminal_id"):
        fraud = group.set_index("ts")["is_fraud"]
        late = fraud.rolling("7D")
        for days in (1, 7, 30):
            wide = fraud.rolling(f"{7 + days}D")
            count = (wide.count() - late.count()).to_numpy()
            bad = (wide.sum() - late.sum()).to_numpy()
            made.loc[group.index, f"terminal_count_{days}d"] = count
            made.loc[group.index, f"terminal_risk_{days}d"] = np.where(count > 0, bad / np.maximum(count, 1), 0.0)
    made["weekend"] = (payments["ts"].dt.day_of_week >= 5).astype(int)
    made["night"] = (payments["ts"].dt.hour <= 6).astype(int)
    return made.set_index("event_id")


def ours(folder, payments: pd.DataFrame) -> pd.DataFrame:
    """The driver's features of the same payments, from files as the driver reads them."""
    events, labels = folder / "events.parquet", folder / "labels.parquet"
    pq.write_table(pa.Table.from_pandas(payments.drop(columns="is_fraud"), preserve_index=False), events)
    listed = payments[payments["is_fraud"] == 1][["event_id", "is_fraud"]]
    pq.write_table(pa.Table.from_pandas(listed, preserve_index=False), labels)
    timeline, fraud = book.read(events, labels)
    made = pd.DataFrame(book.twelve(timeline, fraud).T, columns=list(book.NAMES))
    return made.set_index(payments["event_id"].to_numpy()[timeline.row])


def same(payments: pd.DataFrame, folder) -> None:
    """Hold the driver against the plain version, payment by payment."""
    expected, found = plain(payments), ours(folder, payments).loc[lambda frame: frame.index.sort_values()]
    assert sorted(expected.columns) == sorted(book.NAMES)
    for name in book.NAMES:
        np.testing.assert_allclose(found[name], expected[name].sort_index(), rtol=1e-4, atol=1e-6, err_msg=name)


@settings(max_examples=25, deadline=None)
@given(
    st.lists(
        st.tuples(st.integers(0, 60 * 24), st.integers(0, 2), st.integers(0, 2), st.integers(1, 500), st.booleans()),
        min_size=1,
        max_size=120,
    )
)
def test_the_features_are_the_books(tmp_path_factory, rows):
    """Counts, means, risks and flags equal the book's pandas on any payments, ties at one instant and gaps included."""
    hour, user, terminal, amount, bad = (np.array(column) for column in zip(*rows, strict=True))
    payments = pd.DataFrame(
        {
            "event_id": np.arange(len(rows)),
            "user_id": user,
            "ts": pd.to_datetime(START + hour.astype(np.int64) * HOUR, unit="us"),
            "terminal_id": terminal,
            "amount": amount / 7.0,
            "is_fraud": bad.astype(int),
        }
    )
    same(payments, tmp_path_factory.mktemp("book"))


@pytest.mark.benchmark_data
def test_the_features_are_the_books_on_its_own_payments(tmp_path, benchmark_data):
    """On the book's payments at 60 of its terminals the driver gives what the book's pandas gives."""
    folder = benchmark_data / "fraud_handbook"
    payments = pd.read_parquet(folder / "events.parquet", filters=[("terminal_id", "<", 60)])
    bad = pd.read_parquet(folder / "labels.parquet", columns=["event_id"])["event_id"]
    same(payments.assign(is_fraud=payments["event_id"].isin(bad).astype(int)), tmp_path)
