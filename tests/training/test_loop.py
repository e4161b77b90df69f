"""The loop: what a step's loss and gradient are, when it looks, stops and keeps; what it says when it fails."""

import json
import math
from pathlib import Path
from typing import Any

import pytest
import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState, GradientState, PartialState
from accelerate.utils import patch_environment
from tiny import tiny_prepared, tiny_train
from torch import Tensor

from tunewright.backbones.examples import Example
from tunewright.errors import InputError
from tunewright.objectives.losses import choice_scores
from tunewright.runs.prepare import Prepared
from tunewright.training.batches import Batches
from tunewright.training.loop import Diverged, Plan, train
from tunewright.training.tuner import Tuner


def fresh(method: Any = "prompt-tuning", arch: str = "llama", kind: Any = "classify", **training: Any) -> Prepared:
    block = {"steps": 4, "evaluate_every": 1, "learning_rate": 0.01, **training}
    return tiny_prepared(method, arch, kind, training=block)


def metrics(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]


def gradients(
    prepared: Prepared, examples: list[Example], objective: str = "answer", **rest: Any
) -> tuple[float, Tensor]:
    """Loss and all gradients of one step over the examples, through the loop: SGD at rate 1 without clipping."""
    trained = prepared.tuner.tunable.trained()
    before = [p.detach().clone() for p in trained.values()]
    batches = Batches(1, lambda indices, epoch: examples, seed=0, batch_size=99)
    plan = Plan(1, 1.0, "sgd", "constant", clip=None, objective=objective, **rest)  # type: ignore[arg-type]
    result = train(prepared.tuner, batches, plan)
    after = trained.values()
    return result.losses[0], torch.cat([(b - a.detach()).flatten() for b, a in zip(before, after)])


def examples_of(prepared: Prepared, purpose: Any, count: int = 7) -> list[Example]:
    found = prepared.encoder(prepared.task.split("train")).examples(range(count), 0, purpose)
    return [example for example in found if example is not None]


# ---- one step -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arch", "kind", "method", "objective", "purpose"),
    [
        ("llama", "generate", "prompt-tuning", "answer", "answer"),
        ("llama", "choose", "prompt-tuning", "choice", "choices"),
        ("bert", "classify", {"name": "head", "backbone": "frozen", "dropout": 0.0}, "head", "pool"),
        ("bert", "regress", {"name": "head", "backbone": "frozen", "dropout": 0.0}, "number", "pool"),
    ],
)
def test_loss_and_gradient_do_not_depend_on_how_a_step_is_cut(
    arch: str, kind: Any, method: Any, objective: str, purpose: str
) -> None:
    found = []
    for accumulation in (1, 2, 3, 99):
        prepared = fresh(method, arch, kind)
        for module in prepared.tuner.modules():
            if isinstance(module, torch.nn.Dropout):
                module.p = 0.0
        found.append(gradients(prepared, examples_of(prepared, purpose), objective, accumulation=accumulation))
    (loss, gradient), *others = found
    assert loss > 0.1 and gradient.abs().max() > 1e-4
    for other_loss, other in others:
        assert math.isclose(loss, other_loss, rel_tol=1e-5)
        assert torch.allclose(gradient, other, rtol=1e-4, atol=1e-6)


def test_the_loss_is_a_mean_over_all_asked_tokens_whatever_the_padding() -> None:
    """A long row beside short ones: padding changes nothing, and each token counts the same."""
    prepared = fresh(kind="generate")
    examples = examples_of(prepared, "answer")
    examples.append(prepared.encoder(prepared.task.split("test")).examples([0], 0, "answer")[0])  # type: ignore[arg-type]
    with torch.no_grad():
        single = torch.cat([prepared.tuner(prepared.backbone.collate([example])) for example in examples])
    assert len(single) == sum(len(view.asks) for example in examples for view in example.views) > len(examples)
    loss, _ = gradients(prepared, examples)
    assert math.isclose(loss, -float(single.mean()), rel_tol=1e-5)


def test_the_choice_objective_is_its_formula() -> None:
    prepared = fresh(kind="choose")
    examples = examples_of(prepared, "choices")
    batch = prepared.backbone.collate(examples)
    with torch.no_grad():
        scores = choice_scores(prepared.tuner(batch), batch)
    gold = torch.tensor([example.gold for example in examples])
    expected = -torch.log_softmax(scores, -1)[torch.arange(len(gold)), gold].mean()
    loss, _ = gradients(prepared, examples, "choice")
    assert math.isclose(loss, float(expected), rel_tol=1e-5)


