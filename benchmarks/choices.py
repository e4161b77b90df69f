"""Choices scored in many templates: beside lm-eval on the same requests."""

from pathlib import Path
from typing import Any

from measuring import Bench, Failed, difference, missing, say, turns
from tables import Goal, ratios, spread, table

TEMPLATES, LEAST, BATCH = 20, 3.0, 32
SCORE_TOLERANCE = 1e-3
TITLE = "Choice scoring, 5 choices in 20 templates"
WAYS = {"words": "choices of several tokens", "word": "choices of one token"}
CHOICES = {
    "words": ("business and money", "films and music", "law and government", "sport and games", "tech and science"),
    "word": ("business", "entertainment", "politics", "sport", "technology"),
}  # fmt: skip
OF = {"business": 0, "entertainment": 1, "politics": 2, "sports": 3, "tech": 4}
OF |= {"sports": 3, "money": 0, "weather": 2, "technology": 4}  # the made-up rows of a check


def measure(bench: Bench) -> dict[str, Any]:
    """Equal scores and predictions in fp32 on a few rows, then speed in the machine's best precision."""
    if why := missing("lm_eval"):
        return {"missing": why}
    spec = {**bench.subject(), "words": bench.sized(8, 50, 50)}
    found: dict[str, Any] = {"precision": bench.best, "rows": bench.sized(3, 6, 40), "checked": bench.sized(2, 2, 10)}
    for way in WAYS:
        mine = {**spec, "choices": way}
        exact = [
            bench.measure(f"choices:{side}", "choices", rows=found["checked"], precision="fp32", **mine)
            for side in ("ours", "peer")
        ]
        worst = difference(*(one["scores"] for one in exact))
        if worst > SCORE_TOLERANCE or exact[0]["right"] != exact[1]["right"]:
            right = [one["right"] for one in exact]
            raise Failed(f"scoring ({WAYS[way]}): scores differ by {worst:.1e}, right answers {right}")
        mine |= {"rows": found["rows"], "precision": bench.best}
        pairs = turns(
            bench.pairs,
            lambda turn, mine=mine: bench.measure("choices:ours", "choices", turn, **mine),
            lambda turn, mine=mine: bench.measure("choices:peer", "choices", turn, **mine),
        )
        found[way] = {"pairs": pairs, "difference": worst}
        say(f"scoring, {WAYS[way]}: ratio {[round(r, 2) for r in ratios(pairs, 'speed')]}")
    return found


def _asked(spec: dict[str, Any], backbone: Any) -> Any:
    """The rows in all templates, made ready for a model; texts cut to so many words beforehand."""
    from dataclasses import replace

    import sensitivity_cost

    from tunewright.settings import validate
    from tunewright.task_block import TaskBlock
    from tunewright.tasks.open import open_task
    from tunewright.tasks.task import LabelName, Rows

    block = spec["task"]
    opened = open_task(block if isinstance(block, str) else validate(TaskBlock, block, "rows"))
    split, labels = opened.split("train")[: spec["rows"]], CHOICES[spec["choices"]]
    texts = [" ".join(text.split()[: spec["words"]]) for text in split.columns["text"]]
    gold = [LabelName(labels[OF[str(label)]], OF[str(label)]) for label in split.columns["label"]]
    rows = Rows({"text": texts, "label": gold}, list(split.ids))
    made = replace(sensitivity_cost.made_task(1, TEMPLATES, 4), labels=labels)
    return sensitivity_cost.make_ready(
        backbone, replace(made, splits=dict.fromkeys(made.splits, rows)), spec["precision"]
    )


