"""Soft prompts by eye and against references: literal rows and ids, PEFT's encoders, ensembles, prompts on disk."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from peft import PromptEncoder, PromptEncoderConfig
from tiny import prompt_of, row, tiny_backbone, tiny_prepared, tiny_train, words

from tunewright.errors import InputError
from tunewright.evaluation.scoring import Asking, predict, voted
from tunewright.methods.base import Setting
from tunewright.methods.registry import make_method
from tunewright.methods.soft.encoders import LstmEncoder, MlpEncoder
from tunewright.methods.soft.files import read_prompt, write_prompt
from tunewright.methods.soft.starts import words_to_ids
from tunewright.objectives.losses import answer_loss
from tunewright.prompts.layout import SlotGroup, SlotLayout
from tunewright.prompts.segments import Answer, Soft
from tunewright.runs.prepare import Prepared
from tunewright.runs.tuning import make_plan

THREE = ("llama", "t5", "bert")


def tuned(method: Any, arch: str = "llama", template: Any = None, **training: Any) -> Prepared:
    return tiny_prepared(method, arch, training=training, template=template)


@torch.no_grad()
def log_probs(prepared: Prepared, purpose: str = "answer") -> torch.Tensor:
    examples = prepared.encoder(prepared.task.split("test")).examples(range(6), 0, purpose)  # type: ignore[arg-type]
    return prepared.tuner.eval()(prepared.backbone.collate([e for e in examples if e is not None]))


# ---- literal ------------------------------------------------------------------------------------------------


def test_bert_reads_x_it_soft_mask() -> None:
    backbone = tiny_backbone("bert")
    layout = SlotLayout((SlotGroup("p", 0, 1),))
    prompt = prompt_of(row("the cat"), " it ", Soft("p", 1), Answer(), target="good")
    (view,) = backbone.encode_many([prompt], layout, "answer")[0].views
    assert words(backbone, view.ids) == "[CLS] the cat it [PAD] [MASK] [SEP]"
    assert view.soft == [-1, -1, -1, -1, 0, -1, -1]
    assert [(ask.position, words(backbone, [ask.token])) for ask in view.asks] == [(5, "good")]


def test_t5_class_label_start_of_a_hundred_slots_and_twenty_labels() -> None:
    """Labels of several sub-tokens: the first 20 rows are their mean vectors."""
    backbone = tiny_backbone("t5")
    parts = ("good", "bad", "warm", "snow", "rain")
    labels = tuple(f"{a} {b} team" for a in parts for b in ("day", "night", "film", "story"))
    assert len(labels) == 20
    method = make_method({"name": "prompt-tuning", "length": 100, "init": "class-label"})
    layout = SlotLayout((SlotGroup("p", 0, 100),))
    table = method.tune(backbone, layout, Setting("classify", labels, 0)).table()
    assert table is not None and table.shape == (100, 32)
    weight = backbone.model.get_input_embeddings().weight.detach()
    ids = backbone.tokenizer.convert_tokens_to_ids
    for i, label in enumerate(labels):
        a, b, c = (ids(f"▁{word}") for word in label.split())
        assert torch.allclose(table[i], (weight[a] + weight[b] + weight[c]) / 3, atol=1e-6)


@pytest.mark.parametrize("arch", THREE)
def test_trained_words_start_as_the_discrete_template(arch: str) -> None:
    """`soft("It was")` says at first what the words say; training moves them, never the vocabulary's own vectors."""
    soft = tuned("prompt-tuning", arch, '{{ text }}{{ soft("it was") }} {{ answer }}')
    plain = prompt_of(row("the film"), " it was", " ", Answer(), target="good")
    trained = prompt_of(row("the film"), Soft("inline/1", None, "it was"), " ", Answer(), target="good")
    found = []
    for prompt in (plain, trained):
        batch = soft.backbone.collate(soft.backbone.encode_many([prompt], soft.layout, "answer"))
        with torch.no_grad():
            found.append(soft.tuner.eval()(batch))
    assert torch.allclose(found[0], found[1], atol=1e-6)
    vocabulary = soft.backbone.model.get_input_embeddings().weight.detach().clone()
    start = soft.tuner.tunable.table()
    assert start is not None
    start = start.detach().clone()
    assert torch.equal(start, vocabulary[words_to_ids(soft.backbone, "it was")])
    tiny_train(soft, None, learning_rate=0.1, steps=3)
    now = soft.tuner.tunable.table()
    assert now is not None and not torch.allclose(now, start, atol=1e-3)
    assert torch.equal(soft.backbone.model.get_input_embeddings().weight, vocabulary)


