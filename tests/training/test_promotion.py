"""The gate: who passes becomes the champion, who does not stays out, and why is on record in both cases."""

from __future__ import annotations

import json
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from judged_toys import FIRST, judged

from peculiar.audit import verify
from peculiar.errors import BundleError, ConfigError
from peculiar.training.judged import JUDGED, write_judged
from peculiar.training.model import Model
from peculiar.training.promotion import TAG, Asked, previous_of, promote
from peculiar.training.promotion_rules import Rules
from peculiar.training.registry import by_alias, by_number, champion, log_model, register, set_alias
from peculiar.training.store import open_store
from peculiar.training.tracking import running

NO_RULES = Rules(metric="none", calibrated=False)


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    """A store of its own."""
    return open_store(tmp_path_factory.mktemp("gate"))


@pytest.fixture(scope="module")
def model(trained):
    """A real model."""
    material = trained.result.material
    return Model(material.plan, material.population, trained.result.candidates[0].fitted)


@pytest.fixture
def version(store, model, request):
    """Register versions of a model of this test's own, each with the windows that it was judged on."""
    name = "".join(letter if letter.isalnum() else "_" for letter in request.node.name)

    def make(table=None):
        with running(store, "candidate", name="forest", kind="isolation_forest") as run:
            logged = log_model(run, model, name="isolation_forest")
            if table is not None:
                with tempfile.TemporaryDirectory() as folder:
                    write_judged(Path(folder) / JUDGED, table)
                    store.client.log_artifact(run.run_id, str(Path(folder) / JUDGED))
        return register(store, logged, name=name, description="as trained")

    make.name = name
    return make


def use(store):
    """The last line of the record of use."""
    return json.loads((store.home / "audit.jsonl").read_text().splitlines()[-1])


def told(store, version):
    """The tag that a promotion leaves on a version."""
    return json.loads(store.client.get_model_version(version.name, version.number).tags[TAG])


def test_the_first_needs_only_the_rules_about_itself(store, version):
    """Without a champion nothing is compared; the version becomes it, and nobody is previous."""
    first = version(judged(labels=False))
    done = promote(store, "1", Asked(name=first.name))
    assert (done.verdict, done.before, [each.rule for each in done.findings]) == ("promoted", None, ["calibrated"])
    assert champion(store, first.name).number == "1"
    assert by_alias(store, "previous", name=first.name) is None


def test_a_better_version_passes_and_the_old_one_stays_at_hand(store, version):
    """All rules hold: the aliases move, and run, tag, description and record of use say the same."""
    old, new = version(judged(1.0)), version(judged(2.0))
    set_alias(store, old, "champion")
    set_alias(store, new, "challenger")
    strict = Rules(least_precision_at_budget=0.2, least_recall_at_budget=0.1, most_alert_change=0.9)
    done = promote(store, "@challenger", Asked(name=new.name, rules=strict))
    rules = ["calibrated", "least_precision_at_budget", "least_recall_at_budget", "least_positives", "least_gain",
             "most_loss", "most_alert_change"]  # fmt: skip
    assert ([each.rule for each in done.findings], done.broken, done.verdict) == (rules, (), "promoted")
    assert by_number(store, new.name, "2").aliases == ("champion",)
    assert by_number(store, new.name, "1").aliases == ("previous",)
    assert told(store, new) == done.told()
    assert told(store, new)["before"] == "1"
    described = store.client.get_model_version(new.name, "2").description
    assert described.startswith("as trained\n\n- ")
    assert f"promoted as @champion (run {done.run_id})" in described
    run = store.client.get_run(done.run_id)
    assert (run.data.tags["peculiar.role"], run.data.tags["peculiar.verdict"]) == ("promotion", "promoted")
    assert run.info.status == "FINISHED"
    assert len(run.inputs.model_inputs) == 2
    line = use(store)
    assert (line["verb"], line["model"], line["version"], line["sha256"]) == ("promote", new.name, "2", new.sha256)
    assert (line["parameters"]["verdict"], line["parameters"]["before"]) == ("promoted", "1")
    verify(store.home / "audit.jsonl", head=run.data.tags["peculiar.audit"])


