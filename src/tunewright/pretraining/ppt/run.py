"""Pretraining a soft prompt on raw text (PPT, Gu et al. 2022): corpus → questions → a run whose prompt is kept."""

from collections import Counter
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path

from tunewright.backbones.load import load_backbone
from tunewright.console import say
from tunewright.errors import InputError
from tunewright.methods.base import Method
from tunewright.methods.registry import make_method
from tunewright.pretraining.corpus import documents
from tunewright.pretraining.ppt.batches import QuestionBatches
from tunewright.pretraining.ppt.draw import shuffled_anchors
from tunewright.pretraining.ppt.fit import PairCut, rows_of
from tunewright.pretraining.ppt.forms import FORMS, Form
from tunewright.pretraining.ppt.pool import Pool, Side, labelled_pools, load_labeller, sentences_of
from tunewright.pretraining.ppt.recipe import PromptPretraining
from tunewright.pretraining.ppt.sentences import MIN_SENTENCES, MIN_WORDS, windows
from tunewright.prompts.template import Template
from tunewright.recipe import EvaluationBlock, Recipe
from tunewright.runs.first_look import first_look, training_purpose
from tunewright.runs.folder import RunFolder
from tunewright.runs.prepare import Prepared, assemble
from tunewright.runs.run import RunResult, carry_out
from tunewright.task_block import TaskBlock, TemplateBlock
from tunewright.tasks.task import Row, Rows, Task

SAMPLE = 200  # training questions looked at beforehand, and fingerprinted
HELD_OUT_SHARE = 10  # one held-out sentence is labelled for so many training sentences
LABELS_FILE = "pseudo-labels.jsonl"


class Questions:
    """The questions of a recipe: `rows(side, epoch)` gives the same ones each time."""

    def __init__(self, recipe: PromptPretraining, pools: dict[Side, Pool] | None = None) -> None:
        self.recipe, self.pools, self.form = recipe, pools, FORMS[recipe.form]
        self.counts: dict[Side, Counter[str]] = {"train": Counter(), "heldout": Counter()}

    def rows(self, side: Side, epoch: int = 0) -> Iterator[Row]:
        """The questions of one epoch; held-out ones are the same for every training seed."""
        recipe = self.recipe
        seed = recipe.training.seed if side == "train" else 0
        pool = None
        if self.pools is not None:
            pool = self.pools[side].rows(seed, epoch) if side == "train" else self.pools[side].all_rows(seed)
        texts = documents(recipe.corpus, side, seed, epoch)
        self.counts[side].clear()
        anchors = shuffled_anchors(windows(texts, recipe.language, counts=self.counts[side]), seed, epoch)
        return self.form.rows(anchors, pool, seed, epoch)

    def some(self, side: Side, count: int) -> list[Row]:
        """The first questions of epoch 0. Raises InputError where there are none."""
        found = list(islice(self.rows(side), count))
        if not found:
            seen = self.counts[side]
            where = "the held-out documents" if side == "heldout" else "the documents"
            raise InputError(
                f"corpus: no question can be asked about {where}: of {seen['documents']}, {seen['too short']} have "
                f"fewer than {MIN_SENTENCES} sentences of {MIN_WORDS} words"
                + (f" (corpus.holdout: {self.recipe.corpus.holdout:g})" if side == "heldout" else "")
            )
        return found


def pretrain_prompt(
    recipe: PromptPretraining, folder: Path, *, resume: bool = False, overwrite: bool = False
) -> RunResult:
    """Measure the model on held-out questions, train the prompt, measure again; everything into `folder`.

    `folder/tuned` holds the prompt for `init: {prompt: FOLDER}`. Raises InputError, MachineError, or Interrupted after
    saving.
    """
    place, form = RunFolder(folder), FORMS[recipe.form]
    method = make_method(recipe.method)
    if method.slots() is None:
        raise InputError(f"method {recipe.method['name']}: it has no soft prompt to pretrain; prompt-tuning has")
    if recipe.method.get("ensemble", 1) != 1:
        raise InputError("method.ensemble: one prompt is pretrained, for other runs to start from; leave it out")
    template = recipe.template if isinstance(recipe.template, TemplateBlock | None) else _block(recipe.template)
    if template is not None:
        Template.from_block(form.name, template, task_of(form, template, {}))
    pools = None
    if recipe.labeller is not None:
        pools = _pools(recipe, folder, lambda: place.claim(recipe, resume=resume, overwrite=overwrite))
    questions = Questions(recipe, pools)
    prepared, cut = _prepared(recipe, method, template, questions)
    first_look(prepared)
    if pools is None:
        place.claim(recipe, resume=resume, overwrite=overwrite)
    batches = _batches(prepared, questions, cut)
    result = carry_out(prepared, folder, resume=resume, alone=False, batches=batches)
    if shortened := batches.counts["shortened"] + cut.count:
        say(f"training: {shortened} of {batches.counts['asked']} questions were cut to training.max_tokens")
    return result


