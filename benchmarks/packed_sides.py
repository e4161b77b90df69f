"""The two sides of full tuning on packed sequences: our loops, and TRL's SFTTrainer."""

import json
from pathlib import Path
from typing import Any

RATE, BATCH = 1e-5, 4
NO_RATE = 1e-9  # so small that the losses of an epoch are those of the model as it is


def _blocks(spec: dict[str, Any], backbone: Any) -> Any:
    """The stream of an epoch's blocks."""
    from tunewright.pretraining.corpus import CorpusBlock
    from tunewright.pretraining.raw.blocks import blocks

    return blocks(backbone, CorpusBlock.model_validate(spec["corpus"]), "train", spec["tokens"], 0, 0)


def start_text(spec: dict[str, Any], folder: Path) -> dict[str, Any]:
    """Write the blocks that our stream gives, so that both sides read the same ones."""
    from itertools import islice

    from tunewright.backbones.load import load_backbone

    found = list(islice(_blocks(spec, load_backbone(spec["model"])), spec["steps"] * BATCH))
    if len(found) < spec["steps"] * BATCH:
        raise SystemExit(f"the corpus has {len(found)} blocks of {spec['tokens']} tokens, too few")
    (folder / "blocks.json").write_text(json.dumps(found), encoding="utf-8")
    return {"blocks": len(found)}


def ours_text(spec: dict[str, Any], folder: Path) -> dict[str, Any]:
    """As `tunewright pretrain` trains: blocks from the stream, tokenised on the way."""
    from clocks import now, step_ends

    from tunewright.backbones.attention import use_attention
    from tunewright.backbones.load import load_backbone
    from tunewright.methods.base import Setting
    from tunewright.methods.full import FullTuning
    from tunewright.objectives.raw_text import make_objective
    from tunewright.pretraining.raw.blocks import BlockBatches
    from tunewright.prompts.layout import SlotLayout
    from tunewright.training.loop import Plan, train
    from tunewright.training.tuner import Tuner

    backbone = load_backbone(spec["model"])
    use_attention(backbone, spec["tokens"])
    tunable = FullTuning().tune(backbone, SlotLayout(), Setting("generate", (), 0))
    tuner = Tuner(backbone, tunable, spec["precision"])
    make = make_objective("causal-lm", backbone)
    batches = BlockBatches(lambda epoch: _blocks(spec, backbone), make, 0, BATCH)
    plan = Plan(spec["steps"], RATE, schedule="constant", weight_decay=0.0, clip=1.0)
    with step_ends() as ends:
        started = now()
        trained = train(tuner, batches, plan)
    return _measured(trained.losses, [end - started for end in ends], spec["tokens"] * BATCH)


def peer_text(spec: dict[str, Any], folder: Path) -> dict[str, Any]:
    """SFTTrainer with packing "wrapped": documents one after the other, cut at the block's length."""
    blocks = json.loads((folder / "blocks.json").read_text(encoding="utf-8"))
    rows = [{"input_ids": block} for block in blocks]
    trainer, _, _ = _trainer(spec, folder, rows, max_steps=spec["steps"], batch=BATCH, strategy="wrapped")
    ends = _train(trainer)
    losses = [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]
    return _measured(losses, ends, spec["tokens"] * BATCH)


def _measured(losses: list[float], ends: list[float], tokens: int) -> dict[str, Any]:
    """Tokens a second behind the first step."""
    return {"losses": losses, "speed": tokens * (len(ends) - 1) / (ends[-1] - ends[0])}


def _trainer(
    spec: dict[str, Any], folder: Path, rows: list[dict[str, Any]], *, batch: int, strategy: str, **more: Any
) -> tuple[Any, list[float], list[int]]:
    """SFTTrainer without evaluation, saving, reporting, and without its gradient checkpointing, which costs speed."""
    import torch
    from datasets import Dataset
    from sides import quiet
    from transformers import AutoModelForCausalLM, AutoTokenizer
    from trl import SFTConfig, SFTTrainer

    from tunewright.backbones.fetch import model_folder

    sums: list[float] = []  # Σ loss of each step
    asked: list[int] = []  # and the tokens it is a mean of

    class Counted(SFTTrainer):
        """Says both."""

        def compute_loss(self, model: Any, inputs: Any, *given: Any, **named: Any) -> Any:
            count = int((inputs["labels"][:, 1:] != -100).sum())
            found = super().compute_loss(model, inputs, *given, **named)
            loss = found[0] if isinstance(found, tuple) else found
            asked.append(count)
            sums.append(float(loss.detach()) * count)
            return found

    where = model_folder(spec["model"])
    model = AutoModelForCausalLM.from_pretrained(where, dtype=torch.float32, use_safetensors=True)
    arguments = SFTConfig(
        output_dir=str(folder / "peer"),
        packing=True,
        packing_strategy=strategy,
        max_length=spec["tokens"],
        per_device_train_batch_size=batch,
        train_sampling_strategy="sequential",
        learning_rate=RATE,
        gradient_checkpointing=False,
        **quiet(spec["precision"]),
        **more,
    )
    tokenizer = AutoTokenizer.from_pretrained(where)
    trainer = Counted(model, arguments, train_dataset=Dataset.from_list(rows), processing_class=tokenizer)
    return trainer, sums, asked