BROKEN = {
    "least_gain": (judged(2.0), judged(1.0), Rules(most_loss=9.0)),
    "most_loss": (judged(2.0, seed=1), judged(2.0, seed=1), Rules(most_loss=-0.01)),
    "least_precision_at_budget": (judged(1.0), judged(2.0), Rules(least_precision_at_budget=0.99)),
    "least_recall_at_budget": (judged(1.0), judged(2.0), Rules(least_recall_at_budget=0.99)),
    "most_alert_change": (judged(0.5), judged(3.0), Rules(most_alert_change=0.01)),
    "least_positives": (judged(1.0), judged(2.0), Rules(least_positives=10_000)),
    "calibrated": (judged(1.0), judged(2.0, p="off"), Rules()),
    "comparable": (judged(1.0), judged(2.0, first=FIRST + 50), Rules()),
}


@pytest.mark.parametrize("rule", BROKEN)
def test_each_rule_refuses_by_itself(store, version, rule):
    """One broken rule is enough, it alone is named with its numbers, and nothing moves but the record."""
    first, second, rules = BROKEN[rule]
    old, new = version(first), version(second)
    set_alias(store, old, "champion")
    done = promote(store, f"{new.name}/2", Asked(rules=rules))
    assert (done.verdict, [each.rule for each in done.broken], done.moved) == ("refused", [rule], False)
    assert champion(store, new.name).number == "1"
    assert by_alias(store, "previous", name=new.name) is None
    (broken,) = done.broken
    assert f"BROKEN  {rule}: {broken.said}" in str(done)
    assert any(letter.isdigit() for letter in broken.said)
    assert told(store, new)["verdict"] == "refused"
    assert f"refused as @champion; 1 of {len(done.findings)} rules broken: {rule}" in (
        store.client.get_model_version(new.name, "2").description
    )
    assert use(store)["parameters"]["broken"] == [rule]


def test_without_labels_gain_cannot_be_judged(store, version):
    """The rules of gain do not hold where nobody can see; a gate that asks for none passes."""
    old, new = version(judged(1.0, labels=False)), version(judged(2.0, labels=False))
    set_alias(store, old, "champion")
    done = promote(store, "2", Asked(name=new.name))
    assert [each.rule for each in done.broken] == ["least_positives", "least_gain"]
    assert "judge it with labels" in str(done)
    given = Asked(name=new.name, rules=Rules(metric="none", most_alert_change=0.9))
    assert promote(store, "2", given).verdict == "promoted"


def test_a_version_of_which_nothing_is_known_is_refused(store, version):
    """Without its windows a version cannot be judged, and the message says what is missing."""
    old, new = version(judged(1.0)), version()
    set_alias(store, old, "champion")
    done = promote(store, "2", Asked(name=new.name))
    assert [each.rule for each in done.broken] == ["judged"]
    assert f"has no {JUDGED}" in str(done)


def test_rules_can_be_passed_over_with_a_reason(store, version):
    """`anyway` asks for a reason; then the version is promoted, and the broken rules and the reason are on record."""
    old, new = version(judged(2.0)), version(judged(1.0))
    set_alias(store, old, "champion")
    with pytest.raises(ConfigError, match="a reason for passing rules over"):
        promote(store, "2", Asked(name=new.name, anyway=True, reason=" "))
    done = promote(store, "2", Asked(name=new.name, anyway=True, reason="the old one is unfair"))
    assert (done.verdict, done.moved) == ("promoted anyway", True)
    assert {"least_gain", "most_loss"} <= {each.rule for each in done.broken}
    assert champion(store, new.name).number == "2"
    record = told(store, new)
    assert (record["reason"], record["by"], bool(record["at"])) == ("the old one is unfair", done.by, True)
    assert '"the old one is unfair"' in store.client.get_model_version(new.name, "2").description
    better = version(judged(3.0))
    assert promote(store, better.number, Asked(name=new.name, anyway=True, reason="x")).verdict == "promoted"


