"""Texts written behind a soft prompt: our generation beside PEFT's `generate`."""

import json
from pathlib import Path
from typing import Any

from measuring import Bench, Failed, say, turns
from tables import Goal, ratios, spread, table

ROWS, LEAST = 32, 1.5
TITLE = "Generation behind a soft prompt"
WAYS = {"ending": "rows that end by themselves", "forced": "every row to its full length"}
QUESTION = "Say in a few words what this news article is about.\n\n{{ text }}\n{{ answer }}"


def measure(bench: Bench) -> dict[str, Any]:
    """Equal texts in fp32 on a few rows first, then speed in the machine's best precision."""
    spec = {**bench.subject(), "new_tokens": bench.sized(8, 64, 64)}
    chosen = bench.measure("writing:start", "writing", rows=ROWS, words=bench.sized(8, 90, 90), **spec)
    few = bench.sized(4, 6, 32)
    exact = [
        bench.measure(f"writing:{side}", "writing", rows=few, precision="fp32", **spec) for side in ("ours", "peer")
    ]
    for way in WAYS:
        if exact[0][way]["texts"] != exact[1][way]["texts"]:
            raise Failed(f"writing ({WAYS[way]}): the texts differ: {_first_unequal(exact, way)}")
    pairs = turns(
        bench.pairs,
        lambda turn: bench.measure("writing:ours", "writing", turn, rows=ROWS, precision=bench.best, **spec),
        lambda turn: bench.measure("writing:peer", "writing", turn, rows=ROWS, precision=bench.best, **spec),
    )
    found = {"precision": bench.best, "checked": few, "tokens": chosen["tokens"], "new": spec["new_tokens"]}
    for way in WAYS:
        found[way] = [{side: pair[side][way] for side in pair} for pair in pairs]
        say(f"writing, {WAYS[way]}: ratio {[round(r, 2) for r in ratios(found[way], 'speed')]}")
    return found


def _first_unequal(exact: list[dict[str, Any]], way: str) -> str:
    a, b = next((a, b) for a, b in zip(exact[0][way]["texts"], exact[1][way]["texts"]) if a != b)
    return f"ours {a[:80]!r}, theirs {b[:80]!r}"


def start(spec: dict[str, Any], folder: Path) -> dict[str, Any]:
    """Write rows whose prompts have the same number of tokens, and the prompt table.

    Of one length, since PEFT puts its prompt before the padding of a batch padded on the left, and then writes other
    texts than for a row alone.
    """
    from safetensors.torch import save_file

    prepared = _prepared(spec, "fp32")
    split = prepared.task.split("train")
    words = [" ".join(text.split()[: spec["words"]]) for text in split.columns["text"]]
    rows = type(split)({**split.columns, "text": words}, split.ids)[:1500]
    examples = prepared.encoder(rows).examples(range(len(rows)), 0, "generate", spec["new_tokens"])
    by_length: dict[int, list[Any]] = {}
    for example in examples:
        if example is not None:
            by_length.setdefault(example.views[0].tokens, []).append(example.views[0])
    enough = [views for views in by_length.values() if len(views) >= spec["rows"]]
    if not enough:
        raise SystemExit(f"no {spec['rows']} prompts of one length; the most are {max(map(len, by_length.values()))}")
    chosen = [[view.ids, view.soft] for view in enough[0][: spec["rows"]]]
    (folder / "prompts.json").write_text(json.dumps(chosen), encoding="utf-8")
    save_file(
        {"tunable.prompt": prepared.tuner.tunable.trained()["tunable.prompt"].detach()}, folder / "start.safetensors"
    )
    return {"tokens": len(chosen[0][0])}


def _prepared(spec: dict[str, Any], precision: str) -> Any:
    from tunewright.recipe import Recipe
    from tunewright.runs.prepare import prepare

    chat = spec["task"] == "bbc-news"  # the small model of a check knows no chat
    return prepare(
        Recipe.model_validate(
            {
                "model": spec["model"],
                "task": spec["task"],
                "template": {"jinja": QUESTION, "chat": chat},
                "method": {"name": "prompt-tuning", "length": 20, "placement": "very-front"},
                "training": {"precision": precision, "max_tokens": 512},
            }
        )
    )


