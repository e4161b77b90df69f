"""Write what pretrained models can do: `python docs/results/pretrained.py PAGE.md RUN…`, RUN a folder of `pretrain`.

The figures are those of the runs; what the models fill in is asked anew.
"""

import json
import sys
from pathlib import Path
from typing import Any

import torch
import yaml
from transformers import AutoModelForMaskedLM, AutoModelForSeq2SeqLM, AutoTokenizer

ASKED = (
    "The government said it would cut ___ next year.",
    "England won the ___ after extra time.",
    "The company's shares ___ after the results.",
    "The film won the award for best ___.",
    "How was your ___? I went to the beach with my family.",
)


def shown(value: dict[str, Any], digits: int) -> str:
    """A value and its interval."""
    return f"{value['value']:.{digits}f} [{value['low']:.{digits}f}–{value['high']:.{digits}f}]"


@torch.no_grad()
def filled_in(folder: Path) -> list[str]:
    """What the model writes for each gap: a masked model its three likeliest words, T5 its span (greedy)."""
    tokenizer = AutoTokenizer.from_pretrained(folder)
    if tokenizer.mask_token is not None:
        model = AutoModelForMaskedLM.from_pretrained(folder).eval()
        texts = []
        for text in ASKED:
            batch = tokenizer(text.replace("___", tokenizer.mask_token), return_tensors="pt")
            place = (batch.input_ids[0] == tokenizer.mask_token_id).nonzero()[0]
            best = model(**batch).logits[0, place].topk(3).indices[0]
            texts.append(", ".join(tokenizer.decode(i) for i in best))
        return texts
    model = AutoModelForSeq2SeqLM.from_pretrained(folder).eval()
    texts = []
    for text in ASKED:
        batch = tokenizer(text.replace("___", "<extra_id_0>"), return_tensors="pt")
        out = model.generate(input_ids=batch.input_ids, attention_mask=batch.attention_mask, max_new_tokens=12,
                             do_sample=False)  # fmt: skip
        found = tokenizer.decode(out[0], skip_special_tokens=False)
        texts.append(found.partition("<extra_id_0>")[2].partition("<extra_id_1>")[0].strip() or "(no span)")
    return texts


def section(run: Path) -> list[str]:
    """The figures of one pretraining and what its model fills in."""
    recipe = yaml.safe_load((run / "recipe.yaml").read_text(encoding="utf-8"))
    card = json.loads((run / "tuned" / "pretrained.json").read_text(encoding="utf-8"))
    after = card["after"]
    lines = [f"## {recipe['name']}", "", f"`tunewright pretrain recipes/{run.name}.yaml`: "
             f"{card['training_seconds'] / 60:.0f} minutes of training. {after['blocks']} held-out blocks of "
             f"{after['tokens_a_block']} tokens, intervals (95 %) over blocks.", "",
             "| objective | | loss (nats) | perplexity | accuracy, % |", "|---|---|---|---|---|"]  # fmt: skip
    for name in after["objectives"]:
        for when in ("before", "after"):
            scores = card[when]["objectives"][name]
            percent = {key: None if value is None else 100 * value for key, value in scores["accuracy"].items()}
            cells = [shown(scores["loss"], 2), shown(scores["perplexity"], 1), shown(percent, 1)]
            lines.append(f"| {name} | {when} | " + " | ".join(cells) + " |")
    lines += ["", "| asked | it fills in |", "|---|---|"]
    for asked, words in zip(ASKED, filled_in(run / "tuned")):
        lines.append(f"| {asked} | {words} |")
    return [*lines, ""]


if __name__ == "__main__":
    page, runs = Path(sys.argv[1]), [Path(name) for name in sys.argv[2:]]
    made = " ".join(sys.argv)
    content = ["# Models pretrained here", "", f"Made by `python {made}`.", "",
               "For trying methods on a masked and an encoder-decoder model where no hub is reached. They have read a "
               "few million words of news and small talk: they fill gaps and tell topics apart, know no facts, follow "
               "no instructions and write no text worth reading.", ""]  # fmt: skip
    page.write_text("\n".join([*content, *(line for run in runs for line in section(run))]), encoding="utf-8")
