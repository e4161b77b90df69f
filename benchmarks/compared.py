"""One method's training beside PEFT (or transformers alone) with the Trainer: speed, memory, equal losses."""

from typing import Any

from measuring import LOSS_TOLERANCE, Bench, agree, say, turns
from tables import MB, Goal, ratios, spread, table

NAMES = {
    "prompt-tuning": "Prompt tuning, 20 slots in front",
    "p-tuning": "P-tuning, 20 slots in front, MLP encoder",
    "lora": "LoRA, rank 8 on q and v",
    "full": "Full tuning",
}
PEERS = {"full": "Trainer"}
AT_LEAST = {"prompt-tuning": 2.0, "p-tuning": 2.0, "lora": 2.0, "full": 1.8}
AGAINST_FP32, MEMORY = 4.0, 0.6
NO_BF16 = "not measured: this machine emulates bf16"


def measure(bench: Bench, name: str) -> dict[str, Any]:
    """`pairs` times ours and theirs in each precision, from the same start over the same batches.

    Raises Failed where the losses do not agree.
    """
    spec = {**bench.subject(), "method": name, "steps": bench.steps}
    found: dict[str, Any] = {"start": bench.measure("sides:start", name, **spec), "steps": bench.steps, "pairs": {}}
    quick = bench.size == "quick" and name == "full"  # a quick run leaves out full tuning in fp32
    for precision in (bench.best,) if quick else bench.precisions:
        mine = {**spec, "precision": precision}
        pairs = turns(
            bench.pairs,
            lambda turn, mine=mine: bench.measure("sides:ours", name, turn, **mine),
            lambda turn, mine=mine: bench.measure("sides:peer", name, turn, **mine),
        )
        for number, pair in enumerate(pairs, 1):
            losses = [pair[side]["losses"] for side in ("ours", "peer")]
            pair["difference"] = agree(f"{name} {precision}: the losses", *losses, LOSS_TOLERANCE[precision])
            a, b = (pair[side]["examples_per_second"] for side in ("ours", "peer"))
            say(f"{name} {precision} pair {number}: {a:.2f} and {b:.2f} examples/s, ratio {a / b:.2f}")
        found["pairs"][precision] = pairs
    return found


def page(found: dict[str, Any], name: str) -> list[str]:
    """One method's table: ours, theirs, the ratio."""
    start, peer = found["start"], PEERS.get(name, "PEFT + Trainer")
    rows = []
    for precision in ("fp32", "bf16"):
        if precision not in found["pairs"]:
            why = NO_BF16 if precision == "bf16" else "not measured in a quick run"
            rows.append([precision, why, "", "", ""])
            continue
        pairs = found["pairs"][precision]
        for key, label, unit, digits in (
            ("examples_per_second", "examples/s", 1.0, 2),
            ("peak_bytes", "peak memory, MB", MB, 0),
            ("added_bytes", "of it added by training, MB", MB, 0),
        ):
            cells = [spread([pair[side][key] / unit for pair in pairs], digits) for side in ("ours", "peer")]
            rows.append([precision, label, *cells, spread(ratios(pairs, key), 2)])
        worst = max(pair["difference"] for pair in pairs)
        rows.append([precision, "largest relative difference of a step's loss", "", "", f"{worst:.0e}"])
    if crossed := across(found):
        rows.append(["ours bf16, theirs fp32", "examples/s", "", "", spread(crossed, 2)])
    return [
        f"## {NAMES[name]}",
        "",
        f"{start['trained_parameters']:,} trained parameters; {found['steps']} steps of 8 rows, the first step not "
        f"timed; {start['shortest']} to {start['longest']} tokens a row, end token included, slots beside them.",
        "",
        *table(["Precision", "Measured", "Tunewright", peer, "Ratio"], rows),
    ]


def across(found: dict[str, Any]) -> list[float]:
    """Our bf16 over their fp32, which is what a Trainer computes in where it is told nothing."""
    pairs = found["pairs"]
    if not {"fp32", "bf16"} <= pairs.keys():
        return []
    speeds = zip(pairs["bf16"], pairs["fp32"])
    return [ours["ours"]["examples_per_second"] / theirs["peer"]["examples_per_second"] for ours, theirs in speeds]


def goals(found: dict[str, Any] | None, name: str) -> list[Goal]:
    """Speed in each precision, against their fp32, and memory."""
    pairs = found["pairs"] if found else {}
    peer = PEERS.get(name, "PEFT + Trainer")
    lines = []
    for precision in ("fp32", "bf16"):
        least = 1.0 if precision == "fp32" and name in ("prompt-tuning", "p-tuning") else AT_LEAST[name]
        why = {"missing": NO_BF16 if precision == "bf16" else "not measured in a quick run"} if found else {}
        values = ratios(pairs[precision], "examples_per_second") if precision in pairs else None
        lines.append(Goal(f"{NAMES[name]}, {precision}: ≥ {least:g}× the speed of {peer}", values, least, **why))
    if name == "prompt-tuning":
        why = {"missing": NO_BF16} if found else {}
        text = f"{NAMES[name]}, bf16: ≥ {AGAINST_FP32:g}× the speed of {peer} in its default, fp32"
        lines.append(Goal(text, across(found) if found else None, AGAINST_FP32, **why))
        best = "bf16" if "bf16" in pairs else "fp32"
        values = ratios(pairs[best], "peak_bytes") if found else None
        lines.append(Goal(f"{NAMES[name]}, {best}: peak memory ≤ {MEMORY:g}× {peer}'s", values, at_most=MEMORY))
    return lines