def ours(spec: dict[str, Any], folder: Path) -> dict[str, Any]:
    """With `Tuner.generate`; forced: the same writer with no token that ends a row."""
    from safetensors.torch import load_file
    from transformers import DynamicCache

    from tunewright.backbones.causal import Example, View
    from tunewright.backbones.greedy import write_greedily
    from tunewright.methods.base import copy_into

    prepared = _prepared(spec, spec["precision"])
    tuner, backbone = prepared.tuner, prepared.backbone
    copy_into(tuner.tunable.trained(), load_file(folder / "start.safetensors"), "start")
    prompts = json.loads((folder / "prompts.json").read_text(encoding="utf-8"))[: spec["rows"]]
    batch = backbone.collate([Example([View(ids, soft)]) for ids, soft in prompts], side="left")

    def forced(most: int) -> list[str]:
        x = backbone.embed(batch.ids, batch.soft, tuner.tunable.table())
        cache = DynamicCache(config=backbone.model.config)
        with tuner.autocast():
            out = write_greedily(backbone.model, batch, x, cache, {-1}, most)
        return [text.strip() for text in backbone.tokenizer.batch_decode(out, skip_special_tokens=True)]

    return _timed(spec, {"ending": lambda most: tuner.generate(batch, most), "forced": forced})


def peer(spec: dict[str, Any], folder: Path) -> dict[str, Any]:
    """With PEFT's `generate` behind the same prompt table, greedy, its cache on."""
    import torch
    from safetensors.torch import load_file
    from sides import adapted
    from transformers import AutoModelForCausalLM, AutoTokenizer

    from tunewright.backbones.fetch import model_folder
    from tunewright.backbones.load import device

    where = model_folder(spec["model"])
    dtype = torch.bfloat16 if spec["precision"] == "bf16" else torch.float32
    model = AutoModelForCausalLM.from_pretrained(where, dtype=dtype, use_safetensors=True).to(device())
    tokenizer = AutoTokenizer.from_pretrained(where)
    tuned = adapted(model, "prompt-tuning", load_file(folder / "start.safetensors")).to(device()).eval()
    prompts = json.loads((folder / "prompts.json").read_text(encoding="utf-8"))[: spec["rows"]]
    plain = [[token for token, slot in zip(ids, soft) if slot < 0] for ids, soft in prompts]
    ids = torch.tensor(plain, device=device())  # [R, T], all of one length
    ends = [tokenizer.eos_token_id]
    if tokenizer.chat_template:
        ends.append(tokenizer.convert_tokens_to_ids("<|im_end|>"))
    pad = ends[0] if tokenizer.pad_token_id is None else tokenizer.pad_token_id
    settings = {"input_ids": ids, "attention_mask": torch.ones_like(ids), "do_sample": False, "pad_token_id": pad}

    def write(most: int, ends: list[int] | None) -> list[str]:
        model.generation_config.eos_token_id = ends
        with torch.no_grad():
            out = tuned.generate(**settings, max_new_tokens=most)
        return [text.strip() for text in tokenizer.batch_decode(out[:, ids.shape[1] :], skip_special_tokens=True)]

    return _timed(spec, {"ending": lambda most: write(most, ends), "forced": lambda most: write(most, None)})


def _timed(spec: dict[str, Any], ways: dict[str, Any]) -> dict[str, Any]:
    from clocks import now

    found = {}
    for way, write in ways.items():
        write(2)
        started = now()
        texts = write(spec["new_tokens"])
        seconds = now() - started
        found[way] = {"texts": texts, "seconds": seconds, "speed": len(texts) / seconds}
    return found


def page(found: dict[str, Any]) -> list[str]:
    """Rows a second, both ways."""
    rows = []
    for way, name in WAYS.items():
        pairs = found[way]
        same = [sum(a == b for a, b in zip(p["ours"]["texts"], p["peer"]["texts"])) for p in pairs]
        cells = [spread([pair[side]["speed"] for pair in pairs], 2) for side in ("ours", "peer")]
        rows.append([name, *cells, spread(ratios(pairs, "speed"), 2), f"{min(same)} of {ROWS}"])
    return [
        f"## {TITLE}",
        "",
        f"{ROWS} rows of {found['tokens']} tokens, 20 slots among them; at most {found['new']} new tokens, greedy, "
        f"{found['precision']}. In fp32 the texts are equal ({found['checked']} rows, asserted); in bf16 two tokens "
        "may be as good as equal and texts part there.",
        "",
        *table(["", "Tunewright, rows/s", "PEFT generate, rows/s", "Ratio", "Equal texts"], rows),
    ]


def goals(found: dict[str, Any] | None) -> list[Goal]:
    """Both ways."""
    return [
        Goal(f"{TITLE}, {name}: ≥ {LEAST:g}× PEFT generate", ratios(found[way], "speed") if found else None, LEAST)
        for way, name in WAYS.items()
    ]
