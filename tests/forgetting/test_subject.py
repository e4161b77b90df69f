"""A tuned model asked about other tasks, and the terms that remedies add to a step."""

import pytest
import torch
from forgetting_parts import battery, entries
from tiny import tiny_prepared

from tunewright.backbones.examples import Ask, Example, View
from tunewright.errors import InputError
from tunewright.forgetting.added import Added
from tunewright.forgetting.battery import open_items, read_battery
from tunewright.forgetting.cache import weights_fingerprint
from tunewright.forgetting.measure import measure
from tunewright.forgetting.other_rows import OtherRows
from tunewright.forgetting_block import BatteryBlock, RemediesBlock
from tunewright.methods.base import copy_into
from tunewright.runs.battery import subject_in
from tunewright.settings import validate

SOFT = {"name": "prompt-tuning", "length": 2}


def opened(split="test", rows=4):
    return open_items(validate(BatteryBlock, battery(), "battery").tasks, split, rows)[0]


def test_the_general_battery_has_twelve_tasks_of_many_clusters_and_text():
    from tunewright.tasks.open import resolve

    name, block = read_battery("general")
    clusters = {resolve(entry).cluster for entry in block.tasks}
    assert name == "general" and len(block.tasks) >= 12 + 2 and len(clusters) >= 12
    assert {"wikitext2", "bbc-news", "support-chats", "chitchat"} <= set(block.tasks)
    assert read_battery("general", 7)[1].rows == 7


def test_a_wrong_battery_is_one_line(tmp_path):
    with pytest.raises(InputError, match=r"no such battery.*did you mean 'general'"):
        read_battery("genral")
    twice = [*battery()["tasks"], battery()["tasks"][0]]
    with pytest.raises(InputError, match="'other-choose' stands there twice"):
        open_items(validate(BatteryBlock, battery(tasks=twice), "battery").tasks, "test", 4)
    file = tmp_path / "b.yaml"
    file.write_text("tasks: []\n")
    with pytest.raises(InputError, match="tasks"):
        read_battery(str(file))


def test_what_cannot_be_had_is_said_and_the_hub_asked_once(monkeypatch, own_cache):
    import datasets

    from tunewright.forgetting import battery as module

    offline = []

    def unreachable(*arguments, **keys):
        offline.append(datasets.config.HF_HUB_OFFLINE)
        raise ConnectionError("no network")

    monkeypatch.delenv("TUNEWRIGHT_DATA", raising=False)
    monkeypatch.setattr(datasets, "load_dataset", unreachable)
    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", False)
    said = []
    monkeypatch.setattr(module, "say", said.append)
    found, missing = open_items(["sst2", "trec", dict_block()], "test", 4)
    assert [one.name for one in missing] == ["sst2", "trec"] and [item.name for item in found] == ["other-choose"]
    assert offline[0] is False and all(offline[1:]) and len(said) == 2 and "sst2 is left out" in said[0]
    assert datasets.config.HF_HUB_OFFLINE is False


def dict_block():
    return validate(BatteryBlock, battery(), "battery").tasks[0]


def test_text_stands_behind_the_tuned_slots():
    subject = subject_in(tiny_prepared(SOFT, "llama"))
    pad = subject.backbone.pad
    view = View([5, 6, 7], [-1] * 3, [Ask(0, 0, 6, 0), Ask(0, 1, 7, 0)])
    moved = subject.with_front(Example([view])).views[0]
    assert moved.ids == [pad, pad, 5, 6, 7] and moved.soft == [0, 1, -1, -1, -1]
    assert [(ask.position, ask.token) for ask in moved.asks] == [(2, 6), (3, 7)]
    decoder = View([5], [-1], [Ask(0, 0, 6, 0)], decoders=[([0], [-1])])
    assert subject.with_front(Example([decoder])).views[0].asks[0].position == 0


@pytest.mark.parametrize("arch", ["llama", "t5", "bert"])
def test_detached_is_the_model_as_it_was_and_is_kept(arch, own_cache, monkeypatch):
    prepared = tiny_prepared(SOFT, arch)
    subject = subject_in(prepared)
    items, missing = subject.askable(opened(), 3, 16)
    assert [item.name for item in items] == ["other-choose", "other-classify", "text"] and not missing
    before = measure(subject, items, 3, 16, attached=False, title="t")
    with torch.no_grad():
        for p in prepared.tuner.tunable.trained().values():
            p.add_(3.0)
    attached = measure(subject, items, 3, 16, attached=True, title="t")
    assert attached["text"].losses != before["text"].losses
    assert attached["other-choose"].predictions[0].scores != before["other-choose"].predictions[0].scores
    from tunewright.forgetting import measure as module

    monkeypatch.setattr(module, "predict_all", lambda *a: pytest.fail("asked again"))
    monkeypatch.setattr(module, "look_at", lambda *a: pytest.fail("read again"))
    again = subject_in(prepared)
    assert measure(again, items, 3, 16, attached=False, title="t") == before
    assert len(list((own_cache / "battery").glob("*.json"))) == 3


def test_the_fingerprint_is_that_of_the_models_own_weights():
    plain, lora, full = (tiny_prepared(name, "llama").tuner for name in ("none", "lora", "full"))
    first = weights_fingerprint(plain.backbone)
    assert weights_fingerprint(lora.backbone) == first
    with torch.no_grad():
        next(iter(lora.tunable.trained().values())).add_(1.0)
        assert weights_fingerprint(lora.backbone) == first
        next(iter(full.tunable.trained().values())).add_(1.0)
    assert weights_fingerprint(full.backbone) != first


