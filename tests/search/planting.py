"""A tiny model in which one word is planted: with it in the prompt answers are right, with others always `sport`."""

import torch
from tiny import tiny_prepared

from tunewright.backbones.batch import Batch
from tunewright.backbones.seq2seq import Seq2SeqBackbone
from tunewright.objectives.losses import choice_loss, choice_scores
from tunewright.prompts.layout import SlotLayout
from tunewright.prompts.template import Template
from tunewright.runs.prepare import Prepared
from tunewright.search.joint_decoding import sentinels
from tunewright.training.rows import RowEncoder
from tunewright.training.tuner import Tuner

ROWS = ("the film was good", "a very bad day with rain and snow", "it was dull")
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


def inputs_of(backbone: Seq2SeqBackbone) -> list[list[int]]:
    first, second, _ = sentinels(backbone, 2)
    return [[*backbone.text.ids_of_words(row), first, second, *backbone.text.after] for row in ROWS]


def teach(backbone: Seq2SeqBackbone, before: str, after: str, steps: int) -> None:
    """Train the model to write these words around the answer of each row."""
    marks = sentinels(backbone, 2)
    words = [backbone.text.ids_of_words(text) for text in (before, after)]
    target = torch.tensor([[marks[0], *words[0], marks[1], *words[1], marks[2]]])
    model = backbone.model.requires_grad_(True)
    optimizer = torch.optim.AdamW(model.parameters(), lr=5e-3)
    for step in range(steps):
        row = inputs_of(backbone)[step % len(ROWS)]
        model(input_ids=torch.tensor([row]), labels=target).loss.backward()
        optimizer.step()
        optimizer.zero_grad()
    model.requires_grad_(False)
