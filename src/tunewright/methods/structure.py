"""Parts of a network found by how it is built, not by the names that one architecture gives them."""

from torch import nn
from transformers.pytorch_utils import Conv1D

from tunewright.backbones.base import Backbone
from tunewright.errors import InputError


def norm_modules(root: nn.Module) -> dict[str, nn.Module]:
    """Every normalisation layer with parameters of its own (LayerNorm, RMSNorm and their kin), by name."""
    return {
        name: module
        for name, module in root.named_modules()
        if "norm" in type(module).__name__.lower() and next(module.parameters(recurse=False), None) is not None
    }


def linear_modules(root: nn.Module) -> dict[str, nn.Module]:
    """Every linear layer (GPT-2's are transposed: Conv1D), by name."""
    return {name: module for name, module in root.named_modules() if isinstance(module, nn.Linear | Conv1D)}


def attention_linears(root: nn.Module) -> list[str]:
    """The names of the linear layers inside attention: those below a module whose class is called so.

    As short as they can be: `q_lin`, where every linear layer of that name is one of attention, else the whole name.
    """
    outer = [name for name, module in root.named_modules() if "attention" in type(module).__name__.lower()]
    linears = linear_modules(root)
    inside = [name for name in linears if any(name.startswith(f"{above}.") for above in outer)]
    elsewhere = {_last(name) for name in linears.keys() - set(inside)}
    return list(dict.fromkeys(name if _last(name) in elsewhere else _last(name) for name in inside))


def linear_names(root: nn.Module) -> list[str]:
    """What the linear layers are called, each name once."""
    return list(dict.fromkeys(map(_last, linear_modules(root))))


def _last(name: str) -> str:
    return name.rpartition(".")[2]


def block_stack(backbone: Backbone, top: nn.Module | None = None) -> tuple[nn.Module, list[nn.Module]]:
    """The module that holds the blocks of `top`, and the blocks in order.

    Without `top` they are the network's, an encoder-decoder's the decoder's.

    Raises InputError where there is no such list.
    """
    model = backbone.model
    if top is None:
        top = model.get_decoder() if backbone.family == "seq2seq" else model.base_model
    for parent in top.modules():  # from the outside in: a block may hold lists of its own
        for child in parent.children():
            if isinstance(child, nn.ModuleList) and len(child) and len({type(block) for block in child}) == 1:
                return parent, list(child)
    raise InputError(f"{backbone.name}: {model.config.model_type} models have no list of blocks to take the last from")


def final_norms(parent: nn.Module) -> list[nn.Module]:
    """The norms behind the blocks: beside their list, and not those of the embeddings (BART has one there)."""
    beside = {name: module for name, module in parent.named_children() if "emb" not in name}
    return [module for name, module in norm_modules(parent).items() if name in beside]
