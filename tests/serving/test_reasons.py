"""Reasons: the right things, in the right order, with the right numbers."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest

from peculiar.features.family import Feature
from peculiar.features.population import Population, histogram
from peculiar.features.vectors import Vectors
from peculiar.serving.reasons import explain, say, untold
from peculiar.serving.scoring import score_batch
from peculiar.training.detector import Contributions
from peculiar.training.references import load

DAY = 86_400_000_000
START = 20_094 * DAY
SINCE = START + 32 * DAY
KINDS = ("isolation_forest", "lightgbm")


@pytest.fixture(scope="module")
def models(trained):
    """Both registered models by kind."""
    return {version.kind: load(trained.store, version.uri).model for version in trained.result.versions}


@pytest.fixture(scope="module")
def oddest(city, models):
    """The forty oddest rows of each model, and all vectors."""
    vectors = score_batch(models["lightgbm"], city.events, explain=0).vectors
    late = np.flatnonzero(vectors.since >= SINCE)
    found = {}
    for kind, model in models.items():
        score = model.detector.score(vectors.take(late))
        found[kind] = vectors.take(late[np.argsort(-score, kind="stable")[:40]])
    return found, vectors


def remarkable(model, vectors: Vectors, name: str, row: int) -> bool:
    """Rare among everyone (beyond the 5th or 95th percentile), or moved at least twofold from the own usual."""
    value = float(vectors.column(name)[row])
    if np.isnan(value):
        return False
    low = model.population.quantile(name, 0.05)
    below = float(model.population.share_below(name, np.array([value], np.float32))[0])
    ratio = f"{name}_ratio_vs_own"
    moved = float(vectors.column(ratio)[row]) if ratio in vectors.names else np.nan
    return value < low or below >= 0.95 or (not np.isnan(moved) and abs(moved) >= 1.0)


def astonishing(model, vectors: Vectors, name: str, row: int) -> float:
    """Bits by which a value is rare from above among everyone, or doublings from the own usual, if those are more."""
    value, ratio = vectors.column(name)[row], f"{name}_ratio_vs_own"
    moved = abs(float(np.nan_to_num(vectors.column(ratio)[row]))) if ratio in vectors.names else 0.0
    below = float(model.population.share_below(name, np.array([value], np.float32))[0])
    return moved if np.isnan(below) else max(moved, -np.log2(max(1 - below, 2.0**-20)))


def plain_reasons(model, vectors: Vectors, row: int, most: int) -> list[tuple[str, float]]:
    """The rule in plain words: which numbers are told, with which weight, in which order.

    What a feature adds counts for the number it judges, and a number for its subject; features of subjects without a
    phrase count for nothing. If no subject raised the score, what lowered it counts for nothing, too. Subjects that
    raised the score are told by the best of their numbers that did, and of their plain quantities: a remarkable one
    before others, a plain quantity before an index, then the weightier. Subjects with something remarkable come first,
    by weight, but those of under a twentieth of all that raised the score after the others, by how far they are from
    the usual, and these even if they lowered it by as little, but not by nothing; before them all comes the weightiest
    remarkable one in which the family that speaks loudest has a part.
    """
    contributions = model.detector.contributions(vectors.take(np.array([row])))
    features = {feature.name: feature for feature in vectors.features}
    number, subject, loud, touched = {}, {}, set(), set()
    able = {f.subject or f.name for f in vectors.features if f.phrase and f.name == (f.base or f.name)}
    parts = [
        (f, a)
        for f, a in zip(vectors.features, contributions.values[0].tolist(), strict=True)
        if (f.subject or f.name) in able
    ]
    sums = {about: sum(a for f, a in parts if (f.subject or f.name) == about) for about in able}
    if max(sums.values()) <= 0:
        parts = [(f, max(a, 0.0)) for f, a in parts]
    for feature, added in parts:
        about = feature.subject or feature.name
        touched |= {about} if added else set()
        told = feature.base or feature.name
        number[told] = number.get(told, 0.0) + added
        subject[about] = subject.get(about, 0.0) + added
        if feature.family == contributions.family[0] and added > 0:
            loud.add(about)
    told, light = [], 0.05 * sum(weight for weight in subject.values() if weight > 0)
    for about, weight in subject.items():
        if weight <= -light or about not in touched:
            continue
        names = [n for n in number if (features[n].subject or n) == about and features[n].phrase]
        names = [n for n in names if number[n] > 0 or features[n].level] or names
        column = vectors.names.index
        best = max(names, key=lambda n: (remarkable(model, vectors, n, row), features[n].level, number[n], -column(n)))
        plain = not remarkable(model, vectors, best, row)
        if weight > 0 or not plain:
            by = -weight if weight >= light else -astonishing(model, vectors, best, row)
            told.append((plain, weight < light, by, about, best, weight))
    told.sort()
    first = [entry for entry in told if not entry[0] and entry[3] in loud][:1]
    ordered = first + [entry for entry in told if entry not in first]
    return [(best, weight) for *_, best, weight in ordered[:most]]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("most", [1, 3, 50])
def test_reasons_follow_the_rule(models, oddest, kind, most):
    """On the oddest rows features, weights and order are those of the rule written out plainly."""
    model, vectors = models[kind], oddest[0][kind]
    for row, reasons in enumerate(explain(model, vectors, most=most)):
        wanted = plain_reasons(model, vectors, row, most)
        assert [reason.feature for reason in reasons] == [name for name, _ in wanted]
        assert [reason.weight for reason in reasons] == pytest.approx([weight for _, weight in wanted])


@pytest.mark.parametrize("kind", KINDS)
def test_at_most_so_many_reasons(models, oddest, kind):
    """Never more than asked for, never twice about one thing, and fewer reasons are the head of more."""
    vectors = oddest[0][kind]
    by_most = {most: explain(models[kind], vectors, most=most) for most in (0, 1, 3, 8)}
    assert all(reasons == [] for reasons in by_most[0])
    assert max(map(len, by_most[3])) == 3
    for many, few in zip(by_most[8], by_most[3], strict=True):
        assert many[:3] == few
        assert len({reason.feature for reason in many}) == len(many) <= 8


@pytest.mark.parametrize("kind", KINDS)
def test_the_numbers_are_right(city, models, oddest, kind):
    """A sentence tells the value, the median of the entity's own windows, and everyone's 99th percentile.

    The own usual is taken afresh from the entity's earlier vectors, everyone's from the training vectors themselves.
    """
    model, (found, every) = models[kind], oddest
    vectors, units, with_usual = found[kind], {f.name: f.unit for f in model.plan.features}, 0
    names = np.array(every.entity.to_pylist())
    for row, reasons in enumerate(explain(model, vectors, most=8)):
        since, entity = vectors.since[row], vectors.entity[row].as_py()
        before = (names == entity) & (every.since >= since - 28 * DAY) & (every.since < since)
        for reason in reasons:
            value = vectors.column(reason.feature)[row]
            if np.isnan(value):
                continue
            said = say(float(value), units[reason.feature])
            assert said in reason.text.split(";")[0]
            assert re.search(r"; 99 of 100 days (stay at or under|are at or over) \S+", reason.text)
            if "its own usual is" in reason.text:
                usual = float(np.nanmedian(every.column(reason.feature)[before]))
                told = re.search(r"its own usual is (.*?); 99 of", reason.text)[1]
                # The last digit may round the other way: the vector holds the ratio in single precision.
                slip = 0.006 if units[reason.feature] == "amount" else 1e-3 * usual
                near = {say(usual + off, units[reason.feature]) for off in (0.0, slip, -slip)}
                assert told in near, reason
                with_usual += 1
    assert with_usual > 20


def test_everyone_is_the_population(trained, models, oddest):
    """What 99 of 100 days stay under is the 99th percentile of what the population was learned from, to a bin."""
    model, train = models["isolation_forest"], trained.result.material.plan
    timeline, _, _ = trained.log.read()
    until = timeline.until(trained.result.material.acquainted)
    learned, checked = train.vectors(until, model.population), 0
    for reasons in explain(model, oddest[0]["isolation_forest"], most=3):
        for reason in reasons:
            said = re.search(r"stay at or under ([\d,.]+)$", reason.text)
            if said:
                column = learned.column(reason.feature)
                wanted = float(np.quantile(column[~np.isnan(column)], 0.99, method="inverted_cdf"))
                assert float(said[1].replace(",", "")) == pytest.approx(wanted, rel=0.065, abs=0.05)
                checked += 1
    assert checked > 20


def test_the_loudest_family_comes_first_when_it_is_remarkable(models, oddest):
    """Where the family that speaks loudest has something remarkable to tell, it is the first reason told."""
    model, vectors = models["isolation_forest"], oddest[0]["isolation_forest"]
    contributions, reasons = model.detector.contributions(vectors), explain(model, vectors, most=50)
    spoke = 0
    for row, said in enumerate(reasons):
        loud = {
            feature.subject or feature.name
            for feature, added in zip(vectors.features, contributions.values[row], strict=True)
            if feature.family == contributions.family[row] and added > 0
        }
        subjects = {feature.name: feature.subject or feature.name for feature in vectors.features}
        able = [r for r in said if subjects[r.feature] in loud and remarkable(model, vectors, r.feature, row)]
        if able:
            assert said[0] in able
            assert said[0].weight == max(reason.weight for reason in able)
            spoke += 1
    assert spoke > 10


# A toy whose answer can be read off: two families, five features.


def feature(name: str, family: str, subject: str, **more: object) -> Feature:
    """A feature of the toy."""
    words = {"unit": "events", "meaning": "", "null": f"no {subject} at all", "phrase": f"{{value}} {subject}"}
    return Feature(name=name, family=family, subject=subject, **{**words, **more})


FEATURES = (
    feature("rides_1d", "volume", "rides", level=True),
    feature("rides_1d_ratio_vs_own", "baseline", "rides", base="rides_1d", unit="log2 ratio"),
    feature("pace_1d", "velocity", "pace", unit="seconds"),
    feature("sum_1d", "volume", "sum", unit="amount", level=True),
    feature("history_28d", "baseline", "history", phrase=""),
)


class Toy:
    """A model that adds to the score what a test says."""

    def __init__(self, contributions: list[float], family: str = "volume") -> None:
        self.contributions_of_a_row, self.family = contributions, family
        seen = {
            "rides_1d": np.arange(100),
            "rides_1d_ratio_vs_own": np.zeros(100),
            "pace_1d": np.full(100, 600.0),
            "sum_1d": np.arange(100),
            "history_28d": np.arange(100),
        }
        self.population = Population(
            histograms={name: histogram([values.astype(np.float32)])[0] for name, values in seen.items()}
        )
        self.plan = type("Plan", (), {"windows": type("Windows", (), {"every": "1d"})})
        self.detector = self

    def contributions(self, vectors: Vectors) -> Contributions:
        """What the test says, for every row."""
        rows = len(vectors)
        return Contributions(np.tile(self.contributions_of_a_row, (rows, 1)), np.zeros(rows), [self.family] * rows)


def row(*values: float) -> Vectors:
    """One toy vector."""
    columns = np.array(values, np.float32).reshape(-1, 1)
    entity = pa.array(["ann"]).dictionary_encode()
    return Vectors(entity, np.array([0]), np.array([DAY]), columns, FEATURES, "toy")


def told(toy: Toy, vectors: Vectors, most: int = 9) -> list[str]:
    """The sentences of the one row."""
    return [reason.text for reason in explain(toy, vectors, most=most)[0]]


def test_a_null_is_told_by_its_own_text():
    """Where a value is null the reason is what its null means, and no number is made up."""
    toy = Toy([0, 0, 1.0, 0, 0], family="velocity")
    assert told(toy, row(50, np.nan, np.nan, 1, 1)) == ["no pace at all"]


def test_a_ratio_is_told_by_the_number_it_judges():
    """A ratio that raised the score is told as the plain count, its own usual and everyone's."""
    toy = Toy([0, 1.0, 0, 0, 0], family="baseline")
    # The median of 0 to 99 is about 50, so the ratio of 99 to 9 is log2((99 + c) / (9 + c)) for the family's offset c.
    (text,) = told(toy, row(99, 2.0, 600, 1, 1))
    assert text.startswith("99 rides; its own usual is ")
    assert text.endswith("; 99 of 100 days stay at or under 96")


