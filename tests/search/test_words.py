"""Words of a model in a template: whatever they are, they print as they are."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny import tiny_backbone, tiny_prepared, tiny_task

from tunewright.errors import InputError
from tunewright.prompts.segments import Text
from tunewright.prompts.template import Template
from tunewright.search.words import escaped, first_template, text_fields, texts_of
from tunewright.task_block import TemplateBlock

_TRICKS = st.sampled_from(
    ["{{", "}}", "{%", "%}", "{#", "#}", "{{ text }}", "{{ 7 * 7 }}", "{% raw %}", "{", "'", '"', "\\"]
)
_TEXT = st.lists(st.one_of(_TRICKS, st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=5)), max_size=6)


@given(_TEXT)
@settings(max_examples=150, deadline=None)
def test_escaped_text_prints_as_it_is(parts: list[str]) -> None:
    words = "x" + "".join(parts)
    if "|||" in words:
        with pytest.raises(ValueError, match="cannot hold"):
            escaped(words)
        return
    task = tiny_task("classify")
    prompt = Template.from_block("t", f"{escaped(words)}{{{{ text }}}} {{{{ answer }}}}", task).render(
        task.split("train")[0]
    )
    assert prompt is not None
    assert prompt.segments[0] == Text(words)
    assert prompt.segments[1] == Text("the film and the team", "text")


@pytest.mark.parametrize(
    ("arch", "words", "expected"),
    [
        ("llama", " good film", " good film"),
        ("t5", "good film", " good film"),
        ("t5", ".", " ."),
        ("bert", "good", " good"),
    ],
)
def test_texts_keep_the_space_before_them(arch: str, words: str, expected: str) -> None:
    backbone = tiny_backbone(arch)
    assert texts_of(backbone, [backbone.text.ids_of_words(words)]) == [expected]


def test_texts_without_a_space_before_them() -> None:
    backbone = tiny_backbone("t5")
    assert texts_of(backbone, [[backbone.tokenizer.convert_tokens_to_ids(".")]]) == ["."]


def test_fields_in_the_order_of_their_mention() -> None:
    prepared = tiny_prepared("none", "llama", "choose", template="{{ text }}: {{ choices | join(', ') }} {{ answer }}")
    assert text_fields(prepared) == ["text"]
    prepared = tiny_prepared("none", "llama", template="which topic? {{ answer }}")
    with pytest.raises(InputError, match="shows no text of the row"):
        text_fields(prepared)


def test_an_imported_template_is_refused() -> None:
    prepared = tiny_prepared("none", "llama")
    block = TemplateBlock.model_validate({"jinja": "{{ text }} ||| a", "promptsource": {"id": "1"}})
    prepared.templates[:] = [Template.from_block("t", block, prepared.task)]
    with pytest.raises(InputError, match="induce: template 't' is an imported one"):
        first_template(prepared, "induce")