def test_slots_in_encoder_and_decoder_learn_together() -> None:
    template = "{{ soft(2) }}{{ text }}{{ soft(3, slot='d', side='decoder') }}{{ answer }}"
    prepared = tuned("prompt-tuning", "t5", template)
    assert [(g.name, g.start, g.length, g.side) for g in prepared.layout.groups] == [
        ("inline/1", 0, 2, "encoder"), ("d", 2, 3, "decoder"),
    ]  # fmt: skip
    examples = prepared.encoder(prepared.task.split("test")).examples(range(6), 0, "answer")
    answer_loss(prepared.tuner(prepared.backbone.collate([e for e in examples if e is not None]))).backward()
    gradient = prepared.tuner.tunable.trained()["tunable.prompt"].grad
    assert gradient is not None and bool((gradient.abs().sum(1) > 0).all())


# ---- P-Tuning -----------------------------------------------------------------------------------------------


def test_the_lstm_encoder_is_pefts() -> None:
    """PEFT's form with hidden d/2 is the authors': the same weights give the same vectors."""
    config = PromptEncoderConfig(
        num_virtual_tokens=5, token_dim=8, num_transformer_submodules=1, encoder_reparameterization_type="LSTM",
        encoder_hidden_size=4, encoder_num_layers=2, encoder_dropout=0.0,
    )  # fmt: skip
    reference, ours = PromptEncoder(config), LstmEncoder([5], 8)
    ours.embedding.load_state_dict(reference.embedding.state_dict())
    ours.lstm.load_state_dict(reference.lstm_head.state_dict())
    ours.mlp.load_state_dict(reference.mlp_head.state_dict())
    assert torch.allclose(ours(), reference(torch.arange(5).unsqueeze(0))[0], atol=1e-6)


def test_each_task_is_a_sequence_of_its_own() -> None:
    """Slots of one task do not move with another task's."""
    encoder = LstmEncoder([2, 3], 8)
    before = encoder().detach()
    with torch.no_grad():
        encoder.embedding.weight[4] += 1
    after = encoder().detach()
    assert torch.equal(before[:2], after[:2]) and not torch.allclose(before[2:4], after[2:4])


def test_the_mlp_encoder_is_pefts() -> None:
    config = PromptEncoderConfig(
        num_virtual_tokens=5, token_dim=8, num_transformer_submodules=1, encoder_reparameterization_type="MLP",
        encoder_hidden_size=6,
    )  # fmt: skip
    reference, ours = PromptEncoder(config), MlpEncoder(5, 8, 6)
    ours.embedding.load_state_dict(reference.embedding.state_dict())
    ours.mlp.load_state_dict(reference.mlp_head.state_dict())
    assert torch.allclose(ours(), reference(torch.arange(5).unsqueeze(0))[0], atol=1e-6)


def test_p_tuning_starts_at_its_anchor_words() -> None:
    template = '{{ soft(2) }}{{ text }}{{ soft("topic") }} {{ answer }}'
    prepared = tuned({"name": "p-tuning", "init": "none"}, template=template)
    table = prepared.tuner.tunable.table()
    assert table is not None and table.shape == (3, 32)
    weight = prepared.backbone.model.get_input_embeddings().weight.detach()
    (topic,) = words_to_ids(prepared.backbone, "topic")
    assert torch.allclose(table[2], weight[topic], atol=1e-6)
    encoder = prepared.tuner.tunable.encoder
    assert encoder is not None and torch.allclose(table[:2], encoder()[:2], atol=1e-6)


