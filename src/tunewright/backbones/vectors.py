"""Sentence vectors: the mean of an encoder's states over a text's tokens (Reimers & Gurevych 2019)."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor
from transformers import AutoModel, AutoTokenizer

from tunewright.backbones.fetch import model_folder
from tunewright.console import progress


def mean_of_states(states: Tensor, mask: Tensor) -> Tensor:
    """The mean of states [R, T, d] where `mask` [R, T] is True, at length one: [R, d] in fp32."""
    weights = mask.unsqueeze(-1).float()  # [R, T, 1]
    mean = (states.float() * weights).sum(1) / weights.sum(1)  # [R, d]
    return torch.nn.functional.normalize(mean, dim=-1)


class SentenceEncoder:
    """A sentence encoder such as `minilm-l6`: mean pooling, vectors of length one."""

    def __init__(self, name: str = "minilm-l6", max_tokens: int = 256) -> None:
        folder = model_folder(name)
        self.tokenizer = AutoTokenizer.from_pretrained(folder)
        self.model = AutoModel.from_pretrained(folder, dtype=torch.float32, use_safetensors=True).eval()
        self.max_tokens = max_tokens

    @torch.no_grad()
    def vectors(self, texts: Sequence[str], batch_tokens: int = 8192) -> np.ndarray:
        """Vectors [len(texts), d] in the order given; texts are cut at `max_tokens` tokens."""
        ids = self.tokenizer(list(texts), truncation=True, max_length=self.max_tokens)["input_ids"] if texts else []
        order = sorted(range(len(ids)), key=lambda i: len(ids[i]))
        result = np.zeros((len(ids), self.model.config.hidden_size), np.float32)
        with progress("sentence vectors", len(ids)) as bar:
            at = 0
            while at < len(order):
                count = 1
                while at + count < len(order) and (count + 1) * len(ids[order[at + count]]) <= batch_tokens:
                    count += 1
                rows = order[at : at + count]
                padded = self.tokenizer.pad({"input_ids": [ids[i] for i in rows]}, return_tensors="pt")
                states = self.model(**padded).last_hidden_state  # [B, T, d]
                result[rows] = mean_of_states(states, padded["attention_mask"]).numpy()
                at += count
                bar.advance(count)
        return result


@dataclass
class SentenceVectors:
    """Vectors of texts, each text encoded once; the encoder is loaded when first needed."""

    kept: dict[str, np.ndarray] = field(default_factory=dict)
    _encoder: SentenceEncoder | None = None

    def __call__(self, texts: Sequence[str]) -> np.ndarray:
        """[len(texts), d]."""
        new = list(dict.fromkeys(text for text in texts if text not in self.kept))
        if new:
            self._encoder = self._encoder or SentenceEncoder()
            self.kept |= dict(zip(new, self._encoder.vectors(new)))
        return np.stack([self.kept[text] for text in texts])
