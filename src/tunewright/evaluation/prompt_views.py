"""What can be seen in a soft prompt: nearest words, drift, norms, likeness. Pure functions of matrices."""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

BAND = (0.05, 0.95)


@dataclass(frozen=True)
class Near:
    """The k words nearest to each slot: rows of the vocabulary [S, k] and how near, [S, k], nearest first."""

    rows: Tensor
    values: Tensor


def nearest_by_cosine(table: Tensor, vocabulary: Tensor, k: int) -> Near:
    """By cosine (larger is nearer), as Lester et al. 2021, §7: [S, d] and [V, d] → [S, k]."""
    values, rows = (F.normalize(table, dim=-1) @ F.normalize(vocabulary, dim=-1).T).topk(min(k, len(vocabulary)))
    return Near(rows, values)


def nearest_by_distance(table: Tensor, vocabulary: Tensor, k: int) -> Near:
    """By Euclidean distance (smaller is nearer): [S, d] and [V, d] → [S, k]."""
    values, rows = torch.cdist(table, vocabulary).topk(min(k, len(vocabulary)), largest=False)
    return Near(rows, values)


def drift(table: Tensor, start: Tensor) -> tuple[Tensor, Tensor]:
    """How far each slot went: the distance over the start's norm, and the cosine with the start, [S] each."""
    return (table - start).norm(dim=-1) / start.norm(dim=-1), F.cosine_similarity(table, start, dim=-1)


def norm_shares(table: Tensor, vocabulary: Tensor) -> Tensor:
    """The share of the vocabulary's vectors that are shorter than each slot, [S]."""
    norms = vocabulary.norm(dim=-1).sort().values
    return torch.searchsorted(norms, table.norm(dim=-1).contiguous()).float() / len(norms)


def norm_band(vocabulary: Tensor) -> tuple[float, float, float]:
    """The 5 %, 50 % and 95 % points of the vocabulary's norms."""
    norms = vocabulary.norm(dim=-1)
    low, middle, high = (float(norms.quantile(q)) for q in (BAND[0], 0.5, BAND[1]))
    return low, middle, high


def likeness(table: Tensor, other: Tensor) -> Tensor:
    """Cosine of every slot with every slot: [S, d] and [U, d] → [S, U]."""
    return F.normalize(table, dim=-1) @ F.normalize(other, dim=-1).T


def prompt_likeness(table: Tensor, other: Tensor) -> float:
    """How alike two prompts are: the mean cosine over all pairs of their slots (SPoT, Vu et al. 2022, §4.1)."""
    return float(likeness(table, other).mean())


def plane(*parts: Tensor) -> list[Tensor]:
    """Matrices [·, d] projected together onto their first two principal components, [·, 2] each."""
    whole = torch.cat(parts)
    centred = whole - whole.mean(0)
    _, _, directions = torch.linalg.svd(centred, full_matrices=False)
    # A component's sign is arbitrary: its largest entry is made positive, so that equal prompts give equal pictures.
    first = directions[:2]
    signs = first.gather(1, first.abs().argmax(1, keepdim=True)).sign()
    flat = centred @ (first * signs).T
    return list(flat.split([len(part) for part in parts]))
