"""Which before/after examples a report shows, and how: the largest gains first, then the largest losses."""

from collections.abc import Sequence
from typing import Any

from tunewright.reports.data import Example, TaskData
from tunewright.reports.diff import Piece, word_diff
from tunewright.reports.formats import metric_value

GAINS = 8
LOSSES = 3
LONG_PROMPT = 280
MAX_PROMPT = 6000


def choose(examples: Sequence[Example], higher_is_better: bool) -> list[Example]:
    """Of one method's examples the 8 largest gains, then the 3 largest losses (or least gains), worst last.

    Without scores: the first 11 in the given order.
    """
    scored = [e for e in examples if e["before_score"] is not None and e["after_score"] is not None]
    if not scored:
        return list(examples[: GAINS + LOSSES])
    ranked = sorted(scored, key=lambda e: _gain(e, higher_is_better), reverse=True)
    if len(ranked) <= GAINS + LOSSES:
        return ranked
    return ranked[:GAINS] + ranked[-LOSSES:]


def example_cards(task: TaskData) -> list[dict[str, Any]]:
    """The cards of a task in the order of its methods' first appearance, ready for the template."""
    by_method: dict[str, list[Example]] = {}
    for example in task["examples"]:
        by_method.setdefault(example["method"], []).append(example)
    return [
        _card(example, task["metric"], task["higher_is_better"])
        for examples in by_method.values()
        for example in choose(examples, task["higher_is_better"])
    ]


def marked(target: str, output: str) -> tuple[list[Piece], str]:
    """The word differences and a remark. An output without one word of the reference is not buried under the latter."""
    if not output.strip():
        return [], "nothing"
    pieces = word_diff(target, output)
    if len(pieces) > 1 and not any(piece.kind == "same" for piece in pieces):
        return [piece for piece in pieces if piece.kind == "extra"], "no word of the reference"
    return pieces, ""


def _gain(example: Example, higher_is_better: bool) -> float:
    before, after = example["before_score"], example["after_score"]
    if before is None or after is None:
        return 0.0
    return (after - before) if higher_is_better else (before - after)


def _card(example: Example, metric: str, higher_is_better: bool) -> dict[str, Any]:
    prompt = example["prompt"]
    shown = prompt if len(prompt) <= MAX_PROMPT else prompt[:MAX_PROMPT] + " …"
    gain = _gain(example, higher_is_better)
    has_scores = example["before_score"] is not None and example["after_score"] is not None
    return {
        "id": example["id"],
        "method": example["method"],
        "prompt": shown,
        "characters": len(prompt),
        "beginning": " ".join(prompt[:110].split()) + "…" if len(prompt) > LONG_PROMPT else "",
        "target": example["target"],
        "before": marked(example["target"], example["before"]),
        "before_score": metric_value(metric, example["before_score"]) if has_scores else "",
        "after": marked(example["target"], example["after"]),
        "after_score": metric_value(metric, example["after_score"]) if has_scores else "",
        "entities": example.get("entities"),
        "facts": example.get("facts"),
        "change": "" if not has_scores else "better" if gain > 0 else "worse" if gain < 0 else "same",
    }
