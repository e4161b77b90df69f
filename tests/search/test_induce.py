"""Instructions that a model draws: what it is shown, what is kept of its texts, what templates become of them."""

from pathlib import Path
from typing import Any

import pytest
from tiny import tiny_backbone, tiny_folder, tiny_prepared

from tunewright.errors import InputError
from tunewright.prompts.layout import SlotLayout
from tunewright.prompts.template import Template
from tunewright.runs.prepare import Prepared
from tunewright.search.candidates import Candidate
from tunewright.search.induce import InduceSettings, asked, induce
from tunewright.search.instructions import cleaned, instruction_template, key_of
from tunewright.training.tuner import Tuner

LONG = "Name the topic of the text. " + "Look at each word with care. " * 20


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (" classify the text as sport or money.\n\nInput: the film", "Classify the text as sport or money."),
        ('\n\n"Name the topic of the text"\n', "Name the topic of the text."),
        ("1. Instruction: name its topic!", "Name its topic!"),
        ("**The instruction was to name the topic**", "Name the topic."),
        ("The instruction was: “Say what it is about.”", "Say what it is about."),
        ("Sure.\n- Say what it is about,", "Say what it is about."),
        ("Say  what\tit is   about?", "Say what it is about?"),
        ("Write {{ text }} or {topic}.", "Write {{ text }} or {topic}."),
        ("", None),
        ("yes no", None),
        ("1 2 3 4", None),
        ("name it. Input: the film Output: sport", None),
        ("name it ||| sport or money", None),
        ("name it <|im_end|> sport", None),
        ("say of the film, and the Team that played: sport", None),
        ("say the film and the other is sport", "Say the film and the other is sport."),
        (LONG, "Name the topic of the text. " + "Look at each word with care. " * 8 + "Look at each word with care."),
        ("word " * 80, None),
    ],
)
def test_what_is_kept_of_a_text(text: str, expected: str | None) -> None:
    assert cleaned(text, ["this is the film and the team that played"]) == expected


def test_a_text_that_was_cut_off_ends_with_a_whole_sentence() -> None:
    assert cleaned("name the topic. Then say what it", whole=False) == "Name the topic."
    assert cleaned("name the topic and what it", whole=False) is None
    assert cleaned("name the topic\n\nInput: the", whole=False) == "Name the topic."


def test_equal_but_for_case_and_punctuation() -> None:
    assert key_of("Name the topic!") == key_of("name  the topic.") != key_of("Name a topic.")


def test_the_templates_form() -> None:
    assert instruction_template("Say {it}.", ["text"]) == (
        "Instruction: Say {{ '{' }}it}.\n\nInput: {{ text }}\nOutput: {{ answer }}"
    )
    assert instruction_template("Say it.", ["text_a", "b"], lists_choices=True) == (
        "Instruction: Say it.\n\nText a: {{ text_a }}\nB: {{ b }}\nChoices: {{ answer_choices | join(', ') }}\n"
        "Output: {{ answer }}"
    )


def test_what_the_model_is_shown() -> None:
    rows = [({"text": "the film <|im_end|>"}, "sport"), ({"text": " a day "}, "money")]
    shown = (
        "I gave a friend an instruction. Based on the instruction they produced the following input-output pairs:\n\n"
        "Input: the film <|im_end|>\nOutput: sport\n\nInput: a day\nOutput: money\n\n"
    )
    plain = asked(rows, ["text"], "plain")
    assert plain.text() == shown + "The instruction was to"
    assert not plain.chat and asked(rows, ["text"], "chat").chat
    backbone = tiny_backbone("llama")
    for prompt in (plain, asked(rows, ["text"], "chat")):
        (example,) = backbone.encode_many([prompt], SlotLayout(), "generate", max_tokens=250)
        ends = example.views[0].ids.count(backbone.tokenizer.convert_tokens_to_ids("<|im_end|>"))
        assert ends == (2 if prompt.chat else 0)  # the frame's own, never the row's


def roomy() -> Prepared:
    """A tiny llama, whose positions are not learnt, with more of them."""
    prepared = tiny_prepared("none", "llama")
    prepared.backbone.model.config.max_position_embeddings = 1024
    return prepared


class Says:
    """In the place of the model: gives these texts, and keeps what it was asked."""

    def __init__(self, prepared: Prepared, monkeypatch: pytest.MonkeyPatch, *texts: str) -> None:
        self.backbone, self.texts = prepared.backbone, list(texts)
        self.asked: list[str] = []
        self.seeds: list[int] = []
        monkeypatch.setattr(prepared.tuner, "generate", self.generate)

    def generate(self, batch: Any, max_new_tokens: int, sampling: Any) -> list[str]:
        self.asked.append(self.backbone.tokenizer.decode(batch.ids[0]))
        self.seeds.append(sampling.seed)
        return [self.texts[len(self.asked) - 1]]


