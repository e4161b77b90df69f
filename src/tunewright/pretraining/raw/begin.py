"""The model that pretraining starts with: a loaded one, given a vocabulary head where it lacks one, or a new one."""

from itertools import islice
from pathlib import Path
from typing import Any

import torch
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    AutoModelForMaskedLM,
    AutoModelForSeq2SeqLM,
    AutoTokenizer,
    PreTrainedTokenizerBase,
)

from tunewright.backbones.base import Backbone
from tunewright.backbones.fetch import hush, model_folder
from tunewright.backbones.load import device, family_of, load_backbone, make_backbone
from tunewright.console import say
from tunewright.errors import InputError
from tunewright.files import write_folder
from tunewright.pretraining.corpus import CorpusBlock, documents
from tunewright.pretraining.raw.recipe import ArchitectureBlock, Pretraining
from tunewright.pretraining.raw.vocabulary import train_tokenizer
from tunewright.pretraining.raw.word_vectors import start_word_vectors
from tunewright.seeds import seed_of

_CLASSES: dict[str, Any] = {
    "causal": AutoModelForCausalLM, "seq2seq": AutoModelForSeq2SeqLM, "masked": AutoModelForMaskedLM
}  # fmt: skip


def begin(recipe: Pretraining, folder: Path) -> Backbone:
    """The backbone to train. A vocabulary made here is kept in `folder/vocabulary` for when the run goes on.

    Raises InputError for a model that is not there or an architecture that transformers does not know.
    """
    hush()
    seed = recipe.training.seed
    if recipe.model is not None:
        backbone = load_backbone(recipe.model)
        if backbone.headless:
            give_head(backbone, seed)
            say(f"{recipe.model}: it has no vocabulary head; one is made, tied to its word vectors")
        _no_dropout(backbone)
        return backbone
    assert recipe.architecture is not None
    check_architecture(recipe.architecture)
    tokenizer = _vocabulary(recipe.architecture, recipe.corpus, seed, folder / "vocabulary")
    made = new_model(recipe.architecture, tokenizer, recipe.name or "new model", seed)
    if recipe.architecture.word_vectors is not None:
        found = start_word_vectors(made, load_backbone(recipe.architecture.word_vectors))
        say(f"{found} of {len(tokenizer)} word vectors start from {recipe.architecture.word_vectors}")
    return made


def _no_dropout(backbone: Backbone) -> None:
    """Text that is read a few times at most cannot be learnt by heart (as in T5's pretraining; a sixth of the time)."""
    for module in backbone.model.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0
        for name, value in vars(module).items():  # BART and OPT keep the shares as numbers, those of whole layers too
            if "drop" in name and isinstance(value, float):
                setattr(module, name, 0.0)


def check_architecture(block: ArchitectureBlock) -> None:
    """Raise InputError where transformers has no such model type, it has no language model, or no word vectors."""
    try:
        config = AutoConfig.for_model(block.type, **(block.model_extra or {}))
    except (ValueError, TypeError, KeyError) as error:
        raise InputError(f"architecture: {str(error).splitlines()[0][:200]}") from None
    if type(config) not in _CLASSES[_family(config, block)]._model_mapping:
        raise InputError(f"architecture: {block.type!r} has no {_family(config, block)} language model")
    if block.word_vectors is not None:
        model_folder(block.word_vectors)


def new_model(block: ArchitectureBlock, tokenizer: PreTrainedTokenizerBase, name: str, seed: int) -> Backbone:
    """A model with random weights drawn from the seed."""
    special = {"pad_token_id": tokenizer.pad_token_id, "eos_token_id": tokenizer.eos_token_id}
    config = AutoConfig.for_model(block.type, **{"vocab_size": len(tokenizer), **special, **(block.model_extra or {})})
    family = _family(config, block)
    if family == "seq2seq" and getattr(config, "decoder_start_token_id", None) is None:
        config.decoder_start_token_id = tokenizer.pad_token_id  # T5's
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed_of("new-model", seed) % 2**63)
        model = _CLASSES[family].from_config(config)
    return make_backbone(model.float().to(device()), tokenizer, name, family)


def give_head(backbone: Backbone, seed: int) -> None:
    """Start a BERT-like masked-LM head: its decoder is the word vectors, its transform the identity and some noise.

    The encoder's states then already lie near the words' directions that its attention left in them; a random transform
    would first have to learn that.
    """
    generator = torch.Generator().manual_seed(seed_of("mlm-head", seed) % 2**63)
    with torch.no_grad():
        for name, parameter in backbone.model.named_parameters():
            if not name.startswith(("cls.", "lm_head.", "vocab_")) or parameter.shape[0] == backbone.vocabulary:
                continue
            if parameter.dim() == 2 and parameter.shape[0] == parameter.shape[1]:
                noise = torch.randn(parameter.shape, generator=generator) * 0.02
                parameter.copy_(torch.eye(parameter.shape[0]) + noise)
    backbone.model.tie_weights()
    backbone.headless = False


def _family(config: Any, block: ArchitectureBlock) -> Any:
    if config.is_encoder_decoder:
        return "seq2seq"
    try:
        return family_of(config, block.type)
    except InputError:
        return "causal"


def _vocabulary(block: ArchitectureBlock, corpus: CorpusBlock, seed: int, kept: Path) -> PreTrainedTokenizerBase:
    if not (kept / "tokenizer.json").is_file():
        say(f"making a vocabulary of {block.vocabulary} pieces")
        texts = islice(documents(corpus, "train", seed, 0), block.vocabulary_documents)
        made = train_tokenizer(texts, block.vocabulary)

        def fill(inside: Path) -> None:
            made.save_pretrained(str(inside))

        write_folder(kept, fill)
    tokenizer: PreTrainedTokenizerBase = AutoTokenizer.from_pretrained(kept)
    return tokenizer
