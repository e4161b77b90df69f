"""Folders on disk to backbones: what is read, what is refused."""

from pathlib import Path

import pytest
import torch
from tiny import ARCHITECTURES, bert_tokenizer, tiny_backbone, tiny_folder, tiny_parts
from transformers import BertModel

from tunewright.backbones.heads import check_head
from tunewright.backbones.load import load_backbone
from tunewright.errors import InputError


@pytest.mark.parametrize("arch", ARCHITECTURES)
def test_a_saved_folder_comes_back(tmp_path: Path, arch: str) -> None:
    made, read = tiny_backbone(arch), load_backbone(str(tiny_folder(tmp_path / arch, arch)))
    assert (read.family, read.width, read.vocabulary) == (made.family, 32, len(made.tokenizer))
    assert not read.headless and not read.model.training
    assert all(torch.equal(a, b) for a, b in zip(made.model.state_dict().values(), read.model.state_dict().values()))
    text = "The film <mask> was [MASK] good<|im_end|> </s> <extra_id_3>"
    assert read.tokenizer(text)["input_ids"] == made.tokenizer(text)["input_ids"]
    assert (read.text.before, read.text.after, read.text.between) == (
        made.text.before,
        made.text.after,
        made.text.between,
    )


def test_an_encoder_without_a_vocabulary_head_is_read_as_such(tmp_path: Path) -> None:
    model, tokenizer = tiny_parts("bert")
    BertModel(model.config).save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    assert load_backbone(str(tmp_path)).headless


def test_a_pickle_is_not_read(tmp_path: Path) -> None:
    folder = tiny_folder(tmp_path / "m", "llama")
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    with pytest.raises(InputError, match=r"pytorch_model.bin: a pickle can run any code and is not read"):
        load_backbone(str(folder))


def test_folders_that_are_no_model(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no config.json: not a model's folder"):
        load_backbone(str(tmp_path))
    (tmp_path / "config.json").write_text('{"model_type": "llama", "architectures": ["LlamaForCausalLM"]}')
    with pytest.raises(InputError, match=r"no weights \(\*.safetensors\)"):
        load_backbone(str(tmp_path))


def test_broken_weights_and_unknown_kinds_are_one_line(tmp_path: Path) -> None:
    folder = tiny_folder(tmp_path / "m", "llama")
    whole = (folder / "config.json").read_text()
    (folder / "config.json").write_text(whole.replace("LlamaForCausalLM", "LlamaForSequenceClassification"))
    with pytest.raises(InputError, match="is no causal, seq2seq or masked language model"):
        load_backbone(str(folder))
    (folder / "config.json").write_text(whole)
    (folder / "model.safetensors").write_bytes(b"not a safetensors file")
    with pytest.raises(InputError, match="its weights cannot be read"):
        load_backbone(str(folder))


def test_missing_weights_are_named(tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    folder = tiny_folder(tmp_path / "m", "llama")
    tensors = load_file(folder / "model.safetensors")
    del tensors["model.norm.weight"]
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(InputError, match=r"1 weights are missing, the first is 'model.norm.weight'"):
        load_backbone(str(folder))


def test_a_head_of_another_form_is_noticed() -> None:
    model, _ = tiny_parts("llama")
    logits = torch.zeros(4, 10)
    with pytest.raises(InputError, match="the vocabulary head of 'llama' models has a form not known here"):
        check_head(model, logits, logits + 1, "mine")


def test_a_slow_tokenizer_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    from tunewright.backbones.tokens import TextEncoder

    monkeypatch.setattr(type(bert_tokenizer()), "is_fast", False)
    with pytest.raises(InputError, match="a fast tokenizer"):
        TextEncoder(bert_tokenizer())
