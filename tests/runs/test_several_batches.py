"""Rows of several tasks in one batch: where their slots stand, and that nothing changes against running them apart."""

from pathlib import Path
from typing import Any

import pytest
import torch
from several import THREE, TWO, named, pairs, several
from tiny import WIDTH, tiny_backbone, words
from torch import Tensor

from tunewright.backbones.base import Backbone
from tunewright.backbones.examples import Example, View
from tunewright.errors import InputError
from tunewright.evaluation.scoring import Asked, Asking, predict_all
from tunewright.interop.peft_export import export_peft
from tunewright.methods.registry import make_method
from tunewright.methods.soft.soft import SoftTunable
from tunewright.objectives.losses import answer_loss, choice_loss, choice_scores, label_scores
from tunewright.prompts.layout import SlotGroup, SlotLayout
from tunewright.recipe import Recipe
from tunewright.runs.joined import join
from tunewright.runs.kept import load_kept, write_kept
from tunewright.runs.prepare import Prepared, assemble, pick_templates
from tunewright.settings import validate
from tunewright.tasks.task import Task

SOFT = {"name": "prompt-tuning", "length": 3}
FAMILIES = ("llama", "gpt2", "t5-untied", "bart", "bert", "roberta")


def alone(task: Task, arch: str, backbone: Backbone, method: Any = SOFT) -> Prepared:
    """A run of this task only."""
    tree = {"model": f"tiny-{arch}", "task": task.name, "method": method, "training": {"precision": "fp32"}}
    recipe = validate(Recipe, tree, "alone")
    return assemble(recipe, task, pick_templates(recipe, task), make_method(recipe.method), backbone)


def put(prepared: Prepared, table: Tensor) -> None:
    assert isinstance(prepared.tuner.tunable, SoftTunable)
    prepared.tuner.tunable.put(table)


def table_of(prepared: Prepared) -> Tensor:
    table = prepared.tuner.tunable.table()
    assert table is not None
    return table


def examples(part: Prepared, purpose: Any, indices: range, split: str = "train") -> list[Example]:
    return [e for e in part.encoder(part.task.split(split)).examples(indices, 0, purpose) if e is not None]


def random_table(rows: int, seed: int = 3) -> Tensor:
    return torch.randn(rows, WIDTH, generator=torch.Generator().manual_seed(seed)) * 0.3


# ---- where the slots stand ------------------------------------------------------------------------------------

LITERAL = {
    "llama": (
        "the Ġdog Ġand Ġthe Ġgoal <|im_end|> <|im_end|> Ġsport <|im_end|> <|im_end|>",
        [-1, -1, -1, -1, -1, 0, 1, -1, -1, -1],
        "<|im_end|> <|im_end|> <|im_end|> the Ġdog Ġand Ġthe Ġgoal : Ġsport",
        [2, 3, 4, -1, -1, -1, -1, -1, -1, -1],
    ),
    "t5": (
        "▁the ▁dog ▁and ▁the ▁goal <pad> <pad> </s> <pad> <pad>",
        [-1, -1, -1, -1, -1, 0, 1, -1, -1, -1],
        "<pad> <pad> <pad> ▁the ▁dog ▁and ▁the ▁goal : </s>",
        [2, 3, 4, -1, -1, -1, -1, -1, -1, -1],
    ),
    "bert": (
        "[CLS] the dog and the goal [PAD] [PAD] [MASK] [SEP] [PAD] [PAD]",
        [-1, -1, -1, -1, -1, -1, 0, 1, -1, -1, -1, -1],
        "[CLS] [PAD] [PAD] [PAD] the dog and the goal : [MASK] [SEP]",
        [-1, 2, 3, 4, -1, -1, -1, -1, -1, -1, -1, -1],
    ),
}


@pytest.mark.parametrize("arch", LITERAL)
def test_a_batch_of_two_tasks_with_two_and_three_slots(arch: str) -> None:
    prepared = several({"name": "prompt-tuning"}, arch, [named("a", TWO), pairs("b", THREE)])
    assert prepared.layout == SlotLayout((SlotGroup("a/own/1", 0, 2), SlotGroup("b/own/1", 2, 3)))
    rows = [example for part in prepared.parts for example in examples(part, "answer", range(1), "test")]
    batch = prepared.backbone.collate(rows)
    found = [part for r in (0, 1) for part in (words(prepared.backbone, batch.ids[r].tolist()), batch.soft[r].tolist())]
    assert tuple(found) == LITERAL[arch]


