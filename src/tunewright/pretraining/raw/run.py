"""Pretraining a model on raw text: measured, trained stage by stage, measured again, kept."""

import json
import math
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from tunewright.backbones.attention import use_attention
from tunewright.backbones.base import Backbone
from tunewright.backbones.checkpointing import checkpoint_blocks
from tunewright.backbones.examples import Example
from tunewright.backbones.fetch import made_folder
from tunewright.backbones.load import pick_precision
from tunewright.console import say
from tunewright.errors import InputError
from tunewright.evaluation.texts import measure, noised
from tunewright.files import read_json, write_folder, write_json
from tunewright.methods.base import Setting
from tunewright.methods.full import FullTuning
from tunewright.objectives.raw_text import Make, make_objective, rehearsing
from tunewright.pretraining.corpus import Split, documents, filtered
from tunewright.pretraining.raw.begin import begin, check_architecture
from tunewright.pretraining.raw.blocks import BlockBatches
from tunewright.pretraining.raw.measure import changes, measure_texts
from tunewright.pretraining.raw.recipe import Pretraining, StageBlock
from tunewright.pretraining.raw.report import write_report
from tunewright.pretraining.raw.texts import TRAINED_ON, held_out_texts, stream
from tunewright.prompts.layout import SlotLayout
from tunewright.runs.folder import RunFolder
from tunewright.training.loop import Interrupted, Plan, Trained, how_to_go_on, train
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
    filtered: dict[str, Any] | None
    seconds: float


def pretrain(recipe: Pretraining, folder: Path, *, resume: bool = False, overwrite: bool = False) -> Pretrained:
    """Train on raw text; `folder/tuned` is a model's folder, and with `name` a copy stands in the user's cache.

    Raises InputError, MachineError, Diverged, or Interrupted after saving.
    """
    place = RunFolder(folder)
    for split in SPLITS:  # what is wrong with the recipe or the corpus is said before a folder is made
        next(documents(recipe.corpus, split, recipe.training.seed, 0))
    new = recipe.architecture is not None and not folder.exists()
    if recipe.architecture is not None:
        check_architecture(recipe.architecture)
        place.claim(recipe, resume=resume, overwrite=overwrite)
    try:
        backbone = begin(recipe, folder)
        makers = _makers(recipe, backbone)
        texts = held_out_texts(recipe, backbone)
    except InputError:
        if new:  # it holds the vocabulary alone
            shutil.rmtree(folder)
        raise
    if recipe.architecture is None:
        place.claim(recipe, resume=resume, overwrite=overwrite)
    use_attention(backbone, recipe.training.max_tokens)
    if recipe.training.gradient_checkpointing:
        checkpoint_blocks(backbone)
    tunable = FullTuning().tune(backbone, SlotLayout(), Setting("generate", (), recipe.training.seed))
    tuner = Tuner(backbone, tunable, pick_precision(recipe.training.precision))

    if (dropped := filtered(recipe.corpus)) is not None:
        write_json(folder / "filtered.json", dropped)
    _look(recipe, tuner, makers, texts, folder, "before")
    seconds = 0.0
    for number, (stage, make) in enumerate(zip(recipe.objective, makers.values()), 1):
        inside = folder / "stages" / f"{number}-{stage.name}"
        if (inside / "done.json").is_file():
            tunable.load(inside / "model")
        else:
            rehearsed = rehearsing(make, list(makers.values())[: number - 1], stage.rehearse)
            looked_at = noised(make, texts[TRAINED_ON][:LOOKED_AT], 0)
            trained = _stage(recipe, stage, tuner, rehearsed, looked_at, inside, resume)
            if trained.interrupted and number < len(makers):
                raise Interrupted(f"interrupted after {inside.name}" + how_to_go_on(folder))
        seconds += float(read_json(inside / "done.json")["seconds"])
    _look(recipe, tuner, makers, texts, folder, "after")
    before, after = place.read("before"), place.read("after")
    card = {"model": recipe.model, "before": before, "after": after, "training_seconds": seconds}
    kept = made_folder(recipe.name) if recipe.name else place.tuned
    for target in {place.tuned, kept}:
        write_folder(target, lambda part: _keep(tuner, part, card))
    write_report(folder, recipe, before, after, dropped, seconds)
    return Pretrained(folder, kept, before, after, dropped, seconds)


def _keep(tuner: Tuner, folder: Path, card: dict[str, Any]) -> None:
    tuner.tunable.save(folder)
    (folder / "pretrained.json").write_text(json.dumps(card, indent=1) + "\n", encoding="utf-8")


def _makers(recipe: Pretraining, backbone: Backbone) -> dict[str, Make]:
    """The objective of each stage, by its name; the second stage of a name is `NAME-2`."""
    makers: dict[str, Make] = {}
    for stage in recipe.objective:
        made = make_objective(stage.name, backbone, share=stage.share, mean_span=stage.mean_span,
                              whole_word=stage.whole_word, isolate=recipe.packing.isolate)  # fmt: skip
        same = sum(name.partition("-stage-")[0] == stage.name for name in makers)
        makers[f"{stage.name}-stage-{same + 1}" if same else stage.name] = made
    return makers


def _look(
    recipe: Pretraining,
    tuner: Tuner,
    makers: dict[str, Make],
    texts: dict[str, list[list[int]]],
    folder: Path,
    when: Literal["before", "after"],
) -> None:
    """Write every objective's scores on every text to `WHEN.json`, the losses of the blocks to `losses-WHEN.json`."""
    if (folder / f"{when}.json").is_file():
        return
    scores, losses = measure_texts(tuner, makers, texts, recipe.evaluation.batch_size)
    own = scores.pop(TRAINED_ON)
    content = {**own, "also": scores}
    if when == "after":
        content["change"] = changes(read_json(folder / "losses-before.json"), losses)
    write_json(folder / f"losses-{when}.json", losses)
    write_json(folder / f"{when}.json", content)


def _stage(
    recipe: Pretraining,
    stage: StageBlock,
    tuner: Tuner,
    make: Make,
    looked_at: list[Example],
    folder: Path,
    resume: bool,
) -> Trained:
    training = recipe.training
    steps = stage.steps or training.steps
    assert steps is not None and not isinstance(training.learning_rate, str)
    batches = BlockBatches(
        lambda epoch: stream(recipe, tuner.backbone, recipe.corpus, "train", epoch), make, training.seed,
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
    return trained
