"""Plain against torch's fused attention, forward and backward: `.venv/bin/python benchmarks/attention.py`.

What `backbones/attention.py` decides by a rule, measured: about 1,024 tokens in rows of one length, causal, in the
shapes of SmolLM2-135M (9 heads, 3 of keys and values) and of BERT and GPT-2 (12 heads). They take turns on one core; the
time is that of the thread. A ratio above 1 says that plain attention is faster; beside the ratio of the least times
stand the lowest and the highest of single pairs, which tell how far one short measurement can be trusted.
"""

import argparse
import time
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

SHAPES = ((9, 3, 64), (12, 12, 64))  # heads, heads of keys and values, width of a head
TOKENS = 1024


def plain(q: Tensor, k: Tensor, v: Tensor, hidden: Tensor) -> Tensor:
    """As transformers' eager attention: softmax in fp32."""
    weights = q @ k.transpose(2, 3) * q.shape[-1] ** -0.5 + hidden
    return weights.softmax(-1, dtype=torch.float32).to(q.dtype) @ v


def fused(q: Tensor, k: Tensor, v: Tensor, hidden: Tensor) -> Tensor:
    """torch's own."""
    return F.scaled_dot_product_attention(q, k, v, is_causal=True)


def pairs(shape: tuple[int, int, int], length: int, dtype: torch.dtype, count: int) -> list[tuple[float, float]]:
    """(plain, fused) seconds of `count` passes there and back, after one that does not count."""
    heads, groups, width = shape
    rows = max(1, TOKENS // length)

    def made(of: int) -> Tensor:
        return torch.randn(rows, of, length, width).to(dtype).requires_grad_()

    q, k, v, back = made(heads), made(groups), made(groups), made(heads).detach()
    hidden = torch.full((length, length), torch.finfo(dtype).min, dtype=dtype).triu(1)

    def seconds(attention: Callable[..., Tensor]) -> float:
        started = time.thread_time()
        whole = [x.repeat_interleave(heads // groups, 1) for x in (k, v)]
        attention(q, *whole, hidden).backward(back)
        return time.thread_time() - started

    return [(seconds(plain), seconds(fused)) for _ in range(count + 1)][1:]


def main() -> None:
    """Print a line for each precision, shape and length."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", type=int, default=7)
    parser.add_argument("--lengths", type=int, nargs="+", default=[64, 128, 192, 256, 384])
    given = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    for dtype in (torch.bfloat16, torch.float32):
        for shape in SHAPES:
            for length in given.lengths:
                found = pairs(shape, length, dtype, given.pairs)
                least = min(f for _, f in found) / min(p for p, _ in found)
                single = sorted(f / p for p, f in found)
                what = f"{str(dtype).removeprefix('torch.'):8} {shape[0]:2} heads {length:4} tokens"
                told = f"{least:.2f} (single pairs {single[0]:.2f} to {single[-1]:.2f})"
                print(f"{what}: fused/plain {told}", flush=True)


if __name__ == "__main__":
    main()
