"""Which attention a model computes with."""

from tunewright.backbones.base import Backbone

SHORT = 192  # tokens


def use_attention(backbone: Backbone, max_tokens: int) -> None:
    """On a CPU plain matrix products for short rows, else what transformers picks (torch's fused attention).

    torch's fused kernel for the CPU spends a third of a training step of SmolLM2 in its backward pass at 70 tokens in
    bf16 (2 cores); plain products are 1.3 to 1.6 times as fast a step there. They keep a [T, T] matrix per head, so
    longer rows stay with the fused kernel. A rule, not a measurement at start: the same recipe gives the same numbers
    (docs/speed.md has what was measured).
    """
    if backbone.plain:
        return
    if backbone.device.type == "cpu" and max_tokens <= SHORT and backbone.model._supports_sdpa:
        backbone.model.set_attn_implementation("eager")


def attention_in_use(backbone: Backbone) -> str:
    """The kernel's name in transformers: `eager` (plain matrix products), `sdpa` (torch's fused one) or another."""
    return str(backbone.model.config._attn_implementation)
