"""Which templates of a task are drawn, by kind, and which a model cannot read."""

from dataclasses import replace
from typing import Any

import pytest
from mixture_parts import members, task

from tunewright.errors import InputError
from tunewright.mixtures.block import DEFAULTS, FormatsBlock
from tunewright.mixtures.wordings import Reader, kind_shares, wordings
from tunewright.prompts.template import Template
from tunewright.task_block import TemplateBlock
from tunewright.tasks.catalog import catalog_entry
from tunewright.tasks.shared_templates import template_set
from tunewright.tasks.task import Task

ALL: Any = {"plain": "{{ text }} {{ answer }}", "inverted-a": "{{ target }}? ||| {{ text }}",
            "inverted-b": "{{ target }}! ||| {{ text }}"}  # fmt: skip


def shares(one: Task, wanted: Any = None, reader: Reader | None = None, **formats: float) -> dict[str, float]:
    found = wordings(one, wanted, FormatsBlock(**formats).under(DEFAULTS), reader or Reader())  # type: ignore[arg-type]
    return {wording.template.name: round(wording.share, 4) for wording in found}


def test_kinds_have_their_shares_and_templates_of_a_kind_are_alike() -> None:
    one = task("a", "generate", **ALL)
    assert shares(one) == {"plain": 0.7, "inverted-a": 0.15, "inverted-b": 0.15}
    assert shares(one, inverted=0.0) == {"plain": 1.0}
    assert shares(one, ["inverted-a"]) == {"inverted-a": 1.0}
    assert shares(one, {"plain": 1, "inverted-b": 3}, inverted=0.0) == {"plain": 0.25, "inverted-b": 0.75}


def test_a_kind_alone_has_all_and_the_others_share_what_is_left() -> None:
    formats = FormatsBlock(inverted=0.3, chain=0.5, turns=0.8).under(DEFAULTS)
    assert kind_shares({"inverted"}, formats) == {"inverted": 1.0}
    assert kind_shares({"plain", "chain"}, formats) == {"chain": 0.5, "plain": 0.5}
    assert kind_shares({"plain", "chain", "inverted"}, formats) == pytest.approx(
        {"inverted": 0.3, "chain": 0.35, "plain": 0.35}
    )
    assert kind_shares({"turns", "plain"}, formats) == pytest.approx({"turns": 0.8, "plain": 0.2})
    assert kind_shares({"turns"}, formats) == {"turns": 1.0}


def test_of_tasks_with_reasons_some_templates_give_them() -> None:
    """In both shared sets: chains of at least five phrasings of the end, and templates for the answer alone."""
    from tunewright.mixtures.wordings import kind_of

    for name, chains, plain in (("reasoning", 11, 4), ("word_problem", 7, 4)):
        block = catalog_entry("cot_gsm8k" if name == "reasoning" else "gsm8k")
        one = replace(task("a", "generate"), fields=("question", *block.fields), target="final")
        kinds = [
            kind_of(Template.from_block(key, template, one)) for key, template in template_set(name).templates.items()
        ]
        assert (kinds.count("chain"), kinds.count("plain"), kinds.count("inverted")) == (chains, plain, 3), name


def test_what_a_model_cannot_read_is_left_out() -> None:
    one = task("a", "classify", plain="{{ text }} {{ answer }}", cloze="{{ answer }}: {{ text }}")
    chat = TemplateBlock(jinja="{{ text }}", chat=True)
    one = replace(one, templates={**one.templates, "chat": chat})
    assert set(shares(one)) == {"plain", "cloze", "chat"}
    assert set(shares(one, reader=Reader(chat=True, answer_last=True))) == {"plain", "chat"}
    assert set(shares(one, reader=Reader(chat=False))) == {"plain", "cloze"}
    one = task("a", "classify", cloze="{{ answer }}: {{ text }}")
    with pytest.raises(InputError, match="task a: none of its templates suits this model"):
        shares(one, reader=Reader(answer_last=True))
    with pytest.raises(InputError, match="'plane' is no template of task a"):
        shares(task("a"), ["plane"])


def test_options_are_for_choices_that_the_template_does_not_list() -> None:
    one = task("a", plain="{{ text }} {{ answer }}", shown="{{ answer_choices | join(', ') }}: {{ text }} {{ answer }}")
    choose = task("b", "choose", plain="{{ text }} {{ answer }}", shown="{{ choices }} {{ text }} {{ answer }}")
    for found in (one, choose):
        assert {w.template.name: w.options for w in wordings(found, None, DEFAULTS, Reader())} == {
            "plain": 0.5, "shown": 0.0,
        }  # fmt: skip
    for kind in ("generate", "regress"):
        assert {w.options for w in wordings(task("a", kind), None, DEFAULTS, Reader())} == {0.0}  # type: ignore[arg-type]
    many = tuple(f"l{i}" for i in range(21))
    one = replace(one, labels=many, label_words={label: (label,) for label in many})
    assert {w.options for w in wordings(one, None, DEFAULTS, Reader())} == {0.0}


def test_a_task_of_one_row_has_no_exemplars() -> None:
    from tunewright.mixtures.stream import Mixture

    found = members({"members": ["a"], "formats": {"few_shot": 1.0}}, task("a", rows=1))
    mixture = Mixture(found.members, 5, 0)
    assert mixture.draws(range(5)).shots.tolist() == [0] * 5 and mixture.few_shot(0, 0) == 0.0
