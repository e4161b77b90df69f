"""Which weights of a network are trained, and how fast: frozen by name, slower towards the input."""

import re
from collections.abc import Iterator, Sequence
from fnmatch import fnmatchcase

from pydantic import Field
from torch import nn

from tunewright.errors import InputError, did_you_mean
from tunewright.methods.base import Method


class LayerwiseMethod(Method):
    """The keys of methods that train the network's own weights."""

    layer_decay: float = Field(
        1.0, gt=0, le=1, description="what each block's learning rate is of the one above it; 1: all the same"
    )
    freeze: list[str] = Field(
        default_factory=list, description="names of weights that stay as they are; * stands for anything: '*embed*'"
    )


def layer_shares(model: nn.Module, decay: float) -> dict[int, float]:
    """What the learning rate of each parameter is multiplied by, by the parameter's id (Howard and Ruder 2018, §3.2).

    Block i of n (1 is the lowest) has decay^(n-i); embeddings have decay^n; a head and the last norm have 1. Blocks are
    found in the module tree: the outermost lists of modules. An encoder stands below its decoder, so that n counts
    both; what stands between the two (the encoder's last norm) has the rate of the encoder's last block. A weight that
    a head shares with the embeddings has the embeddings' rate. Raises InputError without such a list.
    """
    stacks = dict(_stacks(model))
    if not stacks:
        raise InputError("method.layer_decay: the network has no stack of blocks")
    heights, below, total = {}, {}, 0  # of a block's name; of a stack's parent: the blocks below it
    for name, stack in stacks.items():
        below[name.rpartition(".")[0]] = total
        for i in range(len(stack)):
            heights[f"{name}.{i}"] = total = total + 1
    tops = {parent: count + len(stacks[name]) for (parent, count), name in zip(below.items(), stacks)}
    embeddings = {id(p) for m in model.modules() if isinstance(m, nn.Embedding) for p in m.parameters(recurse=False)}
    shares = {}
    for name, parameter in model.named_parameters():
        block = next((prefix for prefix in _prefixes(name) if prefix in heights), None)
        parent = next((prefix for prefix in _prefixes(name) if prefix in tops), None)
        if block is not None:
            height = heights[block]
        elif id(parameter) in embeddings or "embed" in name:
            height = below[parent] if parent is not None else 0  # a decoder's own positions enter above the encoder
        else:
            height = tops[parent] if parent is not None else total
        shares[id(parameter)] = decay ** (total - height)
    return shares


def _stacks(model: nn.Module) -> Iterator[tuple[str, nn.ModuleList]]:
    """The outermost lists of modules, in the order of the module tree."""
    found: list[str] = []
    for name, module in model.named_modules():
        if isinstance(module, nn.ModuleList) and not any(name.startswith(f"{outer}.") for outer in found):
            found.append(name)
            yield name, module


def _prefixes(name: str) -> list[str]:
    """`a.b.c` → a.b, a and the root, the longest first."""
    parts = name.split(".")
    return [".".join(parts[:i]) for i in range(len(parts) - 1, -1, -1)]


def freeze(model: nn.Module, patterns: Sequence[str]) -> None:
    """Take the parameters whose names match a pattern (`fnmatch`: `*` also crosses dots) out of training.

    They get no gradient and no optimiser state. A weight that two modules share goes by both names. Raises InputError
    for a pattern that matches nothing, naming what is near.
    """
    named = dict(model.named_parameters(remove_duplicate=False))
    for pattern in patterns:
        matched = [name for name in named if fnmatchcase(name, pattern)]
        if not matched:
            known = {re.sub(r"\.\d+\.", ".*.", name) for name in named}
            raise InputError(f"method.freeze: {pattern!r} matches no weight{_nearest(pattern, known)}")
        for name in matched:
            named[name].requires_grad_(False)


def _nearest(pattern: str, names: set[str]) -> str:
    """The names that hold the pattern's words, else the closest by spelling."""
    words = [word for word in re.split(r"[^a-z_]+", pattern.lower()) if len(word) > 2]
    counts = {name: sum(word in name.lower() for word in words) for name in names}
    most = max(counts.values())
    if most == 0:
        return did_you_mean(pattern, names)
    holding = sorted(name for name in names if counts[name] == most)
    return f" (near it: {', '.join(holding[:4])}{', …' if len(holding) > 4 else ''})"