def test_a_low_value_is_held_against_the_low_end():
    """Less than half of everyone is told with what 99 of 100 are at or over."""
    toy = Toy([1.0, 0, 0, 0, 0])
    assert told(toy, row(0, np.nan, 600, 1, 1)) == ["0 rides; 99 of 100 days are at or over 0"]


def test_a_number_that_nobody_had_in_training_is_told_as_that():
    """Where the population has no value of a feature, the sentence says so instead of comparing with nothing."""
    toy = Toy([1.0, 0, 0, 0, 0])
    nobody = histogram([np.full(100, np.nan, np.float32)])[0]
    toy.population = Population(histograms={**toy.population.histograms, "rides_1d": nobody})
    nothing = "none of the days that were learned from has such a number"
    assert told(toy, row(7, np.nan, 600, 1, 1)) == [f"7 rides; {nothing}"]


def test_what_lowered_the_score_is_no_reason():
    """A feature that made the row look ordinary is not told, nor one that helps a detector but no reader."""
    toy = Toy([-1.0, 0, 0, 0.5, 3.0])
    assert [text.split(";")[0] for text in told(toy, row(99, 0, 600, 98, 1))] == ["98.00 sum"]
    assert told(Toy([-1.0, -1.0, -1.0, -1.0, 5.0]), row(99, 0, 600, 98, 1)) == []