def _train(trainer: Any) -> list[float]:
    """Seconds from the call to the end of each step."""
    from clocks import now, step_ends

    with step_ends() as ends:
        started = now()
        trainer.train()
    return [end - started for end in ends]


def _rows_ready(spec: dict[str, Any]) -> tuple[Any, Any, Any]:
    """The rows' recipe made ready, their steps, and their encoder."""
    from sides import batches_of

    from tunewright.recipe import Recipe
    from tunewright.runs.prepare import prepare

    training = {
        "batch_tokens": spec["tokens"], "max_tokens": spec["tokens"], "packing": True, "epochs": 1.0,
        "optimizer": "adamw", "learning_rate": RATE, "schedule": "constant", "weight_decay": 0.0,
        "precision": spec.get("precision", "fp32"),
    }  # fmt: skip
    tree = {"model": spec["model"], "task": spec["task"], "method": "full", "training": training}
    prepared = prepare(Recipe.model_validate(tree))
    return prepared, *batches_of(prepared, spec["rows"])


def start_rows(spec: dict[str, Any], folder: Path) -> dict[str, Any]:
    """Write the rows' ids, and which of them are answers."""
    from sides import ids_and_labels

    _, _, encoder = _rows_ready(spec)
    found = [ids_and_labels(e.views[0]) for e in encoder.examples(range(spec["rows"]), 0, "answer") if e is not None]
    rows = [{"input_ids": r["input_ids"], "completion_mask": [int(v != -100) for v in r["labels"]]} for r in found]
    (folder / "rows.json").write_text(json.dumps(rows), encoding="utf-8")
    lengths = sorted(len(row["input_ids"]) for row in rows)
    return {
        "shortest": lengths[0],
        "median": lengths[len(lengths) // 2],
        "longest": lengths[-1],
        "tokens": sum(lengths),
    }


def ours_rows(spec: dict[str, Any], folder: Path) -> dict[str, Any]:
    """One epoch of `training.packing`; the rate is so small that the mean loss is that of the model as it is."""
    from dataclasses import replace

    from clocks import now, step_ends

    from tunewright.runs.tuning import make_plan
    from tunewright.training.batches import Place
    from tunewright.training.loop import train

    prepared, batches, encoder = _rows_ready(spec)
    steps = []
    for place, step in batches.steps(Place(0, 0)):
        if place.epoch:
            break
        steps.append(sum(len(view.asks) for example in step for view in example.views))
    defaults = prepared.method.defaults_for(prepared.backbone.family)
    plan = make_plan(prepared, defaults, spec["rows"], "answer", encoder)
    with step_ends() as ends:
        started = now()
        trained = train(prepared.tuner, batches, replace(plan, steps=len(steps), learning_rate=NO_RATE))
    mean = sum(loss * asked for loss, asked in zip(trained.losses, steps)) / sum(steps)
    return {"losses": [mean], "speed": spec["rows"] / (ends[-1] - started), "steps": len(steps)}


def peer_rows(spec: dict[str, Any], folder: Path) -> dict[str, Any]:
    """SFTTrainer with packing "bfd": whole rows in sequences of at most so many tokens, loss on the answers."""
    rows = json.loads((folder / "rows.json").read_text(encoding="utf-8"))
    trainer, sums, asked = _trainer(
        spec, folder, rows, batch=1, strategy="bfd", num_train_epochs=1, completion_only_loss=True
    )
    trainer.args.learning_rate = NO_RATE
    ends = _train(trainer)
    mean = sum(sums) / sum(asked)
    return {"losses": [mean], "speed": len(rows) / ends[-1], "steps": len(ends)}