def test_the_recipe_chooses_the_objective(tmp_path: Path) -> None:
    answer, choice = fresh(), fresh(objective="choice")
    first = tiny_train(answer, tmp_path / "a").losses[0]
    second = tiny_train(choice, tmp_path / "b").losses[0]
    assert first > 2.0 > second  # −log p of the words, and of one among three
    with pytest.raises(InputError, match="objective: choice wants choices; the task's kind is generate"):
        tiny_train(fresh(kind="generate", objective="choice"), None)


def test_clipping_bounds_the_step() -> None:
    prepared = fresh("full")
    examples = examples_of(prepared, "answer")
    batches = Batches(1, lambda indices, epoch: examples, seed=0, batch_size=99)
    before = [p.detach().clone() for p in prepared.tuner.tunable.trained().values()]
    train(prepared.tuner, batches, Plan(1, 1.0, "sgd", "constant", clip=0.01))
    after = prepared.tuner.tunable.trained().values()
    moved = torch.cat([(b - a.detach()).flatten() for b, a in zip(before, after)])
    assert math.isclose(float(moved.norm()), 0.01, rel_tol=1e-3)


def test_rates_and_norms_are_logged(tmp_path: Path) -> None:
    tiny_train(fresh(schedule="linear", warmup=0.5, evaluate_every=4), tmp_path)
    lines = metrics(tmp_path)
    assert [line["step"] for line in lines] == [1, 2, 3, 4, 4]
    assert [round(line["learning_rate"], 6) for line in lines[:4]] == [0.005, 0.01, 0.01, 0.005]
    assert all(line["loss"] > 0 and line["gradient_norm"] > 0 for line in lines[:4])
    assert set(lines[4]) == {"step", "validation"} and len(lines[4]["validation"]) == 2


# ---- looks, early stop, what is kept -------------------------------------------------------------------------


class Said:
    """Validation that says what it is told to, and remembers the weights it saw."""

    def __init__(self, *values: float) -> None:
        self.values, self.seen = list(values), []

    def __call__(self, tuner: Tuner) -> list[float]:
        tuner.eval()
        self.seen.append({name: p.detach().clone() for name, p in tuner.tunable.trained().items()})
        return [self.values[len(self.seen) - 1]]


def test_the_best_look_is_kept(tmp_path: Path) -> None:
    prepared, look = fresh(), Said(0.1, 0.5, 0.5, 0.2)  # of equal ones, the first
    result = tiny_train(prepared, tmp_path, look=look)
    assert (result.steps, result.best_step, result.stopped_early) == (4, 2, False)
    assert torch.equal(prepared.tuner.tunable.trained()["tunable.prompt"], look.seen[1]["tunable.prompt"])
    assert not prepared.tuner.training


def test_or_the_last(tmp_path: Path) -> None:
    prepared, look = fresh(keep="last"), Said(0.1, 0.5, 0.5, 0.2)
    tiny_train(prepared, tmp_path, look=look)
    assert torch.equal(prepared.tuner.tunable.trained()["tunable.prompt"], look.seen[3]["tunable.prompt"])


def test_patience(tmp_path: Path) -> None:
    prepared, look = fresh(patience=2, steps=9), Said(0.1, 0.5, 0.4, 0.5, 9, 9, 9, 9, 9)
    result = tiny_train(prepared, tmp_path, look=look)
    assert (result.steps, result.best_step, result.stopped_early) == (4, 2, True)
    assert torch.equal(prepared.tuner.tunable.trained()["tunable.prompt"], look.seen[1]["tunable.prompt"])


def test_a_run_killed_after_its_early_stop_does_not_go_on(tmp_path: Path) -> None:
    first = fresh(patience=2, steps=9, checkpoint_every=4)
    tiny_train(first, tmp_path, look=Said(0.1, 0.5, 0.4, 0.5))
    assert (tmp_path / "checkpoints/step-4").is_dir()
    again = fresh(patience=2, steps=9, checkpoint_every=4)
    result = tiny_train(again, tmp_path, look=Said(), resume=True)
    assert (result.steps, result.stopped_early) == (4, True)
    assert torch.equal(again.tuner.tunable.trained()["tunable.prompt"], first.tuner.tunable.trained()["tunable.prompt"])


