"""What a step costs as rows grow longer, and as slots grow more."""

import time
from pathlib import Path
from statistics import median
from typing import Any

from measuring import Bench, say
from tables import Goal, table

ROWS, SLOTS, TEXT = 2, 20, 128
TOKENS, SLOT_COUNTS = (32, 64, 128, 256, 512, 1024), (1, 20, 50, 100, 200)
FIT = 0.98
TITLE = "Cost of a step by tokens and slots"


def measure(bench: Bench) -> dict[str, Any]:
    """One process; the lengths take turns."""
    spec = {"model": bench.subject()["model"], "precision": bench.best, "repeats": bench.sized(2, 3, 7)}
    spec |= {
        "tokens": TOKENS[:3] if bench.size == "tiny" else TOKENS,
        "slots": SLOT_COUNTS[: 3 if bench.size == "tiny" else None],
    }
    found = bench.measure("linear:ours", "linear", **spec)
    say(f"linear: R² {found['fits']['tokens']['r2']:.4f} by tokens, {found['fits']['slots']['r2']:.4f} by slots")
    return found


def ours(spec: dict[str, Any], folder: Path) -> dict[str, Any]:
    """Median seconds of forward and backward for each length and each number of slots, and a line through them."""
    import numpy as np
    import torch

    from tunewright.backbones.attention import use_attention
    from tunewright.backbones.causal import Ask, Example, View
    from tunewright.backbones.load import load_backbone
    from tunewright.methods.base import Setting
    from tunewright.methods.soft.prompt_tuning import PromptTuning
    from tunewright.objectives.losses import answer_loss
    from tunewright.prompts.layout import SlotLayout
    from tunewright.prompts.segments import Soft
    from tunewright.training.tuner import Tuner

    backbone = load_backbone(spec["model"])
    layout = SlotLayout.build([Soft("prompt", max(spec["slots"]))], len)
    method = PromptTuning(length=max(spec["slots"]), init="sampled-vocab")
    tuner = Tuner(backbone, method.tune(backbone, layout, Setting("generate", (), 0)), spec["precision"])
    tuner.train()
    random = np.random.default_rng(0)

    def step(text: int, slots: int) -> float:
        ids = [*[backbone.pad] * slots, *random.integers(5, backbone.vocabulary, text).tolist()]
        soft = [*range(slots), *[-1] * text]
        view = View(ids, soft, [Ask(0, len(ids) - 2, ids[-1], 0), Ask(0, len(ids) - 1, ids[-2], 0)])
        batch = backbone.collate([Example([view])] * ROWS)
        use_attention(backbone, len(ids))
        started = time.perf_counter()
        (answer_loss(tuner(batch)) / batch.asked).backward()
        return time.perf_counter() - started

    found: dict[str, Any] = {"precision": spec["precision"], "seconds": {}, "fits": {}}
    for name, cases in (
        ("tokens", [(text, SLOTS if SLOTS in spec["slots"] else 1) for text in spec["tokens"]]),
        ("slots", [(TEXT, slots) for slots in spec["slots"]]),
    ):
        for case in cases:
            step(*case)
        turns = [[step(*case) for case in cases] for _ in range(spec["repeats"])]
        seconds = [median(turn[i] for turn in turns) for i in range(len(cases))]
        sizes = [sum(case) for case in cases]
        slope, fixed = np.polyfit(sizes, seconds, 1)
        rest = np.array(seconds) - (slope * np.array(sizes) + fixed)
        r2 = 1 - float((rest**2).sum() / ((np.array(seconds) - np.mean(seconds)) ** 2).sum())
        found["seconds"][name] = [[*case, one] for case, one in zip(cases, seconds)]
        found["fits"][name] = {"slope": float(slope), "fixed": float(fixed), "r2": r2}
    assert torch.isfinite(tuner.tunable.trained()["tunable.prompt"].grad).all()
    return found


def page(found: dict[str, Any]) -> list[str]:
    """A table each, with what the line says."""
    text = [
        f"## {TITLE}",
        "",
        f"{ROWS} rows of made-up text, prompt tuning, forward and backward, {found['precision']}; a step reads text "
        "and slots.",
        "",
    ]
    for name, fit in found["fits"].items():
        rows = []
        for length, slots, seconds in found["seconds"][name]:
            line = fit["fixed"] + fit["slope"] * (length + slots)
            a_token = 1e6 * seconds / (ROWS * (length + slots))
            rows.append([f"{length:,}", str(slots), f"{1e3 * seconds:,.0f}", f"{1e3 * line:,.0f}", f"{a_token:,.0f}"])
        text += table(["Text tokens a row", "Slots", "ms a step", "The line, ms", "µs a token"], rows)
        a_token = 1e6 * fit["slope"] / ROWS
        text += [f"By {name}: {a_token:,.0f} µs for each further token, R² {fit['r2']:.4f}.", ""]
    return text


def goals(found: dict[str, Any] | None) -> list[Goal]:
    """A line fits."""
    lines = []
    for name, span in (("tokens", "32 to 1,024 tokens"), ("slots", "1 to 200 slots")):
        values = [found["fits"][name]["r2"]] if found else None
        lines.append(Goal(f"Cost grows linearly over {span}: R² ≥ {FIT:g}", values, FIT, form="{:.4f}"))
    return lines