TEMPO = feature("tempo_1d", "velocity", "pace", phrase="", unit="index", meaning="Evenness of the pace.")


def with_tempo(*values: float) -> Vectors:
    """The toy vector with a feature about the pace that has no words of its own, in the place of the history."""
    return replace(row(*values), features=(*FEATURES[:4], TEMPO))


def test_what_has_no_words_is_told_by_what_it_is_about():
    """A feature without a phrase counts for its subject, which is told; the sentence says what the score goes by."""
    toy = Toy([0.0, 0, -0.5, 0, 3.0], family="velocity")
    (reason,) = explain(toy, with_tempo(50, 0, 600, 1, 0.25))[0]
    assert (reason.feature, reason.weight, reason.family) == ("pace_1d", 2.5, "velocity")
    assert reason.behind == (("tempo_1d", 3.0),)
    assert reason.text.startswith("10.0 min pace; ")
    assert reason.text.endswith("; the score goes by this: evenness of the pace: 0.25")
    (nothing,) = told(toy, with_tempo(50, 0, np.nan, 1, np.nan))
    assert nothing == "no pace at all; the score goes by this: no pace at all"
    assert "goes by" not in told(Toy([0.0, 0, 3.0, 0, 0.5]), with_tempo(50, 0, 600, 1, 0.25))[0]


