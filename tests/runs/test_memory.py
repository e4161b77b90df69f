"""Whether a run fits: what is counted and measured, against what is there."""

import gc
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from forgetting_parts import battery
from run_parts import SOFT, recipe_of
from tiny import tiny_prepared

from tunewright import process
from tunewright.errors import InputError, MachineError
from tunewright.recipe import SelfTrainingBlock
from tunewright.runs import memory as of_run
from tunewright.runs.memory import check_memory, estimate, facts
from tunewright.runs.prepare import prepare
from tunewright.runs.remedies import open_remedies
from tunewright.training.memory import gradient_bytes, kept_by, kept_by_rows, optimizer_bytes, weight_bytes
from tunewright.training.optimizers import make_optimizer

MB = 10**6


def test_weights_and_gradients_are_counted_once() -> None:
    tuner = tiny_prepared("full", "llama").tuner
    own = sum(4 * p.numel() for p in tuner.model.parameters())  # the head's weight is the embeddings'
    assert gradient_bytes(tuner) == own
    assert own <= weight_bytes(tuner) < own + 1000  # and a few positions


@pytest.mark.parametrize("name", ["adamw", "lion", "sgd", "adafactor"])
def test_optimizer_state(name: Any) -> None:
    """Against what the optimiser really keeps after a step."""
    tuner = tiny_prepared("full", "gpt2").tuner
    trained = list(tuner.tunable.trained().values())
    optimizer = make_optimizer(name, trained, 1e-4, 0.0)
    for p in trained:
        p.grad = torch.ones_like(p)
    optimizer.step()
    kept = [v for state in optimizer.state.values() for v in state.values() if torch.is_tensor(v) and v.numel() > 1]
    update = 3 * max(4 * p.numel() for p in trained) if name == "adafactor" else 0
    assert optimizer_bytes(tuner, name) == sum(v.numel() * v.element_size() for v in kept) + update


def test_what_one_layer_keeps() -> None:
    """y = x·W, then a logarithm softmax over it: x, and the logits."""
    kept = []
    for arch in ("llama", "bert", "t5"):
        prepared = tiny_prepared("full", arch)
        rows = prepared.task.split("train").take(range(1))
        [example] = prepared.encoder(rows).examples([0], 0, "answer")
        assert example is not None
        found = kept_by(prepared.tuner, prepared.backbone.collate([example]), training=True)
        asked = sum(len(view.asks) for view in example.views)
        assert found.logits == asked * prepared.backbone.vocabulary * 4
        kept.append(found.states)
    assert all(kept)


@pytest.mark.parametrize("method", ["full", "lora", "prompt-tuning", "head"])
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_five_rows_are_told_from_two(method: str, precision: str) -> None:
    prepared = tiny_prepared(method, "llama", training={"precision": precision})
    rows = prepared.task.split("train").take(range(1))
    purpose: Any = "pool" if method == "head" else "answer"
    [example] = prepared.encoder(rows).examples([0], 0, purpose)
    backbone = prepared.backbone
    told = kept_by_rows(prepared.tuner, lambda n: backbone.collate([example] * n), 5)
    real = kept_by(prepared.tuner, backbone.collate([example] * 5), training=True)
    assert told.states + told.logits + told.copies == pytest.approx(real.states + real.logits, rel=0.02)
    assert prepared.tuner.training is False


def test_measuring_leaves_the_random_state() -> None:
    prepared = tiny_prepared("full", "bert")
    torch.manual_seed(3)
    expected = torch.rand(1)
    torch.manual_seed(3)
    estimate(prepared)
    assert torch.equal(torch.rand(1), expected)


def test_checkpointing_packing_accumulation_and_optimisers_change_the_estimate() -> None:
    def found(**training: Any) -> Any:
        memory = estimate(tiny_prepared("full", "llama", training={"batch_size": 16, "max_tokens": 60, **training}))
        assert memory is not None
        return memory

    plain = found()
    assert found(gradient_checkpointing=True).activations < plain.activations
    assert found(accumulation=4).activations == pytest.approx(plain.activations / 4, rel=0.05)
    assert found(optimizer="lion", learning_rate=1e-4).optimizer == plain.optimizer // 2
    assert found(optimizer="sgd").optimizer == 0
    assert found(keep="last").working == plain.working - plain.gradients
    assert found(learning_rate="auto").working == plain.working + plain.gradients
    assert found(batch_size=None, batch_tokens=1000).activations > plain.activations
    assert found(packing=True).activations > 0
    assert estimate(tiny_prepared("none", "llama")) is None


@pytest.mark.parametrize(("arch", "key"), [("bart", "decoder_layers"), ("t5", "num_decoder_layers")])
def test_the_decoders_blocks_are_counted(arch: str, key: str) -> None:
    """Two blocks on either side: one of four has half of what one of two would have."""
    prepared = tiny_prepared("full", arch, training={"gradient_checkpointing": True})
    (example,) = prepared.encoder(prepared.task.split("train")).examples([0], 0, "answer")
    assert example is not None
    rows = [example]

    def block() -> int:
        return kept_by_rows(prepared.tuner, lambda count: prepared.backbone.collate(rows * count), 4).block

    found = block()
    setattr(prepared.backbone.model.config, key, 0)
    assert found > 0 and block() == pytest.approx(2 * found, abs=2)


