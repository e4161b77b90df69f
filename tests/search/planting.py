"""A tiny model in which one word is planted: with it in the prompt the answers are right, with others always `sport`."""

import torch
from tiny import tiny_prepared

from tunewright.backbones.batch import Batch
from tunewright.objectives.losses import choice_loss, choice_scores
from tunewright.prompts.layout import SlotLayout
from tunewright.prompts.template import Template
from tunewright.runs.prepare import Prepared
from tunewright.training.rows import RowEncoder
from tunewright.training.tuner import Tuner

PLAIN = "{{ text }}. topic: {{ answer }}"


def choices(prepared: Prepared, jinja: str, split: str = "train") -> Batch:
    """All rows of a split as a hard template asks them."""
    task = prepared.task
    template = Template.from_block("plain", jinja, task)
    rows = task.split(split)
    encoder = RowEncoder(rows, [template], prepared.backbone, SlotLayout(), 128, 0, lambda prompt: prompt)
    found = [e for e in encoder.examples(range(len(rows)), 0, "choices") if e is not None]
    return prepared.backbone.collate(found)


def loss(tuner: Tuner, batch: Batch) -> torch.Tensor:
    return choice_loss(choice_scores(tuner(batch), batch), batch)


def planted(arch: str, word: str, others: tuple[str, ...], steps: int, template: str = PLAIN) -> Prepared:
    """`template` has its `. topic:`; the word stands before it."""
    prepared = tiny_prepared("none", arch, template=template)
    place = template.replace(". topic:", " {} topic:")
    good = choices(prepared, place.replace("{}", word))
    bad = [choices(prepared, place.replace("{}", other)) for other in others]
    for batch in bad:
        batch.gold = torch.zeros_like(batch.gold)
    model = prepared.backbone.model.requires_grad_(True)
    optimizer = torch.optim.AdamW(model.parameters(), lr=5e-3)
    for step in range(steps):
        value = loss(prepared.tuner, good) + loss(prepared.tuner, bad[step % len(bad)])
        value.backward()
        optimizer.step()
        optimizer.zero_grad()
    model.requires_grad_(False)
    return prepared