def test_p_tuning_drops_its_encoder_when_kept(tmp_path: Path) -> None:
    prepared = tuned({"name": "p-tuning", "length": 4}, learning_rate=0.03)
    tiny_train(prepared, None, steps=4)
    prepared.tuner.tunable.save(tmp_path)
    assert sorted(file.name for file in tmp_path.iterdir()) == ["prompt.json", "prompt.safetensors"]
    again = tuned({"name": "p-tuning", "length": 4})
    again.tuner.tunable.load(tmp_path)
    assert again.tuner.tunable.encoder is None and not again.tuner.tunable.trained()
    assert torch.equal(log_probs(again), log_probs(prepared))


def test_the_model_tuned_with_the_prompt(tmp_path: Path) -> None:
    block = {"name": "p-tuning", "length": 4, "tune_model": True, "model_rate": 0.1}
    prepared = tuned(block, "bert", learning_rate=0.01)
    tunable = prepared.tuner.tunable
    names = tunable.trained()
    assert {name.partition(".")[0] for name in names} == {"model", "tunable"}
    assert {tunable.rate_of(name) for name in names if name.startswith("model.")} == {0.1}
    assert {tunable.rate_of(name) for name in names if name.startswith("tunable.")} == {1.0}
    untuned = log_probs(prepared)
    tiny_train(prepared, None, steps=4)
    tunable.save(tmp_path)
    again = tuned(block, "bert")
    assert torch.equal(log_probs(again), untuned)
    again.tuner.tunable.load(tmp_path)
    assert torch.equal(log_probs(again), log_probs(prepared))


# ---- ensembles and presets ----------------------------------------------------------------------------------


@pytest.mark.parametrize("arch", THREE)
def test_an_ensembles_members_are_its_prompts_apart(arch: str) -> None:
    """Three prompts in one batch: each member's log probabilities are those of a run with that prompt alone."""
    ensemble = tuned({"name": "prompt-tuning", "length": 3, "ensemble": 3}, arch)
    table = ensemble.tuner.tunable.table()
    assert table is not None and table.shape == (9, 32)
    rows = ensemble.encoder(ensemble.task.split("test"))
    purpose: Any = "choices"
    batch = ensemble.backbone.collate([e for e in rows.examples(range(6), 0, purpose) if e is not None])
    with torch.no_grad():
        together = ensemble.tuner.eval().member_log_probs(batch)
        mean = ensemble.tuner(batch)
    for member in range(3):
        alone = tuned({"name": "prompt-tuning", "length": 3}, arch)
        alone.tuner.tunable.put(table[3 * member : 3 * member + 3].detach())
        with torch.no_grad():
            assert torch.allclose(alone.tuner.eval()(batch), together[member], atol=1e-5)
    assert torch.allclose(mean, together.mean(0))
    assert not torch.allclose(together[0], together[1], atol=1e-3)


def test_a_vote_of_three_prompts_by_hand() -> None:
    """Two of three prompts say label 1; where each says another, the larger mean probability decides."""
    scores = [torch.log(torch.tensor(rows)) for rows in (
        [[0.9, 0.1, 0.0], [0.8, 0.1, 0.1]],
        [[0.4, 0.6, 0.0], [0.1, 0.5, 0.4]],
        [[0.4, 0.6, 0.0], [0.3, 0.3, 0.4]],
    )]  # fmt: skip
    shares = voted(scores).exp()
    assert shares.argmax(-1).tolist() == [1, 0]
    assert torch.allclose(shares[0], torch.tensor([1 + 1.7 / 3, 2 + 1.3 / 3, 0.0]) / 4)
    assert torch.allclose(shares.sum(-1), torch.ones(2))