def ours(spec: dict[str, Any], folder: Path) -> dict[str, Any]:
    """As `tunewright sensitivity` does, a call a template: rendered, tokenised, scored."""
    import sensitivity_cost
    from clocks import now

    from tunewright.backbones.load import load_backbone
    from tunewright.evaluation.scoring import Asked, Asking, predict_all

    prepared = _asked(spec, load_backbone(spec["model"]))
    silent = sensitivity_cost.Silent()
    warm = sensitivity_cost.encoder_of(prepared, 0)
    predict_all(prepared.tuner, [Asked(warm, prepared.task, Asking())], bar=silent)
    scores: list[float] = []
    right = 0
    started = now()
    for number in range(TEMPLATES):
        asked = Asked(sensitivity_cost.encoder_of(prepared, number), prepared.task, Asking())
        for one in predict_all(prepared.tuner, [asked], bar=silent)[0]:
            assert one.scores is not None
            scores += one.scores
            right += one.prediction == one.target
    seconds = now() - started
    return {"scores": scores, "right": right, "seconds": seconds, "speed": spec["rows"] * TEMPLATES / seconds}


def peer(spec: dict[str, Any], folder: Path) -> dict[str, Any]:
    """lm-eval's HFLM on the same texts, all requests in one call: tokenised, sorted and scored by it."""
    import torch
    from clocks import now
    from lm_eval.api.instance import Instance
    from lm_eval.models.huggingface import HFLM
    from transformers import AutoModelForCausalLM, AutoTokenizer

    from tunewright.backbones.fetch import model_folder
    from tunewright.backbones.load import device, load_backbone

    prepared = _asked({**spec, "precision": "fp32"}, load_backbone(spec["model"]))
    requests, gold = [], []
    for number in range(TEMPLATES):
        for row in prepared.task.split("test"):
            prompt = prepared.templates[number].render(row)
            assert prompt is not None and prompt.choices is not None
            context = prompt.text()
            stem = context.rstrip()
            gold.append(prompt.gold)
            requests += [(stem, context[len(stem) :] + choice) for choice in prompt.choices]
    del prepared
    where = model_folder(spec["model"])
    dtype = torch.bfloat16 if spec["precision"] == "bf16" else torch.float32
    model = AutoModelForCausalLM.from_pretrained(where, dtype=dtype, use_safetensors=True).to(device())
    scorer = HFLM(pretrained=model, tokenizer=AutoTokenizer.from_pretrained(where), backend="causal", batch_size=BATCH)
    asked = [Instance("loglikelihood", {}, request, i) for i, request in enumerate(requests)]
    scorer.loglikelihood(asked[:5], disable_tqdm=True)
    started = now()
    scores = [float(score) for score, _ in scorer.loglikelihood(asked, disable_tqdm=True)]
    seconds = now() - started
    by_row = [scores[i : i + 5] for i in range(0, len(scores), 5)]
    right = sum(row.index(max(row)) == label for row, label in zip(by_row, gold))
    return {"scores": scores, "right": right, "seconds": seconds, "speed": len(gold) / seconds}


def page(found: dict[str, Any]) -> list[str]:
    """Rows × templates a second."""
    rows = []
    for way, name in WAYS.items():
        pairs = found[way]["pairs"]
        cells = [spread([pair[side]["speed"] for pair in pairs], 2) for side in ("ours", "peer")]
        right = " and ".join(
            f"{pairs[0][side]['right'] / (TEMPLATES * found['rows']):.3f}" for side in ("ours", "peer")
        )
        rows.append([name, *cells, spread(ratios(pairs, "speed"), 2), right, f"{found[way]['difference']:.0e}"])
    head = ["", "Tunewright, prompts/s", "lm-eval, prompts/s", "Ratio", "Accuracy, both", "Score difference, fp32"]
    return [
        f"## {TITLE}",
        "",
        f"{found['rows']} rows × {TEMPLATES} templates, {found['precision']}; a prompt with its five choices counts "
        f"once. In fp32 ({found['checked']} rows in all templates) scores and accuracy are equal, asserted. lm-eval "
        "reads a context once where all choices are one token, and once a choice where they are longer; we read it "
        "once.",
        "",
        *table(head, rows),
    ]


def goals(found: dict[str, Any] | None) -> list[Goal]:
    """Both kinds of choices."""
    return [
        Goal(f"{TITLE}, {name}: ≥ {LEAST:g}× lm-eval", ratios(found[way]["pairs"], "speed") if found else None, LEAST)
        for way, name in WAYS.items()
    ]
