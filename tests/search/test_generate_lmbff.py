"""Templates that a T5-like model writes: their Jinja, what a causal model can keep of them, what is refused."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from planting import teach
from tiny import tiny_backbone, tiny_folder, tiny_prepared

from tunewright.backbones.base import Backbone
from tunewright.backbones.seq2seq import Seq2SeqBackbone
from tunewright.errors import InputError
from tunewright.prompts.template import Template
from tunewright.runs.prepare import Prepared
from tunewright.search.candidates import Candidate
from tunewright.search.generate_lmbff import LMBFFSettings, _input, _template, lm_bff
from tunewright.search.joint_decoding import Filled
from tunewright.tasks.task import Rows


def found(prepared: Prepared, **settings: Any) -> list[Candidate]:
    return list(lm_bff(prepared, LMBFFSettings(**{"beam": 30, "max_length": 7, "rows": 6, **settings}), 0))


def taught(backbone: Backbone) -> Seq2SeqBackbone:
    assert isinstance(backbone, Seq2SeqBackbone)
    teach(backbone, "it was", "a day.", steps=20)
    return backbone


def pair(arch: str) -> Prepared:
    """The tiny task with a second text."""
    prepared = tiny_prepared("none", arch)
    splits = {}
    for name, rows in prepared.task.splits.items():
        columns = {
            "text": rows.columns["text"],
            "second": ["it was a warm day"] * len(rows),
            "label": rows.columns["label"],
        }
        splits[name] = Rows(columns, rows.ids)
    task = replace(prepared.task, splits=splits, fields=("text", "second", "label"))
    template = Template.from_block("pair", "{{ text }} or {{ second }}? {{ answer }}", task)
    return replace(prepared, task=task, templates=[template])


def rendered(prepared: Prepared, candidate: Candidate) -> str:
    template = Template.from_block("found", candidate.jinja, prepared.task)
    prompt = template.render(prepared.task.split("train")[0])
    assert prompt is not None
    return prompt.text("sport")


@pytest.mark.parametrize(
    ("placement", "names", "causal", "expected"),
    [
        ("after", ["text"], False, "{{ text }} it was {{ answer }}. a"),
        ("after", ["text"], True, "{{ text }} it was {{ answer }}"),
        ("before", ["text"], False, "it was {{ answer }}. a {{ text }}"),
        ("between", ["text", "second"], False, "{{ text }} it was {{ answer }}. a {{ second }}"),
        ("after", ["text", "second"], True, "{{ text }} {{ second }} it was {{ answer }}"),
    ],
)
def test_the_jinja_of_what_was_written(placement: Any, names: list[str], causal: bool, expected: str) -> None:
    backbone = tiny_backbone("t5")
    assert isinstance(backbone, Seq2SeqBackbone)
    ids = backbone.tokenizer.convert_tokens_to_ids
    filled = Filled((tuple(ids(["▁it", "▁was"])), tuple(ids([".", "▁a"]))), -1.0)
    assert _template(backbone, filled, names, placement, causal) == expected


def test_braces_are_escaped_and_bars_refused() -> None:
    backbone = tiny_backbone("t5")
    assert isinstance(backbone, Seq2SeqBackbone)
    bar = backbone.tokenizer.convert_tokens_to_ids("|")
    assert _template(backbone, Filled(((bar, bar, bar), ()), -1.0), ["text"], "after", False) is None


@pytest.mark.parametrize(
    ("placement", "expected"),
    [
        ("after", "▁the ▁film ▁and ▁the ▁team <extra_id_0> ▁sport <extra_id_1> </s>"),
        ("before", "<extra_id_0> ▁sport <extra_id_1> ▁the ▁film ▁and ▁the ▁team </s>"),
    ],
)
def test_what_the_model_reads(placement: Any, expected: str) -> None:
    prepared = tiny_prepared("none", "t5")
    backbone = prepared.backbone
    assert isinstance(backbone, Seq2SeqBackbone)
    row = prepared.task.split("train")[0]
    ids = _input(backbone, prepared.templates[0], row, ["text"], placement, LMBFFSettings())
    assert ids is not None
    assert " ".join(backbone.tokenizer.convert_ids_to_tokens(ids)) == expected


def test_a_long_text_is_cut_on_the_side_away_from_the_answer() -> None:
    prepared = tiny_prepared("none", "t5")
    row, settings = prepared.task.split("train")[0], LMBFFSettings(max_tokens=8)
    row["text"] = "rain " * 8 + "snow"
    backbone = prepared.backbone
    assert isinstance(backbone, Seq2SeqBackbone)
    for placement, last in (("after", "▁snow"), ("before", "▁rain")):
        ids = _input(backbone, prepared.templates[0], row, ["text"], placement, settings)  # type: ignore[arg-type]
        tokens = backbone.tokenizer.convert_ids_to_tokens(ids)
        assert [t for t in tokens if t in ("▁rain", "▁snow")] == ["▁rain"] * 7 + [last]


def test_both_placements_for_a_seq2seq_model() -> None:
    prepared = tiny_prepared("none", "t5")
    taught(prepared.backbone)
    made = found(prepared)
    assert {one.how.split()[1].strip(",") for one in made} == {"after", "before"}
    assert len({one.jinja for one in made}) == len(made)
    for one in made:
        text = rendered(prepared, one)
        assert "the film and the team" in text and "sport" in text
    again = found(prepared)
    assert [one.jinja for one in again] == [one.jinja for one in made]


def test_a_pair_has_the_answer_between() -> None:
    prepared = pair("t5")
    taught(prepared.backbone)
    made = found(prepared)
    assert made
    for one in made:
        text = rendered(prepared, one)
        assert text.index("the film") < text.index("sport") < text.index("it was a warm day")


def test_a_causal_model_answers_last(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    writer = str(tiny_folder(tmp_path / "t5", "t5"))
    taught(tiny_backbone("t5")).model.save_pretrained(writer)
    prepared = tiny_prepared("none", "llama")
    made = found(prepared, model=writer)
    assert "placement `before` is left out" in capsys.readouterr().err
    assert made and all(one.jinja.endswith("{{ answer }}") for one in made)
    assert any("cut after the answer" in one.how for one in made)
    twice = found(pair("llama"), model=writer)
    assert "both texts stand before the answer" in capsys.readouterr().err
    assert twice and all(one.jinja.startswith("{{ text }} {{ second }}") for one in twice)


@pytest.mark.parametrize(
    ("arch", "kind", "settings", "message"),
    [
        (
            "llama",
            "classify",
            {},
            r"a T5-like model writes the templates, the recipe's is causal: name one \(model: …\)",
        ),
        ("bart", "classify", {}, "tiny-bart has no sentinels"),
        ("t5", "generate", {}, "a task of kind classify or choose wanted, found generate"),
        ("llama", "classify", {"placements": ["before"]}, "a causal model answers last: add after"),
    ],
)
def test_what_is_refused(arch: str, kind: Any, settings: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=f"lm-bff: .*{message}"):
        found(tiny_prepared("none", arch, kind), **settings)


def test_a_writer_of_another_family_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="a T5-like model wanted, found causal"):
        found(tiny_prepared("none", "llama"), model=str(tiny_folder(tmp_path, "llama")))
