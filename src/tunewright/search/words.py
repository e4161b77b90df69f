"""Words that a model made, as parts of a template: decoded in context, escaped, and the row's fields beside them."""

import re
from collections.abc import Sequence

from tunewright.backbones.base import Backbone
from tunewright.errors import InputError
from tunewright.prompts.template import Template
from tunewright.runs.at_endpoint import Ready


def escaped(text: str) -> str:
    """`text` as Jinja that prints it as it is.

    Raises ValueError for `|||`, which splits a template wherever it comes from.
    """
    if "|||" in text:
        raise ValueError("a template's words cannot hold |||")
    return text.replace("{", "{{ '{' }}")  # {{ {% {# are all that opens a tag


def texts_of(backbone: Backbone, rows: Sequence[Sequence[int]]) -> list[str]:
    """Each list of ids as it reads behind another word: with the space before it, where its first token has one."""
    anchor = backbone.text.ids_of_words("x")
    decode = backbone.tokenizer.batch_decode
    whole = decode([[*anchor, *ids] for ids in rows], clean_up_tokenization_spaces=False)
    start = len(backbone.tokenizer.decode(anchor, clean_up_tokenization_spaces=False))
    return [text[start:] for text in whole]


def first_template(prepared: Ready, who: str) -> Template:
    """The recipe's first template. Raises InputError for an imported one, which reads text by other rules."""
    template = prepared.templates[0]
    if template.lenient:
        raise InputError(f"{who}: template {template.name!r} is an imported one; give one of your own")
    return template


def text_fields(prepared: Ready) -> list[str]:
    """The row's texts that the first template shows, in the order of their first mention.

    Raises InputError where it shows none.
    """
    template, task = prepared.templates[0], prepared.task
    used, first = template.fields_used(), task.split("train")[0]
    names = [name for name in used if name != task.target and isinstance(first.get(name), str)]
    if not names:
        raise InputError(f"template {template.name!r} of task {task.name!r} shows no text of the row")
    return sorted(names, key=lambda name: _mention(template.source, name))


def _mention(source: str, name: str) -> int:
    found = re.search(rf"\{{[{{%][^}}]*\b{re.escape(name)}\b", source)
    return found.start() if found else len(source)
