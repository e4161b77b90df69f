"""Label vectors: their start, their scores by formula, where the state is read, what is kept, what a run shows."""

from pathlib import Path
from typing import Any

import pytest
import torch
from tiny import tiny_prepared
from torch import Tensor

from tunewright.backbones.heads import output_vectors, vocabulary_input
from tunewright.errors import InputError
from tunewright.evaluation.scoring import purpose_of
from tunewright.methods.soft.starts import words_to_ids
from tunewright.runs.prepare import Prepared
from tunewright.runs.starting import start_from_states
from tunewright.runs.tuning import tune

ARCHITECTURES = ("llama", "gpt2", "opt", "t5", "t5-untied", "bart", "bert", "roberta")
LABELS = ("sport", "money", "weather")


def prepared_for(arch: str, **settings: Any) -> Prepared:
    training = {"learning_rate": 0.1, "steps": 10, "evaluate_every": 10}
    return tiny_prepared({"name": "soft-verbalizer", **settings}, arch, training=training)


@torch.no_grad()
def scores(prepared: Prepared, split: str = "test") -> Tensor:
    rows = prepared.task.split(split)
    examples = prepared.encoder(rows).examples(range(len(rows)), 0, "state")
    return prepared.tuner.eval()(prepared.backbone.collate([e for e in examples if e is not None]))


@torch.no_grad()
def states(prepared: Prepared, split: str = "test") -> Tensor:
    """The states where the answer begins, by each model's own forward."""
    backbone, rows = prepared.backbone, prepared.task.split(split)
    found = []
    for example in prepared.encoder(rows).examples(range(len(rows)), 0, "state"):
        assert example is not None
        (view,) = example.views
        ids = torch.tensor([view.ids])
        if backbone.family == "seq2seq":
            encoded = backbone.model.get_encoder()(input_ids=ids).last_hidden_state
            head = torch.tensor([view.decoders[0][0]])
            found.append(backbone.model.get_decoder()(input_ids=head, encoder_hidden_states=encoded)[0][0, -1])
        else:
            whole = backbone.model.base_model(input_ids=ids).last_hidden_state[0]
            at = view.ids.index(backbone.tokenizer.mask_token_id) if backbone.family == "masked" else -1
            found.append(whole[at])
    return torch.stack(found)


@pytest.mark.parametrize("arch", ARCHITECTURES)
def test_a_score_is_the_label_words_logit_at_the_start(arch: str) -> None:
    prepared = prepared_for(arch)
    backbone = prepared.backbone
    ids = [words_to_ids(backbone, label) for label in LABELS]
    assert all(len(tokens) == 1 for tokens in ids)
    at = [tokens[0] for tokens in ids]
    with torch.no_grad():
        logits = backbone.logits(states(prepared))[:, at]
    ours = scores(prepared)
    assert ours.shape == (6, 3)
    # The same up to the head's bias, which differences between rows do not see.
    assert torch.allclose(ours.diff(dim=0), logits.diff(dim=0), atol=1e-4)


def test_a_word_of_several_tokens_starts_from_their_mean() -> None:
    from tunewright.methods.soft_verbalizer import label_vectors

    backbone = prepared_for("bert").backbone
    ids = words_to_ids(backbone, "rainbow")
    assert len(ids) > 1
    weight = backbone.model.get_output_embeddings().weight
    assert torch.allclose(label_vectors(backbone, ["rainbow"])[0], weight[ids].mean(0))


