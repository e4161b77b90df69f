"""How near a prompt-tuning step comes to what the machine's matrix products allow."""

import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

from measuring import Bench, say
from tables import Goal, spread, table

SHARE = 0.6
TITLE = "Share of the limit, prompt tuning step"


def measure(bench: Bench) -> dict[str, Any]:
    """One process: the products alone and the step, taking turns."""
    spec = {**bench.subject(), "method": "prompt-tuning", "steps": 2, "precision": bench.best}
    found = bench.measure("limit:ours", "limit", repeats=bench.sized(2, 5, 12), **spec)
    say(f"limit: {100 * median(found['shares']):.0f} % of the matrix products' speed")
    return found


def ours(spec: dict[str, Any], folder: Path) -> dict[str, Any]:
    """Seconds of a step, and of its matrix products alone at their own shapes, forward and back."""
    import torch
    from sides import batches_of, recipe_of

    from tunewright.objectives.losses import answer_loss
    from tunewright.runs.prepare import prepare
    from tunewright.training.batches import Place

    prepared = prepare(recipe_of(spec))
    tuner, backbone = prepared.tuner, prepared.backbone
    tuner.train()
    batch = backbone.collate(next(batches_of(prepared)[0].steps(Place(0, 0)))[1])
    tokens, asked = batch.ids.numel(), batch.asked
    head = backbone.model.get_output_embeddings()
    layers = [m for m in backbone.model.modules() if isinstance(m, torch.nn.Linear)]
    products: list[Callable[[], Any]] = []
    in_fp32: list[Callable[[], Any]] = []  # what bf16 gains on this machine at these shapes
    flops = 0
    for layer in layers:
        out, into = layer.weight.shape
        rows = asked if layer is head else tokens
        x, back = (torch.randn(rows, n, dtype=layer.weight.dtype, device=layer.weight.device) for n in (into, out))
        products += [lambda x=x, w=layer.weight: x @ w.T, lambda g=back, w=layer.weight: g @ w]
        whole, x, back = (one.detach().float() for one in (layer.weight, x, back))
        in_fp32 += [lambda x=x, w=whole: x @ w.T, lambda g=back, w=whole: g @ w]
        flops += 4 * rows * out * into

    @torch.no_grad()
    def multiply(products: list[Callable[[], Any]]) -> None:
        for product in products:
            product()

    def step() -> None:
        for parameter in tuner.tunable.trained().values():
            parameter.grad = None
        (answer_loss(tuner(batch)) / batch.asked).backward()

    works = {"alone": lambda: multiply(products), "fp32": lambda: multiply(in_fp32), "step": step}
    seconds: dict[str, list[float]] = {name: [] for name in works}
    for turn in range(spec["repeats"] + 1):
        for name, work in works.items():
            started = time.perf_counter()
            work()
            if turn:
                seconds[name].append(time.perf_counter() - started)
    return {
        "precision": spec["precision"],
        "tokens": tokens,
        "rows": len(batch.ids),
        "asked": asked,
        "flops": flops,
        "seconds": seconds,
        "shares": [a / b for a, b in zip(seconds["alone"], seconds["step"])],
    }


def page(found: dict[str, Any]) -> list[str]:
    """FLOPs, seconds and TFLOP/s of both."""
    names = {"step": "the whole step", "alone": f"its matrix products alone, {found['precision']}"}
    if found["precision"] != "fp32":
        names["fp32"] = "the same products in fp32"
    rows = []
    for key, name in names.items():
        seconds = found["seconds"][key]
        speeds = [found["flops"] / one / 1e12 for one in seconds]
        rows.append([name, spread([1e3 * one for one in seconds], 0), spread(speeds, 2)])
    rows.append(["products alone over the step", spread([100 * share for share in found["shares"]], 0) + " %", ""])
    return [
        f"## {TITLE}",
        "",
        f"{found['rows']} rows, {found['tokens']:,} tokens with slots and padding, {found['asked']} positions asked, "
        f"{found['precision']}: {found['flops'] / 1e9:,.0f} GFLOP (4 × weights × tokens: once forward, once back for "
        "the input; the head at the asked positions alone).",
        "",
        *table(["", "ms", "TFLOP/s"], rows),
    ]


def goals(found: dict[str, Any] | None) -> list[Goal]:
    """At least 60 %."""
    text = f"{TITLE}: ≥ {SHARE:.0%} of its matrix products' own speed"
    return [Goal(text, found["shares"] if found else None, SHARE, form="{:.0%}")]
