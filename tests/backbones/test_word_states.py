"""Where the words of a row stand among its tokens, and which word is asked about at which token."""

import pytest
import torch
import torch.nn.functional as F
from tiny import ARCHITECTURES, prompt_of, row, tiny_backbone, words
from torch import Tensor, nn

from tunewright.backbones.base import Backbone
from tunewright.backbones.examples import Example, Purpose
from tunewright.errors import InputError
from tunewright.methods.base import Setting
from tunewright.methods.head import HeadTuning
from tunewright.objectives.losses import head_loss
from tunewright.prompts.layout import SlotLayout
from tunewright.prompts.segments import Answer, Prompt
from tunewright.training.tuner import Tuner

TOKENS = ("the", "unbelievable", "film", "10", "dog")
LABELS = (0, 1, 2, 0, 1)


def prompt(tokens: tuple[str, ...] = TOKENS, *, before: str = "", after: str = "", twice: bool = False) -> Prompt:
    text = row(" ".join(tokens), "tokens")
    parts = [before, text, "\n", text] if twice else [before, text, after]
    labels = LABELS[: len(tokens)]
    return prompt_of(*(part for part in parts if part), Answer(), words=tokens, word_labels=labels)


def encode(backbone: Backbone, one: Prompt, purpose: Purpose = "words", max_tokens: int = 512) -> Example:
    return backbone.encode_many([one], SlotLayout(), purpose, max_tokens=max_tokens)[0]


def asked(backbone: Backbone, example: Example) -> list[tuple[int, str, int]]:
    """(word, token it is read at, label)."""
    view = example.views[0]
    return [(ask.choice, words(backbone, [view.ids[ask.position]]), ask.token) for ask in view.asks]


def test_bert_reads_the_first_sub_token_of_each_word() -> None:
    backbone = tiny_backbone("bert")
    example = encode(backbone, prompt())
    ids = example.views[0].ids
    tokens = backbone.tokenizer.convert_ids_to_tokens(ids)
    # transformers' own alignment, and the labels of its token classification example: -100 but at first sub-tokens
    theirs = backbone.tokenizer(list(TOKENS), is_split_into_words=True)
    assert theirs["input_ids"] == ids
    word_ids = theirs.word_ids()
    labels = [-100 if word is None or word == word_ids[i - 1] else LABELS[word] for i, word in enumerate(word_ids)]
    assert example.views[0].labels == labels, tokens
    ends = encode(backbone, prompt(), "word-ends").views[0].asks
    last = [max(i for i, word in enumerate(word_ids) if word == number) for number in range(len(TOKENS))]
    assert [ask.position for ask in ends] == last


@pytest.mark.parametrize("arch", ARCHITECTURES)
def test_each_word_is_read_at_a_token_of_its_own(arch: str) -> None:
    backbone = tiny_backbone(arch)
    for purpose in ("words", "word-ends"):
        for one in (prompt(), prompt(before="Find names: ", after="\nNames:"), prompt(twice=True)):
            example = encode(backbone, one, purpose)  # type: ignore[arg-type]
            asks = example.views[0].asks
            assert [(ask.choice, ask.token) for ask in asks] == list(enumerate(LABELS))
            ids = example.views[0].ids
            for ask, behind in zip(asks, [*asks[1:], None]):
                if purpose == "words":  # from this word's token to the next one's stands the word
                    end = behind.position if behind else len(ids)
                    text = backbone.tokenizer.decode(ids[ask.position : end]).strip()
                    assert text.startswith(TOKENS[ask.choice]), text
            if "\n" in one.text() and "Find" not in one.text():  # the last showing
                assert asks[0].position > len(ids) // 2 - 2


def test_llama_literally() -> None:
    backbone = tiny_backbone("llama")
    example = encode(backbone, prompt(("a", "day", "x<|im_end|>y"), before="of: "))
    tokens = words(backbone, example.views[0].ids).split()
    assert tokens[:6] == ["o", "f", ":", "Ġa", "Ġday", "Ġ"]
    # the space before a word, where it is a token of its own, is no part of the word
    assert [tokens[ask.position] for ask in example.views[0].asks] == ["Ġa", "Ġday", "x"]
    assert backbone.tokenizer.convert_tokens_to_ids("<|im_end|>") not in example.views[0].ids  # it is just characters


