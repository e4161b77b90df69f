"""The recipe of `tunewright pretrain-prompt`."""

from pathlib import Path

from pydantic import Field, model_validator

from tunewright.pretraining.corpus import CorpusBlock
from tunewright.pretraining.ppt.forms import SENTENCE_WORDS, FormName
from tunewright.recipe import MethodKeys, TrainingBlock
from tunewright.settings import Strict, load_keys, validate
from tunewright.task_block import TemplateBlock

WAYS = len(SENTENCE_WORDS)
BANDS = ((0.0, 0.05), (0.1, 0.3), (0.4, 0.6), (0.7, 0.9), (0.95, 1.0))
Share = float


class LabellerBlock(Strict):
    """Which tuned model says what single sentences mean, and what of it is believed."""

    run: str = Field(description="the folder of a finished run of kind classify with two or five labels")
    order: list[str] | None = Field(None, description="its labels from worst to best; none: as its task has them")
    thresholds: tuple[Share, Share, Share, Share, Share] = Field(
        (0.95, 0.5, 0.5, 0.5, 0.7), description="five labels: a sentence is kept above these probabilities, worst first"
    )
    bands: tuple[tuple[Share, Share], ...] = Field(
        BANDS, min_length=WAYS, max_length=WAYS,
        description="two labels: [low, high] of the better one's probability for each of the five words, worst first",
    )  # fmt: skip
    sentences: int = Field(20_000, gt=0, description="training sentences to be labelled at most")

    @model_validator(mode="after")
    def _bands_in_order(self) -> "LabellerBlock":
        edges = [edge for band in self.bands for edge in band]
        if edges != sorted(edges) or edges[0] < 0 or edges[-1] > 1:
            raise ValueError("bands: they must rise from 0 to 1 without overlapping")
        return self


class HeldOutBlock(Strict):
    """What is measured before and after, on questions from held-out documents."""

    rows: int = Field(200, gt=0, description="questions asked before and after")
    validation_rows: int = Field(100, gt=0, description="other questions, for the looks while training")
    batch_tokens: int = Field(4096, gt=0)


class PromptPretraining(Strict):
    """A soft prompt made from raw text (Gu et al. 2022)."""

    model: str = Field(description="a name of the model catalog, a hub id, or a folder")
    corpus: CorpusBlock
    language: str = Field("en", description="of the corpus, as ISO 639 has it; for its sentences")
    form: FormName
    template: str | TemplateBlock | None = Field(None, description="Jinja over the form's fields; none: the form's own")
    method: MethodKeys = Field(description="a method with a soft prompt, e.g. {name: prompt-tuning, length: 100}")
    labeller: LabellerBlock | None = Field(None, description="for single-sentence (wanted) and unified")
    training: TrainingBlock = Field(default_factory=TrainingBlock)
    evaluation: HeldOutBlock = Field(default_factory=HeldOutBlock)
    output: str | None = None

    @model_validator(mode="after")
    def _fits(self) -> "PromptPretraining":
        if self.form == "single-sentence" and self.labeller is None:
            raise ValueError(
                "form single-sentence wants a labeller: `labeller: {run: FOLDER}`, a run that labels sentences"
            )
        if self.form not in ("single-sentence", "unified") and self.labeller is not None:
            raise ValueError(f"labeller: the form {self.form} has no use for one; single-sentence and unified have")
        if self.training.epochs is not None:
            raise ValueError("training.epochs: a corpus is streamed, its length unknown; give training.steps")
        return self


def load_prompt_recipe(path: Path, overrides: list[str] | None = None) -> PromptPretraining:
    """Read and check a recipe; relative paths inside it start where the command runs."""
    return validate(PromptPretraining, load_keys(path, overrides, "pretrain-prompt"), str(path))