def _block(text: str) -> TemplateBlock:
    return TemplateBlock(jinja=text)


def _pools(recipe: PromptPretraining, folder: Path, claim: Callable[[], None]) -> dict[Side, Pool]:
    """The labelled sentences of both sides. The folder is claimed when nothing but the labelling can go wrong."""
    block = recipe.labeller
    assert block is not None
    labeller, order = load_labeller(block)
    sides: dict[Side, list[str]] = {}
    limits: dict[Side, int] = {"train": block.sentences, "heldout": max(1, block.sentences // HELD_OUT_SHARE)}
    for side, most in limits.items():
        seed = recipe.training.seed if side == "train" else 0
        sides[side] = sentences_of(documents(recipe.corpus, side, seed, 0), recipe.language, most)
        if not sides[side]:
            raise InputError(f"corpus: no {side} document has a sentence of {MIN_WORDS} words")
    claim()
    return labelled_pools(block, labeller, order, sides, folder / LABELS_FILE)


def _prepared(
    recipe: PromptPretraining, method: Method, template: TemplateBlock | None, questions: Questions
) -> tuple[Prepared, PairCut]:
    """The questions as a task, with samples of them as its splits, and the model to be asked."""
    form, wanted = questions.form, recipe.evaluation
    sample = questions.some("train", SAMPLE)
    asked = questions.some("heldout", wanted.rows + wanted.validation_rows)
    if len(asked) < 2:
        raise InputError("corpus: the held-out documents give one question only; raise corpus.holdout")
    # Where there are fewer than wanted, both parts get their share.
    test = min(max(1, round(len(asked) * wanted.rows / (wanted.rows + wanted.validation_rows))), len(asked) - 1)
    backbone = load_backbone(recipe.model)
    template = template or form.template(backbone.family)
    run = Recipe(
        model=recipe.model,
        task=TaskBlock(name=task_name(form), kind=form.kind, labels=list(form.labels) if form.labels else None),
        template=template,
        method=recipe.method,
        training=recipe.training,
        evaluation=EvaluationBlock(
            rows=wanted.rows, validation_rows=wanted.validation_rows, batch_tokens=wanted.batch_tokens, baselines=False
        ),
    )
    seen = questions.counts["heldout"]
    note = f"held-out questions from {seen['documents']} documents, {seen['too short']} of them too short to be used"
    empty = task_of(form, template, {})
    templates = [Template.from_block(form.name, template, empty)]
    prepared = assemble(run, empty, templates, method, backbone)
    cut = PairCut(prepared, form)
    splits = {
        "train": rows_of([cut(row) for row in sample], "train"),
        "validation": rows_of([cut(row) for row in asked[test:]], "validation"),
        "test": rows_of([cut(row) for row in asked[:test]], "heldout"),
    }
    prepared.task = task_of(form, template, splits, [note] if form.name != "single-sentence" else [])
    cut.count = 0
    return prepared, cut


def _batches(prepared: Prepared, questions: Questions, cut: PairCut) -> QuestionBatches:
    training, defaults = prepared.recipe.training, prepared.method.defaults_for(prepared.backbone.family)
    assert defaults is not None
    return QuestionBatches(
        lambda epoch: (cut(row) for row in questions.rows("train", epoch)),
        prepared,
        training_purpose(prepared),
        seed=training.seed,
        batch_size=training.batch_size or (None if training.batch_tokens else defaults.batch_size),
        batch_tokens=training.batch_tokens,
    )


def task_name(form: Form) -> str:
    """What the run's files call the form's task."""
    return f"ppt-{form.name}"


def task_of(form: Form, template: TemplateBlock, splits: dict[str, Rows], notes: list[str] | None = None) -> Task:
    """The form's questions as a task."""
    return Task(
        name=task_name(form),
        kind=form.kind,
        fields=form.fields,
        target="label",
        references=None,
        labels=form.labels,
        label_words={name: (name,) for name in form.labels or ()},
        templates={form.name: template},
        default_template=form.name,
        metrics=("accuracy", "macro-f1") if form.kind == "classify" else ("accuracy",),
        splits=splits,
        notes=notes or [],
    )
