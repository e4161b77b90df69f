"""A small random Llama with its own tokenizer, and made-up rows: what is measured when the model must not matter."""

import json
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

WORDS = (
    "the a of and to in on at for with from over under after before while again never often soon team goal match "
    "player score league coach bank price trade market share profit tax rain snow wind storm cloud heat frost phone "
    "screen chip code robot game network data river road house garden window door table letter paper music picture "
    "morning evening winter summer monday friday small large old new quick slow red green blue quiet loud open closed"
)
LABELS = ("sports", "money", "weather", "technology")


def made_up_rows(count: int, seed: int = 0) -> Iterator[dict[str, str]]:
    """Rows of about 100 characters of text (hardly two alike) with one of four labels."""
    draw, known = random.Random(seed), WORDS.split()
    for number in range(count):
        words = draw.choices(known, k=17)
        yield {"text": f"{' '.join(words)} {number % 10_000}", "label": LABELS[draw.randrange(len(LABELS))]}


def write_rows(file: Path, count: int) -> Path:
    """`count` made-up rows as JSON Lines."""
    with open(file, "w", encoding="utf-8") as out:
        out.writelines(json.dumps(row) + "\n" for row in made_up_rows(count))
    return file


def task_block(file: Path) -> dict[str, Any]:
    """The task block of a file written by `write_rows`."""
    return {
        "name": "made-up",
        "kind": "classify",
        "path": str(file),
        "fields": {"text": "text", "label": "label"},
        "templates": {"plain": "{{ text }}\nTopic: {{ answer }}"},
    }


def write_model(folder: Path, width: int = 64, layers: int = 2) -> Path:
    """A random Llama and a byte-level BPE tokenizer trained on made-up rows, as files."""
    import torch
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    trainer = trainers.BpeTrainer(
        vocab_size=1000, special_tokens=["<|end|>"], initial_alphabet=alphabet, show_progress=False
    )
    tokenizer.train_from_iterator((row["text"] for row in made_up_rows(2000)), trainer)
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token="<|end|>", pad_token="<|end|>")
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=len(fast), hidden_size=width, intermediate_size=2 * width, num_hidden_layers=layers,
        num_attention_heads=4, num_key_value_heads=2, max_position_embeddings=256, initializer_range=0.1,
        tie_word_embeddings=True, bos_token_id=fast.eos_token_id, eos_token_id=fast.eos_token_id,
        pad_token_id=fast.pad_token_id,
    )  # fmt: skip
    LlamaForCausalLM(config).save_pretrained(folder)
    fast.save_pretrained(folder)
    return folder
