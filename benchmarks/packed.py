"""Full tuning on packed sequences: raw text in blocks, and prompts with answers, beside TRL's SFTTrainer."""

from typing import Any

from measuring import LOSS_TOLERANCE, Bench, agree, missing, say, turns
from packed_sides import BATCH
from tables import Goal, ratios, spread, table

from tunewright.recipe import TrainingBlock

LEAST = 1.3
TITLE = "Packed full tuning"
WAYS = {"text": "raw text in blocks", "rows": "prompts with answers, real lengths"}
NO_PACKING = "not measured: this version has no training.packing"


def measure(bench: Bench) -> dict[str, Any]:
    """Blocks of raw text: equal losses step by step. Rows: equal mean loss over all of them."""
    if why := missing("trl"):
        return {"missing": why}
    found: dict[str, Any] = {"precision": bench.best, "tokens": bench.sized(32, 256, 512)}
    subject = bench.subject()
    task = subject["task"]
    text = {"task": task} if isinstance(task, str) else {"path": task["path"]}
    spec = {"model": subject["model"], "tokens": found["tokens"], "steps": bench.steps, "corpus": {"sources": [text]}}
    bench.measure("packed_sides:start_text", "packed-text", **spec)
    spec["precision"] = bench.best
    found["text"] = turns(
        bench.pairs,
        lambda turn: bench.measure("packed_sides:ours_text", "packed-text", turn, **spec),
        lambda turn: bench.measure("packed_sides:peer_text", "packed-text", turn, **spec),
    )
    found["difference"] = {"text": _same(bench, found["text"], "text")}
    say(f"packed, {WAYS['text']}: ratio {[round(r, 2) for r in ratios(found['text'], 'speed')]}")
    if "packing" not in TrainingBlock.model_fields:
        return found
    task = "support-chats" if bench.size != "tiny" else task
    rows = {"model": subject["model"], "task": task, "tokens": found["tokens"] * 2, "rows": bench.sized(24, 24, 96)}
    found["of rows"] = bench.measure("packed_sides:start_rows", "packed-rows", **rows)
    rows["precision"] = bench.best
    found["rows"] = turns(
        bench.pairs,
        lambda turn: bench.measure("packed_sides:ours_rows", "packed-rows", turn, **rows),
        lambda turn: bench.measure("packed_sides:peer_rows", "packed-rows", turn, **rows),
    )
    found["difference"]["rows"] = _same(bench, found["rows"], "rows")
    say(f"packed, {WAYS['rows']}: ratio {[round(r, 2) for r in ratios(found['rows'], 'speed')]}")
    return found


def _same(bench: Bench, pairs: list[dict[str, Any]], way: str) -> float:
    tolerance = LOSS_TOLERANCE[bench.best]
    return max(agree(f"packed {way}: the losses", p["ours"]["losses"], p["peer"]["losses"], tolerance) for p in pairs)


def page(found: dict[str, Any]) -> list[str]:
    """Tokens or rows a second."""
    cells = []
    for way, unit in (("text", "tokens/s"), ("rows", "rows/s")):
        if way not in found:
            cells.append([WAYS[way], NO_PACKING, "", "", ""])
            continue
        pairs = found[way]
        speeds = [
            spread([pair[side]["speed"] for pair in pairs], 2 if way == "rows" else 0) for side in ("ours", "peer")
        ]
        cells.append(
            [f"{WAYS[way]}, {unit}", *speeds, spread(ratios(pairs, "speed"), 2), f"{found['difference'][way]:.0e}"]
        )
    text = [
        f"## {TITLE}",
        "",
        f"All weights, {found['precision']}. Raw text: {BATCH} blocks of {found['tokens']} tokens a step, loss on "
        "every token, losses compared step by step.",
    ]
    if of := found.get("of rows"):
        text[-1] += (
            f" Rows: support chats with their summaries, {of['shortest']} to {of['longest']} tokens, median "
            f"{of['median']}, in sequences of at most {2 * found['tokens']}, loss on the answers; each side packs in "
            "its own way, one epoch, whole call."
        )
    return [*text, "", *table(["", "Tunewright", "TRL SFTTrainer", "Ratio", "Loss difference"], cells)]


def goals(found: dict[str, Any] | None) -> list[Goal]:
    """Both ways."""
    lines = []
    for way, name in WAYS.items():
        values = ratios(found[way], "speed") if found and way in found else None
        why = {"missing": NO_PACKING} if found else {}
        lines.append(Goal(f"{TITLE}, {name}: ≥ {LEAST:g}× TRL SFTTrainer", values, LEAST, **why))
    return lines
