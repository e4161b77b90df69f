"""Word vectors of a new model taken over from a pretrained one with another vocabulary."""

import torch
from torch import Tensor

from tunewright.backbones.base import Backbone


@torch.no_grad()
def start_word_vectors(backbone: Backbone, donor: Backbone) -> int:
    """Give each piece of the vocabulary the mean of the donor's vectors for its text; returns how many have one.

    The donor's vectors [V', d'] are centred and turned onto their main directions; the first d of them are kept, scaled
    to the spread of the fresh vectors (in a wider model the other columns stay as drawn). Special tokens, and pieces
    whose text the donor does not know, stay as drawn.
    """
    fresh, source = _word_vectors(backbone), _word_vectors(donor)  # [V, d], [V', d']
    vectors = main_directions(source.float(), fresh.shape[1])  # [V', ≤ d]
    vectors = vectors * (fresh.std() / vectors.std())
    special = set(backbone.tokenizer.get_added_vocab().values()) | set(backbone.tokenizer.all_special_ids)
    unknown = donor.tokenizer.unk_token_id
    found = 0
    for i in range(len(backbone.tokenizer)):
        text = str(backbone.tokenizer.decode([i])).strip()
        if i in special or not text:
            continue
        ids = donor.text.ids_of_words(text)
        if ids and unknown not in ids:
            fresh[i, : vectors.shape[1]] = vectors[ids].mean(0).to(fresh)
            found += 1
    return found


def _word_vectors(backbone: Backbone) -> Tensor:
    weight = backbone.model.get_input_embeddings().weight
    assert isinstance(weight, Tensor)
    return weight


def main_directions(vectors: Tensor, most: int) -> Tensor:
    """Principal components: [V, d'] → [V, min(most, d')], the largest variance first."""
    centred = vectors - vectors.mean(0)
    _, directions = torch.linalg.eigh(centred.T @ centred)  # ascending
    return centred @ directions.flip(1)[:, :most]