def test_a_masked_model_is_not_asked_to_write():
    subject = subject_in(tiny_prepared(SOFT, "bert"))
    from tunewright.settings import validate as check

    block = {**entries()[2], "name": "writes", "fields": {"text": "text", "more": "text"}, "target": "more"}
    [item], _ = open_items(check(BatteryBlock, {"tasks": [block]}, "b").tasks, "test", 4)
    assert not item.text and "cannot write" in subject.cannot(item)


def remedies(prepared, block):
    subject = subject_in(prepared)
    rows = OtherRows(subject, opened("train", 6), 6, 0)
    return Added(subject, validate(RemediesBlock, block, "remedies"), dict.fromkeys(("replay", "ewc", "kl"), rows))


def test_the_rows_of_a_step_depend_on_the_step_alone():
    rows = OtherRows(subject_in(tiny_prepared(SOFT, "llama")), opened("train", 6), 6, 0)
    first = [pair.detached.content for pair in rows.draw("replay", 3, 5)]
    assert first == [pair.detached.content for pair in rows.draw("replay", 3, 5)]
    assert first != [pair.detached.content for pair in rows.draw("replay", 4, 5)]
    assert len(set(first)) == 5
    assert all(max(v.soft) == -1 for pair in rows.pairs for v in pair.detached.views)
    assert all(max(v.soft) == 1 for pair in rows.pairs for v in pair.attached.views)


def test_replay_is_the_share_of_the_mean_loss_of_as_many_rows():
    prepared = tiny_prepared(SOFT, "llama")
    added = remedies(prepared, {"replay": {"share": 0.25}})
    assert added.own_share == 0.75
    [(name, term)] = added.terms(2, 6)
    pairs = added.rows["replay"].draw("replay", 2, 2)  # 2 of 8 rows
    batch = prepared.backbone.collate([pair.attached for pair in pairs])
    prepared.tuner.eval()
    wanted = -0.25 * prepared.tuner(batch).sum() / batch.asked
    assert name == "replay" and term.item() == pytest.approx(wanted.item(), rel=1e-5)
    term.backward()
    assert all(p.grad is not None for p in prepared.tuner.tunable.trained().values())


@pytest.mark.parametrize("method", [SOFT, "lora", "full"])
def test_kl_is_zero_where_the_model_is_the_original_and_grows_from_there(method):
    prepared = tiny_prepared(method, "llama")
    added = remedies(prepared, {"kl": {"weight": 2.0, "batch_size": 3}})
    assert (added.original is not None) == (method == "full")
    [(_, at_start)] = added.terms(0, 6)
    soft = method == SOFT
    assert (float(at_start) > 1e-4) if soft else (abs(float(at_start)) < 1e-5)  # an untrained prompt changes it already
    with torch.no_grad():
        for p in prepared.tuner.tunable.trained().values():
            p.add_(torch.full_like(p, 0.3))
    [(_, later)] = added.terms(0, 6)
    assert float(later) > float(at_start) + 1e-3
    later.backward()
    pairs = added.rows["kl"].draw("kl", 0, 3)
    tuner = prepared.tuner.eval()
    q = tuner.asked_logits(prepared.backbone.collate([pair.attached for pair in pairs])).log_softmax(-1)
    original = tiny_prepared("none", "llama").tuner
    p = original.asked_logits(prepared.backbone.collate([pair.detached for pair in pairs])).log_softmax(-1)
    assert float(later) == pytest.approx(2 * float((p.exp() * (p - q)).sum(-1).mean()), rel=1e-3)


def test_l2_and_ewc_are_zero_at_the_start_and_follow_their_formulas():
    prepared = tiny_prepared("full", "llama")
    added = remedies(prepared, {"l2-sp": {"weight": 0.5}, "ewc": {"weight": 10.0, "fisher_rows": 3}})
    assert {name: float(term.detach()) for name, term in added.terms(0, 6)} == {"l2-sp": 0.0, "ewc": 0.0}
    trained = prepared.tuner.tunable.trained()
    name = next(n for n, f in added.fisher.items() if float(f.sum()) > 0)
    copy_into({name: trained[name]}, {name: trained[name].detach() + 0.1}, "test")
    terms = dict(added.terms(0, 6))
    assert float(terms["l2-sp"]) == pytest.approx(0.5 * 0.01 * trained[name].numel(), rel=1e-3)
    assert float(terms["ewc"]) == pytest.approx(10 * 0.5 * 0.01 * float(added.fisher[name].sum()), rel=1e-3)


def test_a_head_alone_has_no_remedy_and_none_forgets_nothing():
    from dataclasses import replace

    from tunewright.runs.remedies import open_remedies

    for method, why in (({"name": "head", "backbone": "frozen"}, "a head alone"), ("none", "trains nothing")):
        prepared = tiny_prepared(method, "llama")
        block = validate(RemediesBlock, {"l2-sp": {}}, "remedies")
        prepared = replace(prepared, recipe=prepared.recipe.model_copy(update={"remedies": block}))
        with pytest.raises(InputError, match=why):
            open_remedies(prepared)
