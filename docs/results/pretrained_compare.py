"""Two models on the same held-out text: `python docs/results/pretrained_compare.py RECIPE MODEL…`.

RECIPE says which text and which documents of it are held out. Masked models of one vocabulary are asked for the same
15 % of the tokens. Encoder-decoders go on with the text: 40 words are read, 40 asked, and the loss is told by word,
since their vocabularies differ.
"""

import sys
from itertools import islice
from pathlib import Path

from tunewright.backbones.base import Backbone
from tunewright.backbones.examples import Example
from tunewright.backbones.load import load_backbone, pick_precision
from tunewright.backbones.tokens import Run
from tunewright.evaluation.intervals import interval_of_mean
from tunewright.evaluation.texts import look_at, noised
from tunewright.methods.base import Setting
from tunewright.methods.full import FullTuning
from tunewright.objectives.raw_text import make_objective, prefix_lm
from tunewright.pretraining.corpus import documents
from tunewright.pretraining.raw.recipe import Pretraining, load_pretraining
from tunewright.pretraining.raw.report import shown
from tunewright.pretraining.raw.texts import stream
from tunewright.prompts.layout import SlotLayout
from tunewright.training.tuner import Tuner

WORDS = 40  # read, and as many asked


def continued(backbone: Backbone, recipe: Pretraining) -> list[Example]:
    """The first 80 words of held-out documents that have them, cut in the middle."""
    texts = (text.split() for text in documents(recipe.corpus, "heldout", 0, 0))
    long = list(islice((words[: 2 * WORDS] for words in texts if len(words) >= 2 * WORDS), recipe.evaluation.blocks))
    end, start = backbone.tokenizer.eos_token_id, backbone.model.config.decoder_start_token_id
    examples = []
    for words in long:
        halves = [Run(((" ".join(part), True),)) for part in (words[:WORDS], words[WORDS:])]
        read, asked = backbone.text.ids(halves)
        examples.append(prefix_lm([*read, *asked], len(read), end, start))
    return examples


def row(name: str, recipe: Pretraining) -> str:
    """A line of the table."""
    backbone = load_backbone(name)
    tunable = FullTuning().tune(backbone, SlotLayout(), Setting("generate", (), 0))
    tuner = Tuner(backbone, tunable, pick_precision(recipe.training.precision))
    if backbone.family == "masked":
        held_out = list(islice(stream(recipe, backbone, recipe.corpus, "heldout", 0), recipe.evaluation.blocks))
        scores = look_at(tuner, noised(make_objective("mlm", backbone), held_out, 0), 16).scores
        cells = [shown(scores[metric].to_json(), digits) for metric, digits in (("loss", 3), ("accuracy", 3))]
        return f"| {name} | {len(held_out)} blocks | " + " | ".join(cells) + " |"
    examples = continued(backbone, recipe)
    looked = look_at(tuner, examples, 16)
    by_word = [loss * len(e.views[0].asks) / WORDS for loss, e in zip(looked.losses, examples)]
    cells = [shown(interval_of_mean(by_word, (0, 1e9)).to_json(), 3), shown(looked.scores["accuracy"].to_json(), 3)]
    return f"| {name} | {len(examples)} texts | " + " | ".join(cells) + " |"


if __name__ == "__main__":
    wanted = load_pretraining(Path(sys.argv[1]))
    print("| model | held out | loss (nats a token; encoder-decoders: a word) | accuracy |\n|---|---|---|---|")
    for folder in sys.argv[2:]:
        print(row(folder, wanted), flush=True)