def test_a_run_that_cannot_fit_is_refused_with_advice(monkeypatch: pytest.MonkeyPatch) -> None:
    prepared = tiny_prepared("full", "llama", training={"batch_size": 64})
    memory = estimate(prepared)
    assert memory is not None
    for free in (memory.gradients, memory.added - 1):  # not even what is counted; not with what is measured
        monkeypatch.setattr(of_run, "machine_free", lambda _, free=free: free)
        with pytest.raises(
            MachineError, match=r"memory: tuning takes about .* more \(gradients .*, optimiser"
        ) as caught:
            check_memory(prepared)
        for way in (
            "training.accumulation=2",
            "training.max_tokens",
            "gradient_checkpointing=true",
            "adafactor",
            "lora",
        ):
            assert way in str(caught.value)
        assert caught.value.exit_code == 3


def test_what_may_not_fit_is_said_and_tried(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    prepared = tiny_prepared("full", "llama")
    memory = estimate(prepared)
    assert memory is not None and memory.holes > 0
    monkeypatch.setattr(of_run, "machine_free", lambda _: memory.added + memory.holes // 2)
    check_memory(prepared)
    assert "it may not fit" in capsys.readouterr().err
    monkeypatch.setattr(of_run, "machine_free", lambda _: None)  # a system that does not say
    check_memory(prepared)
    found = facts(prepared)
    assert found is not None and found["free"] is None and found["parts"]["gradients"] == memory.gradients


def test_a_containers_limit(tmp_path: Path) -> None:
    def write(name: str, text: str) -> None:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)

    assert process._left_in_container(tmp_path) is None
    write("memory/memory.limit_in_bytes", f"{500 * MB}\n")
    write("memory/memory.usage_in_bytes", f"{200 * MB}\n")
    write("memory/memory.stat", f"cache 7\ntotal_inactive_file {50 * MB}\n")
    assert process._left_in_container(tmp_path) == 350 * MB
    write("memory.max", "max\n")
    write("memory.current", "1\n")
    write("memory.stat", "anon 1\ninactive_file 2\n")
    assert process._left_in_container(tmp_path) is None
    write("memory.max", "10\n")
    assert process._left_in_container(tmp_path) == 11
    write("memory.current", "90\n")
    assert process._left_in_container(tmp_path) == 0


def test_the_smaller_of_system_and_container(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process, "_kilobytes", lambda *_: 1000)
    monkeypatch.setattr(process, "_left_in_container", lambda: 300)
    assert process.free_memory() == 300
    monkeypatch.setattr(process, "_left_in_container", lambda: None)
    assert process.free_memory() == 1000


def test_peak_is_the_sum() -> None:
    memory = estimate(tiny_prepared("lora", "llama"))
    assert memory is not None
    bare = replace(memory, program=0, weights=0, holes=0)
    assert memory.peak - memory.program - memory.weights - memory.holes == bare.peak == bare.added


def test_the_longest_row_may_be_one_that_the_template_skips() -> None:
    template = "{% if 'the sea' not in text %}{{ text }}: {{ answer }}{% endif %}"
    prepared = tiny_prepared("lora", "llama", template=template)
    rows = prepared.task.split("train")
    rows.columns["text"][:] = [f"the sea {text}" for text in rows.columns["text"]]
    rows.columns["text"][0] = "a day"  # the shortest is the only one that is read
    memory = estimate(prepared)
    assert memory is not None and memory.activations > 0
    rows.columns["text"][0] = "the sea"
    with pytest.raises(InputError, match="no training rows are left after the empty ones were skipped"):
        estimate(prepared)


def test_the_start_is_kept_through_rounds_of_self_training() -> None:
    prepared = tiny_prepared("full", "llama")
    plain = estimate(prepared)
    block = SelfTrainingBlock(rounds=1, unlabelled="more.jsonl")
    prepared.recipe = prepared.recipe.model_copy(update={"self_training": block})
    rounds = estimate(prepared)
    assert plain is not None and rounds is not None and rounds.working == plain.working + plain.gradients


def test_measuring_leaves_no_tensor_behind() -> None:
    """A graph whose nodes hold what they made is never freed: each trial of a study would keep the one before."""

    def tensors() -> int:
        gc.collect()
        return sum(isinstance(one, torch.Tensor) for one in gc.get_objects())

    prepared = tiny_prepared("full", "bert")
    [example] = prepared.encoder(prepared.task.split("train").take(range(1))).examples([0], 0, "answer")
    assert example is not None
    batch = prepared.backbone.collate([example])
    before = tensors()
    kept_by(prepared.tuner, batch, training=True)
    assert tensors() == before


def test_what_remedies_keep_is_counted() -> None:
    """Two copies of the start (EWC and WiSE-FT), the Fisher information, a frozen twin; a prompt needs no twin."""
    block = {
        "ewc": {"tasks": battery()["tasks"], "rows": 6}, "l2-sp": {}, "wise-ft": {"battery": battery()},
        "kl": {"tasks": battery()["tasks"], "rows": 6, "batch_size": 64},
    }  # fmt: skip
    for method, twin in (("full", True), (SOFT, False)):
        prepared = prepare(recipe_of(method, training={"batch_size": 1}, remedies=block))
        own = gradient_bytes(prepared.tuner)
        weights = sum(4 * p.numel() for p in prepared.tuner.model.parameters())
        closed = estimate(prepared)
        assert closed is not None and closed.remedies == 3 * own + twin * weights
        prepared.remedies = open_remedies(prepared)
        opened = estimate(prepared)
        # 64 blocks of text are more than one row of the task.
        assert opened is not None and opened.working > 2 * closed.working
        assert opened.added >= closed.added + opened.working - closed.working
    assert estimate(prepare(recipe_of("full"))).remedies == 0  # type: ignore[union-attr]