def test_a_look_leaves_training_mode_as_it_was(tmp_path: Path) -> None:
    """Dropout stays on after a look: the losses are those of a run that never looks."""
    looked = tiny_train(fresh("head", "bert"), tmp_path / "a").losses
    assert looked == tiny_train(fresh("head", "bert", evaluate_every=4), tmp_path / "b").losses


# ---- failing ------------------------------------------------------------------------------------------------


def test_a_loss_that_is_no_number_is_one_line_and_saves_nothing(tmp_path: Path) -> None:
    prepared = fresh(steps=9, checkpoint_every=2, keep="last")

    def spoil(tuner: Tuner) -> list[float]:
        spoil.count += 1  # type: ignore[attr-defined]
        if spoil.count == 5:  # type: ignore[attr-defined]
            with torch.no_grad():
                tuner.tunable.trained()["tunable.prompt"].fill_(math.nan)
        return [0.0]

    spoil.count = 0  # type: ignore[attr-defined]
    message = r"^step 6: the loss is nan; nothing was saved over. Lower training.learning_rate \(now 0.01\)"
    with pytest.raises(Diverged, match=message) as caught:
        tiny_train(prepared, tmp_path, look=spoil)
    assert isinstance(caught.value, InputError) and caught.value.exit_code == 2
    assert [path.name for path in (tmp_path / "checkpoints").glob("step-*")] == ["step-4"]


def test_an_infinite_gradient_is_told_from_the_loss() -> None:
    prepared = fresh()
    prepared.tuner.tunable.trained()["tunable.prompt"].register_hook(lambda gradient: gradient * math.inf)
    with pytest.raises(Diverged, match=r"step 1: the gradient is (inf|nan)"):
        tiny_train(prepared, None)


def test_nothing_to_train_and_no_rows() -> None:
    prepared = tiny_prepared("none", "llama")
    with pytest.raises(InputError, match="nothing to train"):
        train(prepared.tuner, Batches(1, lambda indices, epoch: [], seed=0, batch_size=1), Plan(1, 0.1))
    with pytest.raises(InputError, match="no training rows are left"):
        train(fresh().tuner, Batches(1, lambda indices, epoch: [None], seed=0, batch_size=1), Plan(1, 0.1))


# ---- two processes ------------------------------------------------------------------------------------------


def _one_of_two(rank: int, port: int, folder: Path) -> None:
    """A process of a two-process run, as `accelerate launch` starts it; it writes what it came to."""
    for state in (AcceleratorState, PartialState):
        state._reset_state()
    GradientState._reset_state()
    setting = {"rank": rank, "local_rank": rank, "world_size": 2, "master_addr": "127.0.0.1", "master_port": port}
    with patch_environment(**setting, accelerate_use_cpu="yes"):
        prepared = fresh(kind="generate", steps=3, evaluate_every=3, keep="last")
        result = tiny_train(prepared, folder / "run", look=lambda tuner: [0.0])
        assert Accelerator().num_processes == 2
        table = prepared.tuner.tunable.trained()["tunable.prompt"].detach()
        torch.save({"losses": result.losses, "table": table}, folder / f"{rank}.pt")


def test_two_processes_are_one(tmp_path: Path) -> None:
    import os
    import socket

    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    children = []
    for rank in range(2):
        child = os.fork()
        if child == 0:
            try:
                _one_of_two(rank, port, tmp_path)
                os._exit(0)
            finally:
                os._exit(1)
        children.append(child)
    assert [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children] == [0, 0]
    alone = fresh(kind="generate", steps=3, evaluate_every=3, keep="last")
    result = tiny_train(alone, tmp_path / "alone", look=lambda tuner: [0.0])
    for rank in range(2):
        found = torch.load(tmp_path / f"{rank}.pt", weights_only=True)
        assert all(math.isclose(a, b, rel_tol=1e-5) for a, b in zip(found["losses"], result.losses, strict=True))
        assert torch.allclose(found["table"], alone.tuner.tunable.trained()["tunable.prompt"], atol=1e-6)
    assert len(metrics(tmp_path / "run")) == 4  # one process writes
