"""What PEFT's models answer to examples of ours, and the same from our own forward pass."""

from pathlib import Path
from typing import Any

import torch
from peft import PeftModel
from tiny import tiny_parts
from torch import Tensor, nn

from tunewright.backbones.examples import Example
from tunewright.runs.kept import write_kept
from tunewright.runs.prepare import Prepared


def close(a: Tensor, b: Tensor) -> bool:
    return torch.allclose(a, b, rtol=1e-5, atol=1e-5)


def kept_run(folder: Path, prepared: Prepared) -> Path:
    """The run's folder with what is kept of it."""
    (folder / "tuned").mkdir(parents=True)
    write_kept(folder / "tuned", prepared)
    return folder


def some_rows(prepared: Prepared, count: int = 3) -> list[Example]:
    found = prepared.encoder(prepared.task.split("test")).examples(range(count), 0, "answer")
    return [example for example in found if example is not None]


@torch.no_grad()
def ours(prepared: Prepared, examples: list[Example]) -> Tensor:
    return prepared.tuner.eval()(prepared.backbone.collate(examples))


def peft_model(arch: str, folder: Path) -> nn.Module:
    return PeftModel.from_pretrained(tiny_parts(arch)[0], str(folder)).eval()


@torch.no_grad()
def theirs(model: Any, examples: list[Example], task: int | None = None) -> Tensor:
    """PEFT puts its virtual tokens before the ids by itself: ours are cut off."""
    found = []
    for example in examples:
        (view,) = example.views
        slots = sum(row >= 0 for row in view.soft)
        assert all(row >= 0 for row in view.soft[:slots])
        ids = torch.tensor([view.ids[slots:]])
        extra: dict[str, Any] = {} if task is None else {"task_ids": torch.tensor([task])}
        if view.decoders and task is not None:  # of multi-task prompts PEFT wants the labels
            extra["labels"] = torch.tensor([[ask.token for ask in view.asks]])
        elif view.decoders:
            extra["decoder_input_ids"] = torch.tensor([view.decoders[0][0]])
        logits = model(input_ids=ids, attention_mask=torch.ones_like(ids), **extra).logits[0]
        lines = torch.log_softmax(logits, -1)
        found += [lines[ask.position, ask.token] for ask in view.asks]
    return torch.stack(found)
