"""What all choices cost beside one pass over the prompts: `.venv/bin/python benchmarks/sensitivity_cost.py`.

One side scores 20 templates × 500 rows × 5 choices as `tunewright sensitivity` does, a call a template. The other
renders and tokenises the same prompts and reads each once, in the same batches, without any choice: one forward pass,
logits at the last position. The sides take turns in one process, template by template, the first side changing; a
ratio is that of the sums over all templates. Texts, labels and templates are made here. The goal is at most 1.2.
"""

import argparse
import os
import random
import statistics
import tempfile
import time
from pathlib import Path

import small_model
import torch

from tunewright.backbones.base import Backbone
from tunewright.backbones.load import load_backbone
from tunewright.evaluation.scoring import Asked, Asking, predict_all
from tunewright.methods.registry import make_method
from tunewright.recipe import Recipe
from tunewright.runs.prepare import Opened, Prepared, assemble_all, pick_templates
from tunewright.settings import validate
from tunewright.task_block import TemplateBlock
from tunewright.tasks.task import LabelName, Rows, Task
from tunewright.training.batches import cut
from tunewright.training.rows import RowEncoder

GOAL = 1.2
LABELS = ("sport", "business", "technology", "politics", "health")
WORDS = "the a of market match team court storm new old minister launch price goal probe talks late season file chip"
STARTS = ("", "News: ", "Read this.\n", "A short text about one of five subjects:\n", "Somebody wrote: ")
ENDS = ("\nTopic: ", "\nWhat is it about? ", " This is about ", "\n\nThe subject of this text is ")


class Silent:
    """No bar: only the work is timed."""

    def advance(self, by: int = 1, note: str = "") -> None:
        """Nothing is shown."""


def made_task(rows: int, templates: int, words: int) -> Task:
    """`rows` test rows of `words` words with one of five labels, and as many templates."""
    draw = random.Random(0)
    texts = [" ".join(draw.choices(WORDS.split(), k=draw.randint(words // 2, words * 3 // 2))) for _ in range(rows)]
    labels = [LabelName(LABELS[i % 5], i % 5) for i in range(rows)]
    split = Rows({"text": texts, "label": labels}, [f"test-{i}" for i in range(rows)])
    sources = [f"{start}{{{{ text }}}}{end}{{{{ answer }}}}" for end in ENDS for start in STARTS]
    blocks = {f"template-{i}": TemplateBlock(jinja=sources[i]) for i in range(templates)}
    return Task(
        name="news", kind="classify", fields=("text", "label"), target="label", references=None, labels=LABELS,
        label_words={}, templates=blocks, default_template=None, metrics=("accuracy",),
        splits={"train": split, "validation": split, "test": split},
    )  # fmt: skip


def make_ready(backbone: Backbone, task: Task, precision: str = "auto") -> Prepared:
    """The model as it is, with all templates."""
    tree = {"model": backbone.name, "task": "news", "method": "none", "template": list(task.templates)}
    tree["training"] = {"precision": precision}
    recipe = validate(Recipe, tree, "benchmark")
    opened = Opened(recipe, task, pick_templates(recipe, task))
    return assemble_all(recipe, [opened], make_method(recipe.method), backbone)


def encoder_of(prepared: Prepared, number: int) -> RowEncoder:
    """A fresh one, which has encoded nothing yet."""
    encoder = prepared.encoder(prepared.task.split("test"))
    encoder.templates = [prepared.templates[number]]
    return encoder


def batches_of(prepared: Prepared, number: int, batch_tokens: int) -> list[list[int]]:
    """The rows of each batch that scoring makes, so that the single pass has the same ones."""
    encoder = encoder_of(prepared, number)
    examples = [e for e in encoder.examples(range(len(encoder.rows)), 0, "choices") if e is not None]
    order = sorted(range(len(examples)), key=lambda i: -examples[i].tokens)
    rows = iter(order)
    return [[next(rows) for _ in part] for part in cut([examples[i] for i in order], None, batch_tokens)]


def score(prepared: Prepared, number: int, batch_tokens: int) -> None:
    """All choices of all rows in one template."""
    asked = Asked(encoder_of(prepared, number), prepared.task, Asking(batch_tokens))
    predict_all(prepared.tuner, [asked], bar=Silent())


@torch.no_grad()
def read(prepared: Prepared, number: int, batches: list[list[int]]) -> None:
    """Each prompt once, up to where its answer would begin."""
    encoder, tuner = encoder_of(prepared, number), prepared.tuner
    examples = encoder.examples(range(len(encoder.rows)), 0, "state")
    for rows in batches:
        batch = prepared.backbone.collate([e for i in rows if (e := examples[i]) is not None])
        with tuner.autocast():
            prepared.backbone.logits(tuner.asked_states(batch))


def turns(prepared: Prepared, pairs: int, batch_tokens: int) -> list[tuple[float, float]]:
    """Seconds (scoring, single passes) of each turn over all templates."""
    numbers = range(len(prepared.templates))
    batches = [batches_of(prepared, number, batch_tokens) for number in numbers]
    score(prepared, 0, batch_tokens)
    read(prepared, 0, batches[0])
    found = []
    for pair in range(pairs):
        seconds = [0.0, 0.0]
        for number in numbers:
            sides = (0, 1) if (pair + number) % 2 == 0 else (1, 0)
            for side in sides:
                started = time.perf_counter()
                if side == 0:
                    score(prepared, number, batch_tokens)
                else:
                    read(prepared, number, batches[number])
                seconds[side] += time.perf_counter() - started
        found.append((seconds[0], seconds[1]))
        print(f"  scoring {seconds[0]:.1f} s, single passes {seconds[1]:.1f} s, ratio {seconds[0] / seconds[1]:.3f}")
    return found


def main(arguments: list[str] | None = None) -> None:
    """Print a line a turn, then the median."""
    os.environ["TUNEWRIGHT_ENCODED_MB"] = "0"  # what is measured tokenises its own rows
    parser = argparse.ArgumentParser(description="All choices of all templates against one pass over the prompts.")
    parser.add_argument("--model", default="smollm2-135m-instruct")
    parser.add_argument("--templates", type=int, default=20, choices=range(1, 21), metavar="1…20")
    parser.add_argument("--rows", type=int, default=500)
    parser.add_argument("--words", type=int, default=20, help="a text's mean length")
    parser.add_argument("--pairs", type=int, default=3, help="how often each side is measured")
    parser.add_argument("--batch-tokens", type=int, default=4096)
    parser.add_argument("--tiny", action="store_true", help="a small random model: does the benchmark work?")
    given = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as folder:
        name = str(small_model.write_model(Path(folder) / "model")) if given.tiny else given.model
        prepared = make_ready(load_backbone(name), made_task(given.rows, given.templates, given.words))
        shown = "a small random Llama" if given.tiny else given.model
        print(
            f"{shown}: {given.templates} templates × {given.rows} rows × {len(LABELS)} choices, "
            f"{given.words} words a text"
        )
        found = turns(prepared, given.pairs, given.batch_tokens)
    ratio = statistics.median(a / b for a, b in found)
    print(
        f"ratio, median of {given.pairs}: {ratio:.3f} (goal: at most {GOAL}, {'met' if ratio <= GOAL else 'not met'})"
    )


if __name__ == "__main__":
    main()