@pytest.mark.parametrize("word", ["previous", "@previous"])
def test_one_step_back_asks_for_a_reason_and_no_rule(store, version, word):
    """The previous champion comes back whatever the rules say, and the way forward again is open."""
    old, new = version(judged(1.0)), version(judged(2.0))
    set_alias(store, old, "champion")
    promote(store, "2", Asked(name=new.name))
    with pytest.raises(ConfigError, match="a reason for a step back"):
        promote(store, word, Asked(name=new.name))
    done = promote(store, word, Asked(name=new.name, reason="alerts flood the team"))
    assert (done.verdict, done.version.number, done.findings) == ("rolled back", "1", ())
    assert champion(store, new.name).number == "1"
    assert by_alias(store, "previous", name=new.name).number == "2"
    assert use(store)["parameters"]["reason"] == "alerts flood the team"


def test_a_step_back_needs_somewhere_to_go(store, version):
    """Without a previous champion the message lists the aliases that there are."""
    only = version(judged())
    set_alias(store, only, "champion")
    with pytest.raises(BundleError, match="has the aliases champion and 1 versions"):
        promote(store, "previous", Asked(name=only.name, reason="x"))


def test_who_has_the_alias_already_stays(store, version):
    """Promoting the champion changes nothing and writes nothing."""
    only = version(judged())
    set_alias(store, only, "champion")
    before = (store.home / "audit.jsonl").read_bytes()
    done = promote(store, "1", Asked(name=only.name))
    assert (done.verdict, done.run_id, done.moved) == ("unchanged", "", True)
    assert (store.home / "audit.jsonl").read_bytes() == before
    assert TAG not in store.client.get_model_version(only.name, "1").tags


def test_another_alias_has_a_gate_of_its_own(store, version):
    """A version is held against who has that alias, and the champion's step back is not touched."""
    old, new = version(judged(1.0)), version(judged(2.0))
    set_alias(store, old, "champion")
    assert promote(store, "2", Asked(name=new.name, alias="shadow")).before is None
    assert champion(store, new.name).number == "1"
    done = promote(store, "1", Asked(name=new.name, alias="shadow", rules=NO_RULES))
    assert (done.before.number, previous_of("shadow")) == ("2", "previous-shadow")
    assert by_alias(store, "previous-shadow", name=new.name).number == "2"
    assert by_alias(store, "previous", name=new.name) is None


def test_a_model_whose_files_were_changed_is_never_promoted(store, version):
    """Not even with a reason: what the registry vouches for is not there."""
    bad = version(judged())
    folder = Path(store.client.get_logged_model(bad.model_id).artifact_location.removeprefix("file://"))
    next(folder.rglob("plan.json")).write_text("{}")
    with pytest.raises(BundleError, match="was changed after the model was saved"):
        promote(store, "1", Asked(name=bad.name, anyway=True, reason="in a hurry"))
    assert champion(store, bad.name) is None


def test_a_failure_leaves_the_champion_and_a_failed_run(store, version, monkeypatch):
    """If the alias cannot be moved the old champion stays, and the run says FAILED."""
    old, new = version(judged(1.0)), version(judged(2.0))
    set_alias(store, old, "champion")
    monkeypatch.setattr("peculiar.training.promotion._move", lambda *_: (_ for _ in ()).throw(OSError("disk full")))
    with pytest.raises(OSError, match="disk full"):
        promote(store, "2", Asked(name=new.name))
    assert champion(store, new.name).number == "1"
    (run,) = store.client.search_runs([store.experiment_id], f"attributes.run_name = '{new.name}/2 as champion'")
    assert run.info.status == "FAILED"


def test_two_at_once_come_one_after_the_other(store, version):
    """Of several promotions at once each is held against the winner before it: one chain, one champion at its end."""
    versions = [version(judged(float(sight))) for sight in range(4)]
    name = versions[0].name
    set_alias(store, versions[0], "champion")

    def one(number):
        return promote(store, number, Asked(name=name, rules=NO_RULES))

    with ThreadPoolExecutor(3) as threads:
        done = list(threads.map(one, ["2", "3", "4"]))
    after = {each.before.number: each.version.number for each in done}
    chain = ["1"]
    while chain[-1] in after:
        chain.append(after[chain[-1]])
    assert sorted(chain) == ["1", "2", "3", "4"]
    assert champion(store, name).number == chain[-1]
    assert by_alias(store, "previous", name=name).number == chain[-2]
    verify(store.home / "audit.jsonl")