def test_a_rise_that_is_outweighed_is_told_where_nothing_else_is():
    """Where each subject lowered the score on the whole, what raised it is told, and with no more than that weight."""
    toy = Toy([-2.0, 0.5, -1.0, -1.0, 0])
    (reason,) = explain(toy, row(99, 2.0, 600, 1, 1))[0]
    assert (reason.feature, reason.weight) == ("rides_1d", 0.5)
    assert [r.feature for r in explain(Toy([-2.0, 0.5, 0.25, -1.0, 0]), row(99, 2.0, 5, 1, 1))[0]] == ["pace_1d"]


def test_why_no_reason_can_be_told_is_told():
    """Nothing raised the score, or only what says nothing of what was done, which is named."""
    known = replace(FEATURES[4], meaning="Days since the first.")
    vectors = replace(row(50, 0, 600, 1, 1), features=(*FEATURES[:4], known))
    lone, nothing = Toy([-1.0, 0, 0, 0, 2.0]), Toy([-1.0, 0, 0, 0, 0])
    assert explain(lone, vectors) == explain(nothing, vectors) == [[]]
    said = "no reason can be told: what raised the score says nothing of what was done (days since the first)"
    assert untold(lone, vectors) == [said]
    assert untold(nothing, vectors) == ["no reason can be told: nothing about it raised the score"]


