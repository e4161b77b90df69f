"""Pretraining a model on raw text: measured, trained stage by stage, measured again, kept."""

import json
import math
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from tunewright.backbones.attention import use_attention
from tunewright.backbones.base import Backbone
from tunewright.backbones.checkpointing import checkpoint_blocks
from tunewright.backbones.examples import Example
from tunewright.backbones.fetch import made_folder
from tunewright.backbones.load import pick_precision
from tunewright.console import say
from tunewright.errors import InputError
from tunewright.files import read_json, write_folder, write_json
from tunewright.methods.base import Setting
from tunewright.methods.full import FullTuning
from tunewright.pretraining.corpus import Split, documents
from tunewright.pretraining.raw.begin import begin, check_architecture
from tunewright.pretraining.raw.blocks import BlockBatches, blocks
from tunewright.pretraining.raw.measure import measure
from tunewright.pretraining.raw.objectives import Make, make_objective
from tunewright.pretraining.raw.recipe import Pretraining, StageBlock
from tunewright.prompts.layout import SlotLayout
from tunewright.runs.folder import RunFolder
from tunewright.seeds import numpy_random
from tunewright.training.loop import Plan, train
from tunewright.training.tuner import Tuner

SPLITS: tuple[Split, ...] = ("heldout", "train")
RATE, BATCH_SIZE, LOOKS, LOOKED_AT = 3e-4, 32, 10, 16


@dataclass
class Pretrained:
    """What a pretraining says; the same stands in its folder."""

    folder: Path
    kept: Path
    before: dict[str, Any]
    after: dict[str, Any]
    seconds: float


def pretrain(recipe: Pretraining, folder: Path, *, resume: bool = False, overwrite: bool = False) -> Pretrained:
    """Train on raw text; `folder/tuned` is a model's folder, and with `name` a copy stands in the user's cache.

    Raises InputError, MachineError, Diverged, or Interrupted after saving.
    """
    place = RunFolder(folder)
    for split in SPLITS:  # what is wrong with the recipe or the corpus is said before a folder is made
        next(documents(recipe.corpus, split, recipe.training.seed, 0))
    if recipe.architecture is not None:
        check_architecture(recipe.architecture)
        place.claim(recipe, resume=resume, overwrite=overwrite)
    backbone = begin(recipe, folder)
    makers = [_maker(stage, backbone) for stage in recipe.objective]
    held_out = list(islice(_stream(recipe, backbone, "heldout", 0), recipe.evaluation.blocks))
    if len(held_out) < 2:
        raise InputError("corpus: fewer than two held-out blocks; raise corpus.holdout or lower training.max_tokens")
    if recipe.architecture is None:
        place.claim(recipe, resume=resume, overwrite=overwrite)
    use_attention(backbone, recipe.training.max_tokens)
    if recipe.training.gradient_checkpointing:
        checkpoint_blocks(backbone)
    tunable = FullTuning().tune(backbone, SlotLayout(), Setting("generate", (), recipe.training.seed))
    tuner = Tuner(backbone, tunable, pick_precision(recipe.training.precision))

    if not (folder / "before.json").is_file():
        write_json(folder / "before.json", _scores(recipe, tuner, makers, held_out))
    seconds = 0.0
    for number, (stage, make) in enumerate(zip(recipe.objective, makers), 1):
        inside = folder / "stages" / f"{number}-{stage.name}"
        if (inside / "done.json").is_file():
            tunable.load(inside / "model")
        else:
            _stage(recipe, stage, tuner, make, held_out, inside, resume)
        seconds += float(read_json(inside / "done.json")["seconds"])
    if not (folder / "after.json").is_file():
        write_json(folder / "after.json", _scores(recipe, tuner, makers, held_out))
    before, after = place.read("before"), place.read("after")
    card = {"model": recipe.model, "before": before, "after": after, "training_seconds": seconds}
    kept = made_folder(recipe.name) if recipe.name else place.tuned
    for target in {place.tuned, kept}:
        write_folder(target, lambda part: _keep(tuner, part, card))
    return Pretrained(folder, kept, before, after, seconds)


def _keep(tuner: Tuner, folder: Path, card: dict[str, Any]) -> None:
    tuner.tunable.save(folder)
    (folder / "pretrained.json").write_text(json.dumps(card, indent=1) + "\n", encoding="utf-8")


def _maker(stage: StageBlock, backbone: Backbone) -> Make:
    return make_objective(
        stage.name, backbone, share=stage.share, mean_span=stage.mean_span, whole_word=stage.whole_word
    )


def _stream(recipe: Pretraining, backbone: Backbone, split: Split, epoch: int) -> Iterator[list[int]]:
    """The epoch's blocks: with the special tokens around them and a slot for T5's ends they fit training.max_tokens."""
    length = recipe.training.max_tokens - len(backbone.text.before) - len(backbone.text.after)
    seed = recipe.training.seed if split == "train" else 0
    return blocks(backbone, recipe.corpus, split, length, seed, epoch)


def _made(make: Make, held_out: list[list[int]], stage: int) -> list[Example]:
    """Held-out blocks with noise that is the same at every look."""
    return [make(block, numpy_random("held-out-noise", stage, i)) for i, block in enumerate(held_out)]


def _scores(recipe: Pretraining, tuner: Tuner, makers: list[Make], held_out: list[list[int]]) -> dict[str, Any]:
    """Every objective of the recipe on the held-out blocks."""
    found = {}
    for i, (stage, make) in enumerate(zip(recipe.objective, makers)):
        scores = measure(tuner, _made(make, held_out, i), recipe.evaluation.batch_size)
        found[stage.name] = {name: interval.to_json() for name, interval in scores.items()}
    return {"blocks": len(held_out), "tokens_a_block": len(held_out[0]), "objectives": found}


def _stage(
    recipe: Pretraining,
    stage: StageBlock,
    tuner: Tuner,
    make: Make,
    held_out: list[list[int]],
    folder: Path,
    resume: bool,
) -> None:
    training = recipe.training
    steps = stage.steps or training.steps
    assert steps is not None and not isinstance(training.learning_rate, str)
    looked_at = _made(make, held_out[:LOOKED_AT], 0)
    batches = BlockBatches(
        lambda epoch: _stream(recipe, tuner.backbone, "train", epoch), make, training.seed,
        training.batch_size or BATCH_SIZE,
    )  # fmt: skip
    plan = Plan(
        steps=steps,
        learning_rate=stage.learning_rate or training.learning_rate or RATE,
        optimizer=training.optimizer or "adamw",
        schedule=training.schedule or "linear",
        warmup=training.warmup,
        weight_decay=0.01 if training.weight_decay is None else training.weight_decay,
        clip=training.clip,
        accumulation=training.accumulation,
        seed=training.seed,
        evaluate_every=training.evaluate_every or max(1, steps // LOOKS),
        patience=training.patience,
        checkpoint_every=training.checkpoint_every,
    )
    trained = train(
        tuner, batches, plan, folder=folder, resume=resume, title=stage.name,
        validate=lambda now: [-measure(now, looked_at, recipe.evaluation.batch_size)["loss"].value],
    )  # fmt: skip
    write_folder(folder / "model", tuner.tunable.save)
    tokens = trained.examples * recipe.training.max_tokens
    rate = tokens / trained.seconds if trained.seconds else math.nan
    say(f"{stage.name}: {trained.steps} steps, {tokens:,} tokens, {rate:,.0f} tokens/s")
    write_json(folder / "done.json", {"steps": trained.steps, "seconds": trained.seconds, "tokens": tokens})
