"""What a start spends on rendering and tokenising, and a second one: `.venv/bin/python benchmarks/encoding.py`.

Rows as in render.py go through SmolLM2's tokenizer, 64 at a time as in training: for their answers, and with the four
choices scored. `without`: no store (`training.plain`); `first`: into an empty one; `second`: out of it, by an encoder
that has seen nothing. The time is that of the processor, on one core, the least of several passes.
"""

import argparse
import tempfile
import time
from pathlib import Path
from statistics import fmean

from render import made_rows, made_templates

from tunewright.backbones.encoded_store import EncodedStore
from tunewright.backbones.examples import Purpose
from tunewright.backbones.load import load_backbone
from tunewright.prompts.detached import without_slots
from tunewright.prompts.layout import SlotLayout
from tunewright.tasks.task import Rows
from tunewright.training.rows import RowEncoder

PURPOSES: tuple[Purpose, ...] = ("answer", "choices")


def seconds(encoder: RowEncoder, purpose: Purpose) -> tuple[float, float]:
    """(seconds of the processor, mean tokens) of all rows, window by window."""
    started, tokens = time.process_time(), []
    for start in range(0, len(encoder.rows), 64):
        found = encoder.examples(range(start, min(len(encoder.rows), start + 64)), 0, purpose)
        tokens += [example.tokens for example in found if example is not None]
    return time.process_time() - started, fmean(tokens)


def main() -> None:
    """Print a line for each length of text and purpose."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=2_000)
    parser.add_argument("--passes", type=int, default=3)
    given = parser.parse_args()
    backbone = load_backbone("smollm2-135m-instruct")
    template = next(one for one in made_templates() if one.name == "choices")
    short = made_rows(given.rows)
    for times in (1, 4):
        rows = Rows({**short.columns, "text": [" ".join([text] * times) for text in short.columns["text"]]}, short.ids)
        for purpose in PURPOSES:
            best = {"without": float("inf"), "first": float("inf"), "second": float("inf")}
            for _ in range(given.passes):
                with tempfile.TemporaryDirectory() as folder:
                    file = Path(folder) / "rows"
                    for name in best:
                        backbone.encoded_store = None if name == "without" else EncodedStore(file, 2**30)
                        encoder = RowEncoder(rows, [template], backbone, SlotLayout(), 512, 0, without_slots)
                        spent, tokens = seconds(encoder, purpose)
                        best[name] = min(best[name], spent)
                    size = file.stat().st_size
            micro = {name: 1e6 * spent / len(rows) for name, spent in best.items()}
            told = "  ".join(f"{name} {value:6.0f}" for name, value in micro.items())
            print(
                f"{purpose:8} {tokens:4.0f} tokens: µs a row: {told}; second {micro['without'] / micro['second']:.1f} "
                f"times as fast; {size / len(rows):.0f} bytes a row",
                flush=True,
            )


if __name__ == "__main__":
    main()