def test_the_remarkable_comes_before_the_weighty():
    """A weightier number that is like everyone's is told after a lighter one that is rare."""
    toy = Toy([5.0, 0, 0, 0.5, 0], family="velocity")
    assert [text.split(";")[0] for text in told(toy, row(50, 0.0, 600, 99, 1))] == ["99.00 sum", "50 rides"]


def test_the_loudest_family_yields_to_the_remarkable():
    """The family that speaks loudest comes first if it is remarkable, and not if it is like everyone."""
    values = (99, 2.0, 600, 99, 1)
    assert told(Toy([5.0, 0, 1.0, 0, 0], "velocity"), row(*values))[0].startswith("99 rides")
    far = (99, 2.0, 5, 99, 1)
    assert told(Toy([5.0, 0, 1.0, 0, 0], "velocity"), row(*far))[0].startswith("5 s pace")


def test_what_everyone_does_is_unremarkable():
    """A value equal to everyone's is like everyone's, wherever it lies in its bin of the population's histogram."""
    toy = Toy([0.5, 0, 5.0, 0, 0], family="velocity")
    assert told(toy, row(99, np.nan, 600, 1, 1))[0].startswith("99 rides")


def test_no_rows_give_no_reasons(models, oddest):
    """Zero rows in, zero lists out, for both kinds of model."""
    for kind, model in models.items():
        assert explain(model, oddest[0][kind].take(np.empty(0, np.intp))) == []


def test_reasons_do_not_depend_on_the_batch(models, oddest, monkeypatch):
    """A row's reasons are its own, whichever rows are explained beside it, and where a batch ends, too."""
    model, vectors = models["lightgbm"], oddest[0]["lightgbm"]
    alone = explain(model, vectors)
    monkeypatch.setattr("peculiar.serving.reasons._BATCH", 33)
    assert explain(model, vectors.take(np.tile(np.arange(40), 3)))[40:80] == alone


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (50.0, "events", "50"),
        (1234.0, "values", "1,234"),
        (2.5, "events", "2.5"),
        (-0.0, "events", "0"),
        (1e-9, "amount", "0.00"),
        (0.254, "share", "25 %"),
        (0.5, "seconds", "0.5 s"),
        (89.0, "seconds", "89 s"),
        (90.0, "seconds", "1.5 min"),
        (3599.0, "seconds", "60.0 min"),
        (3600.0, "seconds", "1.0 h"),
        (86_400.0, "seconds", "24.0 h"),
        (129_600.0, "seconds", "1.5 days"),
        (1234.5, "amount", "1,234.50"),
    ],
)
def test_a_number_is_said_as_a_person_would(value, unit, text):
    """Counts are whole, shares in per cent, durations in the unit that fits."""
    assert say(value, unit) == text


def test_braces_in_a_column_name_stay(models):
    """A column whose name has braces does not break its sentence."""
    odd = replace(FEATURES[0], phrase="{value} of {x}")
    vectors = replace(row(99, 0, 600, 1, 1), features=(odd, *FEATURES[1:]))
    assert told(Toy([1.0, 0, 0, 0, 0]), vectors)[0].startswith("99 of {x}; ")