def test_words_without_tokens_and_words_cut_off_are_counted() -> None:
    backbone = tiny_backbone("bert")
    whole = encode(backbone, prompt(("the", "\u200b", "film")))
    assert [ask.choice for ask in whole.views[0].asks] == [0, 2]
    assert whole.unread == 1
    long = encode(backbone, prompt(("the", "film", "the", "dog", "a"), after=" and so on"), max_tokens=9)
    assert long.shortened
    assert [ask.choice for ask in long.views[0].asks] == list(range(5 - long.unread))
    assert 0 < long.unread < 5
    both = encode(backbone, prompt(("the", "film", "the", "dog", "a"), twice=True), max_tokens=10)
    first = encode(backbone, prompt(("the", "film", "the", "dog", "a"), twice=True)).views[0].asks[0].position
    assert both.shortened and both.views[0].asks[0].choice == 0
    assert 1 < both.views[0].asks[0].position <= first  # the second showing, though it lost more


def test_a_template_without_the_words() -> None:
    backbone = tiny_backbone("bert")
    with pytest.raises(InputError, match=r"row 1: a head that labels words wants a template with \{\{ tokens"):
        encode(backbone, prompt_of("names: ", row("dog film", "tokens"), Answer(), words=TOKENS))


class Classifier(nn.Module):
    """`BertForTokenClassification` without its dropout: the encoder's last states, a linear layer."""

    def __init__(self, backbone: Backbone, linear: nn.Linear) -> None:
        super().__init__()
        self.body = backbone.model.get_encoder() if backbone.family == "seq2seq" else backbone.model.base_model
        self.linear = linear

    def forward(self, ids: Tensor, mask: Tensor, labels: Tensor) -> Tensor:
        states = self.body(input_ids=ids, attention_mask=mask).last_hidden_state  # [B, T, d]
        return F.cross_entropy(self.linear(states).flatten(0, 1), labels.flatten(), ignore_index=-100)


@pytest.mark.parametrize("arch", ["bert", "roberta", "llama", "gpt2", "t5", "bart"])
def test_the_loss_is_that_of_token_classification(arch: str) -> None:
    backbone = tiny_backbone(arch)
    setting = Setting("tag", (), 0, tags=("O", "B-a", "B-b"))
    tunable = HeadTuning(dropout=0.0).tune(backbone, SlotLayout(), setting)
    tuner = Tuner(backbone, tunable).eval()
    examples = [encode(backbone, prompt()), encode(backbone, prompt(TOKENS[:2]))]
    batch = backbone.collate(examples)
    with torch.no_grad():
        ours = head_loss(tuner(batch), batch.ask_token, None) / batch.asked
        labels = torch.full_like(batch.ids, -100)
        for i, example in enumerate(examples):
            for ask in example.views[0].asks:
                labels[i, ask.position] = ask.token
        head = tunable.head()
        assert head is not None
        theirs = Classifier(backbone, head.linear)(batch.ids, batch.mask.long(), labels)  # type: ignore[arg-type]
    assert batch.asked == 7
    torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("arch", ["llama", "bert"])
def test_a_causal_model_has_seen_nothing_to_the_right(arch: str) -> None:
    backbone = tiny_backbone(arch)
    tunable = HeadTuning(dropout=0.0).tune(backbone, SlotLayout(), Setting("tag", (), 0, tags=("O", "B-a")))
    tuner = Tuner(backbone, tunable).eval()

    def first_word(*tokens: str) -> Tensor:
        with torch.no_grad():
            return tuner(backbone.collate([encode(backbone, prompt(tokens))]))[0]

    same = torch.allclose(first_word("dog", "film"), first_word("dog", "day"), atol=1e-6)
    assert same == (arch == "llama")


@pytest.mark.parametrize("arch", ["bert", "roberta"])
def test_a_pair_of_fields_is_the_tokenizers_pair(arch: str) -> None:
    from tunewright.prompts.segments import Sep

    backbone = tiny_backbone(arch)
    one = prompt_of(row("the film", "a"), Sep(), row("a dog and the sea", "b"), Answer())
    view = encode(backbone, one, "pool").views[0]
    theirs = backbone.tokenizer("the film", "a dog and the sea")
    assert view.ids == theirs["input_ids"]
    if arch == "bert":
        assert view.types == theirs["token_type_ids"]
        assert set(view.types or ()) == {0, 1}
    else:
        assert view.types is None  # RoBERTa has one type only