@pytest.mark.parametrize("arch", ["llama", "t5", "bert"])
def test_scores_are_states_times_vectors(arch: str) -> None:
    prepared = prepared_for(arch)
    vectors = torch.randn(3, prepared.backbone.width, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        prepared.tuner.tunable.scores.vectors.copy_(vectors)
        expected = vocabulary_input(prepared.backbone.model, states(prepared)) @ vectors.T
    assert torch.allclose(scores(prepared), expected, atol=1e-4)


@pytest.mark.parametrize("arch", ["gpt2", "t5-untied", "roberta"])
def test_prototypes_are_mean_states_and_scores_cosines(arch: str) -> None:
    prepared = prepared_for(arch, prototypes=True, temperature=0.5)
    start_from_states(prepared)
    train, test = states(prepared, "train"), states(prepared)
    gold = [LABELS.index(label) for label in prepared.task.split("train").columns["label"]]
    means = torch.stack([train[[i for i, g in enumerate(gold) if g == label]].mean(0) for label in range(3)])
    centre = means.mean(0)
    for i, row in enumerate(scores(prepared)):
        for label in range(3):
            a, b = test[i] - centre, means[label] - centre
            assert float(row[label]) == pytest.approx(float(a @ b / a.norm() / b.norm()) / 0.5, abs=1e-3)


@pytest.mark.parametrize("train", ["vectors", "prompt", "model"])
@pytest.mark.parametrize("prototypes", [False, True])
def test_what_is_trained_and_kept(tmp_path: Path, train: str, prototypes: bool) -> None:
    settings = {"train": train, "prototypes": prototypes, **({"length": 3} if train == "prompt" else {})}
    prepared = prepared_for("llama", **settings)
    names = set(prepared.tuner.tunable.trained())
    own = {"tunable.scores.vectors", *(["tunable.scores.centre"] if prototypes else [])}
    own |= {"tunable.prompt"} if train == "prompt" else set()
    assert {name for name in names if not name.startswith("model.")} == own
    assert any(name.startswith("model.") for name in names) == (train == "model")
    untuned = scores(prepared)
    tune(prepared, tmp_path, resume=False, name="tiny")
    tuned = scores(prepared)
    assert not torch.allclose(untuned, tuned, atol=1e-3)
    kept = tmp_path / "kept"
    kept.mkdir()
    prepared.tuner.tunable.save(kept)
    again = prepared_for("llama", **settings)
    again.tuner.tunable.load(kept)
    assert torch.equal(scores(again), tuned)


def test_label_vectors_learn_at_their_own_rate() -> None:
    tunable = prepared_for("llama", train="model").tuner.tunable
    assert tunable.rate_of("tunable.scores.vectors") == pytest.approx(3e-3 / 5e-5)
    assert tunable.rate_of("model.anything") == 1.0


def test_before_tuning_the_label_words_answer() -> None:
    prepared = prepared_for("llama")
    assert purpose_of(prepared.task, prepared.tuner) == "state"
    with prepared.tuner.tunable.detached():
        assert purpose_of(prepared.task, prepared.tuner) == "choices"
    assert purpose_of(prepared.task, prepared.tuner) == "state"


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"length": 5}, "length is for train: prompt"),
        ({"temperature": 0.1}, "temperature is for prototypes: true"),
        ({"train": "prompt", "shared": True}, "shared is for several tasks"),
        ({"train": "all"}, "train: input should be 'vectors', 'prompt' or 'model', found 'all'"),
    ],
)
def test_wrong_settings(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        prepared_for("llama", **settings)


def test_it_wants_labels() -> None:
    with pytest.raises(InputError, match="method soft-verbalizer: a task of kind classify wanted, found generate"):
        tiny_prepared("soft-verbalizer", "llama", "generate")


def test_a_label_without_rows_has_no_prototype() -> None:
    prepared = prepared_for("llama", prototypes=True)
    rows = prepared.task.split("train")
    left = rows.take([i for i, label in enumerate(rows.columns["label"]) if label != "money"])
    prepared.task.splits["train"] = left  # type: ignore[index]
    with pytest.raises(InputError, match="no training row of the label 'money' to start from"):
        start_from_states(prepared)


def test_a_head_of_an_unknown_form_is_refused() -> None:
    backbone = prepared_for("llama").backbone
    backbone.model.config.final_logit_softcapping = 0.01
    with pytest.raises(InputError, match="has a form not known here"):
        output_vectors(backbone.model, [5, 6], backbone.name)