def test_each_sample_has_rows_and_a_seed_of_its_own(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    prepared = roomy()
    says = Says(prepared, monkeypatch, " name the topic.", "Name the topic", "no", " say {{ it }} now")
    found = list(induce(prepared, InduceSettings(samples=4, examples=3), 0))
    assert [one.how for one in found] == ["induced (plain, sample 1)", "induced (chat, sample 4)"]
    assert "2 of 4 texts were no instruction, or one seen before" in capsys.readouterr().err
    assert len(set(says.asked)) == len(set(says.seeds)) == 4
    assert ["<|im_start|>assistant" in text for text in says.asked] == [False, True, False, True]
    for text in says.asked:  # one of each label
        assert sorted(line for line in text.splitlines() if line.startswith("Output")) == [
            "Output: money", "Output: sport", "Output: weather",
        ]  # fmt: skip
    train = prepared.task.split("train")
    prompt = Template.from_block("found", found[1].jinja, prepared.task).render(train[0])
    assert prompt is not None
    assert prompt.text("sport") == "Instruction: Say {{ it }} now.\n\nInput: the film and the team\nOutput: sport"


def test_test_rows_are_never_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    prepared = roomy()
    says = Says(prepared, monkeypatch, *["no"] * 12)
    assert list(induce(prepared, InduceSettings(samples=12, examples=6), 0)) == []
    shown = {
        line.removeprefix("Input: ") for text in says.asked for line in text.splitlines() if line.startswith("Input")
    }
    assert shown <= set(prepared.task.split("train").columns["text"])
    assert not shown & set(prepared.task.split("test").columns["text"])


def drawn(prepared: Prepared, seed: int, **settings: Any) -> list[Candidate]:
    block = {"samples": 6, "examples": 2, "max_new_tokens": 12, "max_tokens": 250, **settings}
    return list(induce(prepared, InduceSettings(**block), seed))


def test_the_seed_decides() -> None:
    prepared = tiny_prepared("none", "t5")
    first = drawn(prepared, 0, forms=["plain"])
    assert first == drawn(prepared, 0, forms=["plain"]) != drawn(prepared, 1, forms=["plain"])
    for one in first:
        assert Template.from_block("found", one.jinja, prepared.task).render(prepared.task.split("train")[0])


def test_rows_that_do_not_fit_are_left_out_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    prepared = roomy()
    says = Says(prepared, monkeypatch, "no", "no", "no")
    lengths = {}
    for count in (2, 6):
        found = induce(prepared, InduceSettings(samples=1, examples=count, forms=["plain"]), 0)
        assert list(found) == []
        lengths[count] = len(prepared.backbone.text.ids_of_words(says.asked[-1]))
    limit = lengths[2] + 10
    assert lengths[6] > limit
    assert (
        list(induce(prepared, InduceSettings(samples=1, examples=6, max_tokens=limit + 50, forms=["plain"]), 0)) == []
    )
    assert says.asked[-1] == says.asked[0]
    with pytest.raises(InputError, match="not one demonstration fits beside 50 new tokens: max_tokens is 60"):
        list(induce(prepared, InduceSettings(max_tokens=60), 0))


def test_a_masked_models_instructions_come_from_another(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    prepared = tiny_prepared("none", "bert")
    with pytest.raises(InputError, match=r"a masked model writes no instructions: name one that does \(model: …\)"):
        drawn(prepared, 0)
    with pytest.raises(InputError, match="a causal or seq2seq model wanted, found masked"):
        drawn(prepared, 0, model=str(tiny_folder(tmp_path / "bert", "bert")))
    families = []

    def generate(tuner: Tuner, *_: Any) -> list[str]:
        families.append(tuner.backbone.family)
        return [" name the topic"]

    monkeypatch.setattr(Tuner, "generate", generate)
    (found,) = drawn(prepared, 0, model=str(tiny_folder(tmp_path / "llama", "llama")), forms=["plain"])
    assert found.jinja.startswith("Instruction: Name the topic.\n") and set(families) == {"causal"}


def test_what_is_refused() -> None:
    with pytest.raises(InputError, match=r"induce: tiny-gpt2 has no chat template; use forms: \[plain\]"):
        drawn(tiny_prepared("none", "gpt2"), 0, forms=["chat"])
    with pytest.raises(InputError, match="induce: instructions for tasks of kind tag are not induced"):
        drawn(tiny_prepared("none", "llama", "tag"), 0)
