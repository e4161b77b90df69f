"""Write what pretrained models can do: `python docs/results/pretrained.py PAGE.md RUN…`, RUN a folder of `pretrain`.

The figures are those of the runs; what the models fill in is asked anew.
"""

import json
import shutil
import sys
from pathlib import Path

import torch
from transformers import AutoConfig, AutoModelForMaskedLM, AutoModelForSeq2SeqLM, AutoTokenizer

from tunewright.pretraining.raw.report import score_table

ASKED = (
    "The government said it would cut ___ next year.",
    "England won the ___ after extra time.",
    "The company's shares ___ after the results.",
    "The film won the award for best ___.",
    "How was your ___? I went to the beach with my family.",
)


@torch.no_grad()
def filled_in(folder: Path) -> list[tuple[str, str]]:
    """What the model writes for each gap: a masked model its three likeliest words, T5 its span (greedy).

    Nothing where a model was not made for gaps.
    """
    tokenizer = AutoTokenizer.from_pretrained(folder)
    texts = []
    if tokenizer.mask_token is not None:
        model = AutoModelForMaskedLM.from_pretrained(folder).eval()
        for text in ASKED:
            batch = tokenizer(text.replace("___", tokenizer.mask_token), return_tensors="pt")
            place = (batch.input_ids[0] == tokenizer.mask_token_id).nonzero()[0]
            best = model(**batch).logits[0, place].topk(3).indices[0]
            texts.append((text, ", ".join(tokenizer.decode(i) for i in best)))
        return texts
    if not AutoConfig.from_pretrained(folder).is_encoder_decoder:
        return texts
    model = AutoModelForSeq2SeqLM.from_pretrained(folder).eval()
    for text in ASKED:
        batch = tokenizer(text.replace("___", "<extra_id_0>"), return_tensors="pt")
        out = model.generate(input_ids=batch.input_ids, attention_mask=batch.attention_mask, max_new_tokens=12,
                             do_sample=False)  # fmt: skip
        found = tokenizer.decode(out[0], skip_special_tokens=False)
        span = found.partition("<extra_id_0>")[2].partition("<extra_id_1>")[0].strip()
        texts.append((text, span or "(no span)"))
    return texts


def section(run: Path, page: Path) -> list[str]:
    """The figures of one pretraining, its loss curve (copied beside the page), what its model fills in."""
    card = json.loads((run / "tuned" / "pretrained.json").read_text(encoding="utf-8"))
    after = card["after"]
    curve = page.with_name(f"{run.name}-loss.svg")
    shutil.copyfile(run / "loss.svg", curve)
    lines = [f"## {run.name}", "", f"`tunewright pretrain recipes/{run.name}.yaml`: "
             f"{card['training_seconds'] / 60:.0f} minutes of training. {after['blocks']} blocks of "
             f"{after['tokens_a_block']} tokens, intervals (95 %) over blocks, the factor paired by block.", "",
             *score_table(card["before"], after), "",
             f"![The loss on training batches of {run.name}]({curve.name})", ""]  # fmt: skip
    if filled := filled_in(run / "tuned"):
        lines += ["| asked | it fills in |", "|---|---|", *(f"| {asked} | {text} |" for asked, text in filled), ""]
    return lines


if __name__ == "__main__":
    page, runs = Path(sys.argv[1]), [Path(name) for name in sys.argv[2:]]
    made = " ".join(sys.argv)
    content = ["# Models pretrained here", "", f"Made by `python {made}`.", "",
               "The masked and the encoder-decoder model are for trying methods where no hub is reached. They have "
               "read a few million words of news and small talk: they tell topics apart, know no facts, follow no "
               "instructions and write no text worth reading. The causal model went on reading small talk; BBC news "
               "says what that cost.", ""]  # fmt: skip
    page.write_text("\n".join([*content, *(line for run in runs for line in section(run, page))]), encoding="utf-8")