def test_slots_of_the_method_are_each_tasks_own_unless_they_are_shared() -> None:
    own = several(SOFT, "llama", [named("a"), pairs("b")])
    assert own.layout == SlotLayout((SlotGroup("a/prompt", 0, 3), SlotGroup("b/prompt", 3, 3)))
    shared = several({**SOFT, "shared": True}, "llama", [named("a"), pairs("b")])
    assert shared.layout == SlotLayout((SlotGroup("shared/prompt", 0, 3),))
    for prepared, second in ((own, [3, 4, 5]), (shared, [0, 1, 2])):
        for part, rows in zip(prepared.parts, ([0, 1, 2], second)):
            (view,) = examples(part, "pool", range(1))[0].views
            assert [row for row in view.soft if row >= 0] == rows


def test_slots_of_one_name_are_shared_by_templates_of_several_tasks() -> None:
    joint = '{{ soft(2, slot="joint") }}{{ text }}{{ soft(1) }} {{ answer }}'
    prepared = several({"name": "prompt-tuning"}, "llama", [named("a", joint), pairs("b", joint)])
    assert [(g.name, g.start, g.length) for g in prepared.layout.groups] == [
        ("joint", 0, 2), ("a/own/1", 2, 1), ("b/own/1", 3, 1),
    ]  # fmt: skip
    with pytest.raises(
        InputError, match=r"method.shared: the slots 'a/own/1' are one template's own; .* soft\(4, slot="
    ):
        several({"name": "prompt-tuning", "shared": True}, "llama", [named("a", TWO), named("b", TWO)])


def test_label_starts_read_the_own_labels_and_shared_slots_those_of_all() -> None:
    tasks = [pairs("b"), named("a")]  # sport, money; sport, money, weather
    method = {"name": "prompt-tuning", "length": 3, "init": "class-label"}
    own, shared = several(method, "llama", tasks), several({**method, "shared": True}, "llama", tasks)
    table = table_of(own).detach()
    assert torch.equal(table[[0, 1]], table[[3, 4]]) and not torch.equal(table[2], table[5])
    assert torch.equal(table_of(shared).detach(), table[3:])


