"""Scores of one answer text against its references, each between 0 and 1."""

import re
import string
from collections import Counter
from collections.abc import Sequence
from functools import lru_cache
from statistics import fmean
from typing import Any

_PUNCTUATION = str.maketrans("", "", string.punctuation)
_ARTICLES = re.compile(r"\b(a|an|the)\b")


def normalise(text: str) -> str:
    """Lower case, no punctuation, no articles, single spaces (Rajpurkar et al. 2016, the SQuAD script)."""
    return " ".join(_ARTICLES.sub(" ", text.lower().translate(_PUNCTUATION)).split())


def exact_match(answer: str, references: Sequence[str]) -> float:
    """1.0 when the normalised answer equals a normalised reference."""
    return float(normalise(answer) in {normalise(reference) for reference in references})


def token_f1(answer: str, references: Sequence[str]) -> float:
    """F1 of the bags of normalised words, the best over the references (the SQuAD script)."""
    return max(_token_f1(normalise(answer).split(), normalise(reference).split()) for reference in references)


def _token_f1(answer: list[str], reference: list[str]) -> float:
    if not answer or not reference:
        return float(answer == reference)
    shared = sum((Counter(answer) & Counter(reference)).values())
    return 2 * shared / (len(answer) + len(reference))


@lru_cache(maxsize=8)
def _rouge_scorer(kind: str) -> Any:
    from rouge_score.rouge_scorer import RougeScorer

    return RougeScorer([kind], use_stemmer=True)


def rouge(kind: str, answer: str, references: Sequence[str]) -> float:
    """ROUGE F with stemming (Lin 2004; `rouge1`, `rouge2` or `rougeL`), the mean over the references.

    The library keeps only a–z and 0–9 of a text: scores mean little outside languages written so.
    """
    scorer = _rouge_scorer(kind)
    return fmean(scorer.score(reference, answer)[kind].fmeasure for reference in references)


@lru_cache(maxsize=1)
def _chrf() -> Any:
    from sacrebleu.metrics.chrf import CHRF

    return CHRF()


def chrf(answer: str, references: Sequence[str]) -> float:
    """chrF2 of the text (Popović 2015; sacrebleu's defaults) over 100, the best over the references."""
    # Never above 1, whatever the last bit of sacrebleu's sum.
    return min(1.0, float(_chrf().sentence_score(answer, list(references)).score) / 100)