@pytest.mark.parametrize("arch", THREE)
def test_an_ensemble_answers_by_sum_or_by_vote(arch: str) -> None:
    """Against its members asked one by one: the mean of their scores, or their votes."""
    found = {}
    for vote in ("sum", "majority"):
        prepared = tuned({"name": "prompt-tuning", "length": 3, "ensemble": 3, "vote": vote}, arch)
        table = prepared.tuner.tunable.table()
        assert table is not None
        found[vote] = scores_of(prepared)
    members = []
    for member in range(3):
        alone = tuned({"name": "prompt-tuning", "length": 3}, arch)
        alone.tuner.tunable.put(table[3 * member : 3 * member + 3].detach())
        members.append(scores_of(alone))
    assert found["sum"].shape == (6, 3)
    assert torch.allclose(found["sum"], torch.stack(members).mean(0), atol=1e-4)
    assert torch.allclose(found["majority"], voted(members), atol=1e-4)
    assert not torch.allclose(found["majority"], found["sum"], atol=0.1)


def scores_of(prepared: Prepared) -> torch.Tensor:
    found = predict(prepared.tuner, prepared.encoder(prepared.task.split("test")), prepared.task, Asking())
    return torch.tensor([prediction.scores for prediction in found])


@pytest.mark.parametrize("kind", ["generate", "tag", "regress"])
def test_an_ensemble_cannot_write(kind: Any) -> None:
    with pytest.raises(InputError, match=rf"by choices, and cannot write; the task 'tiny-{kind}' is of kind {kind}"):
        tiny_prepared({"name": "prompt-tuning", "length": 3, "ensemble": 2}, "llama", kind)


@pytest.mark.parametrize(
    ("settings", "template"),
    [({"init": "text", "text": "it was"}, None), ({"init": "class-label", "length": 3}, None),
     ({}, '{{ text }} {{ soft("it was") }} {{ answer }}')],
)  # fmt: skip
def test_an_ensemble_of_equal_prompts_is_refused(settings: dict[str, Any], template: str | None) -> None:
    with pytest.raises(InputError, match="its 2 prompts would all start from the same vectors"):
        tuned({"name": "prompt-tuning", "ensemble": 2, **settings}, template=template)
    more = tuned({"name": "prompt-tuning", "ensemble": 2, "init": "class-label", "length": 4})
    table = more.tuner.tunable.table()
    assert table is not None and torch.equal(table[:3], table[4:7]) and not torch.equal(table[3], table[7])


def test_the_papers_preset() -> None:
    method = make_method({"name": "prompt-tuning", "preset": "lester2021"})
    assert (method.length, method.init, method.placement) == (100, "class-label", "front")  # type: ignore[attr-defined]
    defaults = method.defaults_for("seq2seq")
    assert defaults is not None
    assert (defaults.optimizer, defaults.learning_rate, defaults.schedule) == ("adafactor", 0.3, "constant")
    assert (defaults.weight_decay, defaults.batch_size, defaults.steps) == (1e-5, 32, 30_000)
    own = make_method({"name": "prompt-tuning", "preset": "lester2021", "length": 20})
    assert own.length == 20  # type: ignore[attr-defined]


def test_the_papers_preset_stops_early() -> None:
    """Ten looks without a better one fit many times into its 30,000 steps; a short training still has ten looks."""
    block = {"name": "prompt-tuning", "preset": "lester2021"}
    for training, every in ({"steps": None}, 500), ({"steps": 50}, 5), ({"steps": 50, "evaluate_every": 7}, 7):
        prepared = tuned(block, "t5", **training)
        defaults = prepared.method.defaults_for("seq2seq")
        assert defaults is not None
        encoder = prepared.encoder(prepared.task.split("train"))
        plan = make_plan(prepared, defaults, 24, "answer", encoder)
        assert (plan.evaluate_every, plan.patience, plan.optimizer) == (every, 10, "adafactor")
        assert training["steps"] is not None or plan.steps / every > 4 * 10


def test_the_papers_preset_on_a_prompt_of_another_length(tmp_path: Path) -> None:
    tuned({"name": "prompt-tuning", "length": 5}, "t5").tuner.tunable.save(tmp_path)
    block = {"name": "prompt-tuning", "preset": "lester2021", "init": {"prompt": str(tmp_path)}}
    assert tuned(block, "t5").layout.rows == 5
    with pytest.raises(InputError, match="holds 5 slots, this run has 100"):
        tuned({**block, "length": 100}, "t5")


