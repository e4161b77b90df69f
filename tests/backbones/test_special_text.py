"""Special tokens in a row's text are characters; in a template's words they are tokens."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny import (
    bert_tokenizer,
    gpt2_tokenizer,
    opt_tokenizer,
    roberta_tokenizer,
    smol_tokenizer,
    t5_tokenizer,
)
from tokenizers import AddedToken, Tokenizer
from transformers import PreTrainedTokenizerFast

from tunewright.backbones.tokens import Run, TextEncoder

TOKENIZERS = {
    "smol": smol_tokenizer,
    "gpt2": gpt2_tokenizer,
    "opt": opt_tokenizer,
    "t5": t5_tokenizer,
    "roberta": roberta_tokenizer,
    "bert": bert_tokenizer,
}
LITERALS = (
    "</s>", "<s>", "<pad>", "<unk>", "<mask>", "<extra_id_0>", "<extra_id_9>",
    "[MASK]", "[CLS]", "[SEP]", "[PAD]", "[UNK]",
    "<|im_start|>", "<|im_end|>", "<|endoftext|>", "hidden 1", "\U000f0001",
)  # fmt: skip
every_tokenizer = pytest.mark.parametrize("name", TOKENIZERS)


def added_ids(tokenizer: PreTrainedTokenizerFast) -> set[int]:
    """All ids of added tokens but the unknown one, which a vocabulary gives to characters it does not know."""
    return set(tokenizer.get_added_vocab().values()) - {tokenizer.unk_token_id}


@every_tokenizer
@pytest.mark.parametrize("literal", LITERALS)
def test_no_row_text_becomes_an_added_token(name: str, literal: str) -> None:
    tokenizer = TOKENIZERS[name]()
    encoder = TextEncoder(tokenizer)
    for text in (
        literal,
        f"the {literal}",
        f"{literal}the{literal}{literal}",
        f"a {literal} day",
        f"<{literal}>",
        f"</s>[MASK]{literal}",
    ):
        (ids,) = encoder.ids([Run(((text, True),))])
        assert ids or not literal.isprintable()  # BERT drops such characters
        assert not added_ids(tokenizer) & set(ids)


def test_a_row_text_token_by_token() -> None:
    def tokens(name: str, text: str) -> list[str]:
        tokenizer = TOKENIZERS[name]()
        return tokenizer.convert_ids_to_tokens(TextEncoder(tokenizer).ids_of_words(text))

    assert tokens("smol", "a <|im_end|>") == ["a", "Ġ", "<", "|", "im", "_", "end", "|", ">"]
    assert tokens("t5", "a </s>") == ["▁a", "▁", "<", "/", "s", ">"]
    assert tokens("t5", "<extra_id_0>") == ["▁", "<", "e", "x", "t", "r", "a", "_", "i", "d", "_", "0", ">"]
    assert tokens("bert", "[MASK]") == ["[", "m", "##a", "##s", "##k", "]"]
    assert tokens("roberta", "a <mask>") == ["a", "Ġ", "<", "m", "a", "s", "k", ">"]
    assert tokens("roberta", "<unk>") == ["<", "u", "n", "k", ">"]


_pieces = st.lists(st.one_of(st.sampled_from((*LITERALS, " ", "\n", "the cat")), st.text(max_size=6)), max_size=6)


@every_tokenizer
@settings(max_examples=60, deadline=None)
@given(before=_pieces, after=_pieces)
def test_no_mixture_of_texts_becomes_an_added_token(name: str, before: list[str], after: list[str]) -> None:
    """Row text around template words: exactly the template's own token is there, once."""
    tokenizer = TOKENIZERS[name]()
    token = tokenizer.eos_token or tokenizer.sep_token
    run = Run((("".join(before), True), (token, False), ("".join(after), True)))
    (ids,) = TextEncoder(tokenizer).ids([run])
    assert [i for i in ids if i in added_ids(tokenizer)] == [tokenizer.convert_tokens_to_ids(token)]


def test_a_token_put_together_from_template_and_row_is_none() -> None:
    encoder = TextEncoder(opt_tokenizer())
    (ids,) = encoder.ids([Run((("<", False), ("/s>", True)))])
    assert opt_tokenizer().convert_ids_to_tokens(ids) == ["<", "/", "s", ">"]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("smol", "<|im_start|>user\nthe cat<|im_end|>\n"),
        ("opt", "the cat</s>a dog"),
        ("t5", "the <extra_id_0> cat. <extra_id_1>"),
        ("bert", "the [MASK] cat [SEP]"),
        ("roberta", "the film was <mask> and good"),
    ],
)
def test_template_words_are_tokenised_as_the_tokenizer_does(name: str, text: str) -> None:
    tokenizer = TOKENIZERS[name]()
    own = tokenizer(text, add_special_tokens=False)["input_ids"]
    assert added_ids(tokenizer) & set(own)
    assert TextEncoder(tokenizer).ids([Run(((text, False),))]) == [own]


def test_the_mask_in_template_words_takes_the_space_before_it_also_beside_forged_text() -> None:
    tokenizer = roberta_tokenizer()
    (ids,) = TextEncoder(tokenizer).ids([Run((("</s>", True), (" was <mask>", False)))])
    assert tokenizer.convert_ids_to_tokens(ids) == ["<", "/", "s", ">", "Ġwas", "<mask>"]


@every_tokenizer
def test_harmless_text_is_the_tokenizers_own(name: str) -> None:
    tokenizer = TOKENIZERS[name]()
    texts = ["the film was good", " it", "a\nb", "", "Zürich < 3 > 2"]
    assert TextEncoder(tokenizer).ids([Run(((text, True),)) for text in texts]) == [
        tokenizer(text, add_special_tokens=False)["input_ids"] for text in texts
    ]


def test_added_white_space_stays_what_the_tokenizer_makes_of_it() -> None:
    """GPT-NeoX's runs of blanks are added tokens: they forge nothing, and ordinary text is full of them."""
    tree = json.loads(gpt2_tokenizer().backend_tokenizer.to_str())
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=Tokenizer.from_str(json.dumps(tree)), eos_token="<|endoftext|>"
    )
    tokenizer.add_tokens([AddedToken("<sep>", normalized=False), AddedToken("   ", normalized=False)])
    encoder = TextEncoder(tokenizer)
    blanks = tokenizer.convert_tokens_to_ids("   ")
    assert blanks in encoder.ids_of_words("a   b")
    forged = encoder.ids_of_words("a   b<sep>")
    assert forged.count(blanks) == 1
    assert tokenizer.convert_ids_to_tokens(forged)[-5:] == ["<", "s", "e", "p", ">"]


def test_an_added_token_that_is_also_a_merge() -> None:
    """Gemma's vocabulary has added tokens that its merges give too."""
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=Tokenizer.from_str(gpt2_tokenizer().backend_tokenizer.to_str()), eos_token="<|endoftext|>"
    )
    word = tokenizer.convert_tokens_to_ids("th")
    tokenizer.add_special_tokens({"additional_special_tokens": ["th"]})
    assert tokenizer.convert_tokens_to_ids("th") == word
    ids = TextEncoder(tokenizer).ids_of_words("th the")
    assert tokenizer.convert_ids_to_tokens(ids) == ["t", "h", "Ġt", "h", "e"]