# ---- mixed and apart ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("arch", FAMILIES)
@pytest.mark.parametrize("objective", ["answer", "choice"])
def test_loss_gradient_and_scores_are_those_of_running_apart(arch: str, objective: str) -> None:
    """Tasks with two and three slots, three labels and two, one of these with two words."""
    tasks = [named("a", TWO), pairs("b", THREE)]
    backbone = tiny_backbone(arch)
    mixed = several({"name": "prompt-tuning"}, arch, tasks, backbone=backbone)
    table = random_table(5)
    put(mixed, table)
    purpose = "answer" if objective == "answer" else "choices"

    def loss_and_scores(prepared: Prepared, rows: list[Example]) -> tuple[Tensor, list[Tensor]]:
        batch = backbone.collate(rows)
        out = prepared.tuner(batch)
        if objective == "answer":
            return answer_loss(out), [out]
        scores = choice_scores(out, batch)
        by_label = label_scores(scores, batch.choice_labels)
        return choice_loss(scores, batch), [row[row > -torch.inf] for row in by_label]

    loss, scores = loss_and_scores(
        mixed, [e for pair in zip(*(examples(p, purpose, range(4)) for p in mixed.parts)) for e in pair]
    )
    loss.backward()
    (gradient,) = (p.grad for p in mixed.tuner.tunable.trained().values())
    assert gradient is not None and gradient.isfinite().all() and (gradient.abs().amax(1) > 1e-6).all()

    total, apart, gradients = 0.0, [], []
    for task, start, length in ((tasks[0], 0, 2), (tasks[1], 2, 3)):
        single = alone(task, arch, backbone)
        put(single, table[start : start + length])
        part, found = loss_and_scores(single, examples(single, purpose, range(4)))
        part.backward()
        total += part.item()
        apart.append(found)
        gradients.append(next(iter(single.tuner.tunable.trained().values())).grad)
    assert loss.item() == pytest.approx(total, rel=1e-5)
    assert torch.allclose(gradient, torch.cat(gradients), rtol=1e-5, atol=1e-5)
    if objective == "choice":
        in_turn = [row for pair in zip(*apart) for row in pair]
        assert [len(row) for row in in_turn] == [3, 2] * 4
        for ours, theirs in zip(scores, in_turn):
            assert torch.allclose(ours, theirs, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("arch", ["llama", "t5-untied"])
def test_tasks_of_all_kinds_are_asked_together_and_answered_as_apart(arch: str) -> None:
    """What is scored is in one batch, what is generated in another; the answers come back task by task."""
    tasks = [named("a", TWO), named("g", kind="generate"), pairs("b", THREE), named("c", kind="choose")]
    backbone = tiny_backbone(arch)
    mixed = several({"name": "prompt-tuning", "length": 4}, arch, tasks, backbone=backbone)
    table = random_table(mixed.layout.rows)
    put(mixed, table)
    asking = Asking(max_new_tokens=4)
    asked = [Asked(part.encoder(part.task.split("test")), part.task, asking, part.task.name) for part in mixed.parts]
    found = predict_all(mixed.tuner, asked)
    assert [[p.task for p in predictions] for predictions in found] == [["a"] * 6, ["g"] * 6, ["b"] * 4, ["c"] * 6]
    starts = [0, 2, 6, 9, 13]
    for task, predictions, start, end in zip(tasks, found, starts, starts[1:]):
        single = alone(task, arch, backbone, {"name": "prompt-tuning", "length": 4})
        put(single, table[start:end])
        (apart,) = predict_all(single.tuner, [Asked(single.encoder(task.split("test")), task, asking)])
        for ours, theirs in zip(predictions, apart, strict=True):
            assert (ours.id, ours.prediction, ours.prompt) == (theirs.id, theirs.prediction, theirs.prompt)
            assert ours.scores == (None if theirs.scores is None else pytest.approx(theirs.scores, abs=1e-5))


@pytest.mark.parametrize("arch", ["llama", "t5-untied", "bert"])
def test_sixteen_prompts_of_different_lengths_in_one_batch(arch: str, tmp_path: Path) -> None:
    """Runs tuned one by one, joined from their folders: each row is answered as by its own run."""
    backbone = tiny_backbone(arch)
    singles: dict[str, Prepared] = {}
    for k in range(16):
        task = named(f"task-{k}") if k % 2 else pairs(f"task-{k}")
        single = alone(task, arch, backbone, {"name": "prompt-tuning", "length": 1 + k % 7, "placement": "front"})
        put(single, random_table(1 + k % 7, seed=k))
        (tmp_path / f"run-{k}").mkdir()
        write_kept(tmp_path / f"run-{k}", single)
        singles[task.name] = single
    joined = join([tmp_path / f"run-{k}" for k in range(16)], backbone)
    assert joined.layout.rows == sum(1 + k % 7 for k in range(16))
    assert [(g.name, g.start) for g in joined.layout.groups[:3]] == [
        (f"{tmp_path}/run-0/task-0/prompt", 0), (f"{tmp_path}/run-1/task-1/prompt", 1),
        (f"{tmp_path}/run-2/task-2/prompt", 3),
    ]  # fmt: skip

    rows, expected = [], []
    for name, part in joined.parts.items():
        own = singles[name].encoder(singles[name].task.split("test"))
        here = part.encoder(singles[name].task.split("test"))
        rows += [e for e in here.examples([1], 0, "choices") if e is not None]
        batch = backbone.collate([e for e in own.examples([1], 0, "choices") if e is not None])
        with torch.no_grad():
            expected.append(choice_scores(singles[name].tuner(batch), batch)[0])
    batch = backbone.collate(rows)
    assert {int(row) for row in batch.soft.flatten()} == {-1, *range(joined.layout.rows)}
    with torch.no_grad():
        scores = choice_scores(joined.tuner(batch), batch)
    for ours, theirs in zip(scores, expected, strict=True):
        assert torch.allclose(ours[ours > -torch.inf], theirs, rtol=1e-5, atol=1e-5)


# ---- from one run to another ----------------------------------------------------------------------------------


def kept(prepared: Prepared, folder: Path, table: Tensor) -> str:
    put(prepared, table)
    folder.mkdir()
    write_kept(folder, prepared)
    return str(folder)


def test_a_prompt_of_one_of_several_tasks_starts_another_run(tmp_path: Path) -> None:
    backbone = tiny_backbone("llama")
    table = random_table(6)
    both = kept(several(SOFT, "llama", [named("a"), pairs("b")], backbone=backbone), tmp_path / "both", table)

    def start(init: dict[str, str], *tasks: Task, **method: Any) -> Tensor:
        block = {"name": "prompt-tuning", "init": init, **method}
        if len(tasks) > 1:
            return table_of(several(block, "llama", tasks, backbone=backbone)).detach()
        return table_of(alone(tasks[0], "llama", backbone, block)).detach()

    c, d = named("c"), named("d")
    assert torch.equal(start({"prompt": both, "task": "b"}, c), table[3:])
    assert torch.equal(start({"prompt": both, "task": "a"}, c, d), table[:3].repeat(2, 1))
    assert torch.equal(start({"prompt": both, "task": "a"}, c, d, shared=True), table[:3])
    assert torch.equal(start({"prompt": both}, pairs("b"), named("a")), table[[3, 4, 5, 0, 1, 2]])  # by name
    with pytest.raises(InputError, match=r"no prompt of a task 'c' in it; it holds a/prompt, b/prompt"):
        start({"prompt": both, "task": "c"}, c)
    with pytest.raises(InputError, match=r"holds the prompts of a, b, not those of this run; say which: init: {prompt"):
        start({"prompt": both}, c)
    single = kept(alone(c, "llama", backbone), tmp_path / "single", table[:3])
    assert torch.equal(start({"prompt": single}, c, d), table[:3].repeat(2, 1))


def test_a_run_started_from_a_prompt_answers_without_that_prompt(tmp_path: Path) -> None:
    backbone = tiny_backbone("llama")
    first = kept(alone(named("a"), "llama", backbone), tmp_path / "first", random_table(3))
    method = {"name": "prompt-tuning", "init": {"prompt": first}}
    second = kept(alone(named("b"), "llama", backbone, method), tmp_path / "second", random_table(3, seed=4))
    for file in (tmp_path / "first").iterdir():
        file.unlink()
    assert torch.equal(table_of(load_kept(Path(second), backbone)), random_table(3, seed=4))


def test_a_prompt_that_came_from_peft_is_joined_too(tmp_path: Path) -> None:
    backbone = tiny_backbone("llama")
    front = {**SOFT, "placement": "very-front"}
    a = Path(kept(alone(named("a"), "llama", backbone, front), tmp_path / "a", random_table(3)))
    export_peft(a, tmp_path / "peft", backbone=backbone)
    theirs = alone(named("b"), "llama", backbone, {"name": "peft-folder", "path": str(tmp_path / "peft")})
    b = Path(kept(theirs, tmp_path / "b", random_table(3, seed=4)))
    joined = join([a, b], backbone)
    table = joined.tuner.tunable.table()
    assert table is not None and torch.equal(table, torch.cat([random_table(3), random_table(3, seed=4)]))
    (view,) = examples_of_one(joined.parts["b"])
    assert view.soft[:4] == [3, 4, 5, -1]


def examples_of_one(part: Prepared) -> list[View]:
    (example,) = part.encoder(named("b").split("test")).examples([0], 0, "pool")
    assert example is not None
    return example.views


def test_what_cannot_be_joined(tmp_path: Path) -> None:
    backbone = tiny_backbone("llama")
    a = Path(kept(alone(named("a"), "llama", backbone), tmp_path / "a", random_table(3)))
    again = Path(kept(alone(named("a"), "llama", backbone), tmp_path / "again", random_table(3)))
    with pytest.raises(InputError, match=rf"{again}: task 'a' again, {a} has it already"):
        join([a, again], backbone)
    other = Path(kept(alone(named("b"), "gpt2", tiny_backbone("gpt2")), tmp_path / "other", random_table(3)))
    with pytest.raises(InputError, match=rf"{other}: tuned on tiny-gpt2, {a} on tiny-llama: one model wanted"):
        join([a, other])
    content = (other / "tuned.json").read_text().replace("tiny-gpt2", "tiny-llama").replace('"fp32"', '"bf16"')
    (other / "tuned.json").write_text(content)
    with pytest.raises(InputError, match=rf"{other}: computes in bf16, {a} in fp32: one wanted"):
        join([a, other])
    for method in ("none", "lora", {**SOFT, "ensemble": 2}, {"name": "p-tuning", "tune_model": True}):
        folder = tmp_path / f"m{len(list(tmp_path.iterdir()))}"
        folder.mkdir()
        write_kept(folder, alone(named("c"), "llama", tiny_backbone("llama"), method))
        with pytest.raises(
            InputError, match="keeps more than one prompt table, or none; only runs with one share batches"
        ):
            join([a, folder], backbone)