# ---- prompts kept and read ----------------------------------------------------------------------------------


def test_a_start_from_another_runs_prompt(tmp_path: Path) -> None:
    first = tuned({"name": "prompt-tuning", "length": 5}, learning_rate=0.1)
    tiny_train(first, None, steps=3)
    first.tuner.tunable.save(tmp_path)
    kept = read_prompt(tmp_path)
    assert (kept.members, kept.model, list(kept.table.shape)) == (1, "tiny-llama", [5, 32])
    second = tuned({"name": "prompt-tuning", "init": {"prompt": str(tmp_path)}})
    assert torch.equal(second.tuner.tunable.table(), kept.table)  # type: ignore[arg-type]
    encoded = tuned({"name": "p-tuning", "init": {"prompt": str(tmp_path)}})
    assert torch.allclose(encoded.tuner.tunable.table(), kept.table, atol=1e-6)  # type: ignore[arg-type]


def test_a_released_matrix_is_a_start(tmp_path: Path) -> None:
    matrix = np.arange(4 * 32, dtype=np.float32).reshape(4, 32)
    np.save(tmp_path / "prompt.npy", matrix)
    prepared = tuned({"name": "prompt-tuning", "init": {"prompt": str(tmp_path / "prompt.npy")}}, "t5")
    assert torch.equal(prepared.tuner.tunable.table(), torch.from_numpy(matrix))  # type: ignore[arg-type]


def test_prompts_that_do_not_fit(tmp_path: Path) -> None:
    def start(path: Path, **more: Any) -> None:
        tuned({"name": "prompt-tuning", "init": {"prompt": str(path)}, **more})

    with pytest.raises(InputError, match=r"holds no soft prompt \(no prompt.json\)"):
        start(tmp_path)
    np.save(tmp_path / "wide.npy", np.zeros((4, 33), np.float32))
    with pytest.raises(InputError, match=r"wide.npy: its vectors have 33 numbers, those of tiny-llama 32"):
        start(tmp_path / "wide.npy")
    np.save(tmp_path / "flat.npy", np.zeros(4, np.float32))
    with pytest.raises(InputError, match=r"flat.npy: a matrix \[slots, width\] of floats wanted, found float32 \[4\]"):
        start(tmp_path / "flat.npy")
    np.save(tmp_path / "pickle.npy", np.array([{}], dtype=object), allow_pickle=True)
    with pytest.raises(InputError, match=r"pickle.npy: not a .npy file of numbers"):
        start(tmp_path / "pickle.npy")
    np.save(tmp_path / "six.npy", np.zeros((6, 32), np.float32))
    with pytest.raises(InputError, match=r"holds 6 slots, this run has 4: leave method.length out"):
        start(tmp_path / "six.npy", length=4)
    other = tiny_backbone("gpt2")
    write_prompt(tmp_path, torch.zeros(4, 32), other, SlotLayout((SlotGroup("p", 0, 4),)))
    with pytest.raises(InputError, match="made for tiny-gpt2 with another tokenizer than that of tiny-llama"):
        start(tmp_path)


def test_a_kept_prompt_of_other_slots_is_refused(tmp_path: Path) -> None:
    tuned({"name": "prompt-tuning", "length": 5}).tuner.tunable.save(tmp_path)
    with pytest.raises(InputError, match="its slots are not those of this run's templates and method"):
        tuned({"name": "prompt-tuning", "length": 4}).tuner.tunable.load(tmp_path)


def test_starts_differ_by_seed_and_member() -> None:
    backbone = tiny_backbone("llama")
    method = make_method({"name": "prompt-tuning", "length": 3, "ensemble": 2})
    layout = SlotLayout((SlotGroup("p", 0, 3),))
    setting = Setting("classify", ("a",), 0)
    one, again, other = (
        method.tune(backbone, layout, replace(setting, seed=seed)).table() for seed in (0, 0, 1)
    )  # fmt: skip
    assert one is not None and again is not None and other is not None
    assert torch.equal(one, again) and not torch.equal(one, other) and not torch.equal(one[:3], one[3:])
