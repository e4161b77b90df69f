"""Short rows use plain attention on a CPU; it says the same as the fused one."""

import pytest
import torch
from tiny import tiny_prepared


@pytest.mark.parametrize("arch", ["llama", "gpt2", "opt", "bert", "roberta", "bart", "t5"])
def test_plain_and_fused_attention_agree(arch: str) -> None:
    short = tiny_prepared("prompt-tuning", arch, training={"max_tokens": 100})
    long = tiny_prepared("prompt-tuning", arch, training={"max_tokens": 193})
    assert short.backbone.model.config._attn_implementation == "eager"
    if arch != "t5":  # T5 adds its position bias itself
        assert long.backbone.model.config._attn_implementation == "sdpa"
    found = []
    for prepared in (short, long):
        examples = prepared.encoder(prepared.task.split("test")).examples(range(6), 0, "choices")
        found.append(prepared.tuner(prepared.backbone.collate([e for e in examples if e is not None])))
    assert torch.allclose(found[0], found[1], atol=1e-5)
