"""What the rules vary: a template taken apart into fields, instruction, cue and options, and written out again."""

import re
from dataclasses import dataclass
from typing import Literal

from jinja2 import Environment, TemplateSyntaxError, nodes

from tunewright.backbones.base import Family
from tunewright.prompts.template import Template
from tunewright.task_block import Kind

ANSWER = "{{ answer }}"
MARKS = re.compile(r"(\{\{.*?\}\}|\{%.*?%\}|\{#.*?#\})", re.DOTALL)
_READER = Environment()  # noqa: S701 - it parses and never renders
_CUE = re.compile(r"([^\W\d_][\w' -]*?)\s*[:=>→-]+")


@dataclass(frozen=True)
class Shape:
    """A prompt's parts. `fields` are (name for people, Jinja expression); `noun` is what is asked for ("topic").

    `written`: the start's own words for instructing. `options`: where the answers are listed. `lead`: words of a
    running sentence that the answer ends (a cloze), in place of the cue.
    """

    fields: tuple[tuple[str, str], ...]
    noun: str
    cue: str
    written: str | None = None
    instruction: str | None = None
    after: bool = False
    options: Literal["none", "line", "bullets", "brackets", "or"] = "none"
    body: Literal["bare", "named", "quoted", "tagged", "said"] = "bare"
    lead: str | None = None
    gap: str = "\n"
    before_answer: str = " "
    first: bool = False  # the answer stands before the fields (not for causal models)

    @property
    def thing(self) -> str:
        """What the fields are, in words: `premise and hypothesis`."""
        names = [name for name, _ in self.fields]
        return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)


def shape_of(template: Template) -> Shape | None:
    """The template's parts, None where it shows no field in braces of its own (all of them stand in a loop, say)."""
    source = template.source.partition("|||")[0]
    task = template.task
    known = {*task.fields, "choices"} - {task.target, task.references}
    fields: dict[str, str] = {}
    words: list[str] = []
    for part in MARKS.split(source):
        if part.startswith("{{"):
            names = _names(part)
            if names and names <= known and "choices" not in names:
                fields.setdefault(sorted(names)[0], part)
            words.append("\0")
        elif not part.startswith("{"):
            words.append(part)
    if not fields or not set(fields) >= template.fields_used() - {"choices", task.target}:
        return None
    lines = [line.strip() for line in "".join(words).split("\n")]
    own = [line for line in lines if line and "\0" not in line and not line.endswith((":", "-", ">", "="))]
    cue = _cue_of(source)
    asked = cue or next(filter(None, (_cue_of(block.jinja) for block in task.templates.values())), "")
    noun = asked.lower() or {"choose": "answer"}.get(task.kind, task.target.replace("_", " "))
    return Shape(
        fields=tuple((name.replace("_", " "), expression) for name, expression in fields.items()),
        noun=noun,
        cue=f"{cue or noun.capitalize()}:",
        written=" ".join(own) or None,
    )


def _cue_of(source: str) -> str:
    """`Sentiment` of a template that ends in `Sentiment: {{ answer }}`; nothing for `Answer:`, which names nothing."""
    last = MARKS.split(source.partition(ANSWER)[0])[-1].rpartition("\n")[2]
    found = _CUE.fullmatch(last.strip())
    cue = found.group(1) if found else ""
    return cue if len(cue.split()) <= 3 and cue.lower() not in ("", "answer", "label", "a", "output") else ""


def _names(mark: str) -> set[str]:
    try:
        tree = _READER.parse(mark)
    except TemplateSyntaxError:
        return set()
    return {node.name for node in tree.find_all(nodes.Name)}


def write(shape: Shape, kind: Kind, family: Family) -> str:
    """The Jinja text of a shape."""
    named = shape.body != "bare" or len(shape.fields) > 1
    body = shape.gap.join(_field(name, mark, shape, named) for name, mark in shape.fields)
    asked = shape.instruction
    if asked is not None and shape.options in ("brackets", "or"):
        asked += f" ({_joined(', ')})" if shape.options == "brackets" else f" {_joined(' or ')}?"
    blocks = [body, asked] if shape.after else [asked, body]
    if shape.options == "line" or (asked is None and shape.options in ("brackets", "or")):
        blocks.append(f"Options: {_joined(' or ' if shape.options == 'or' else ', ')}")
    elif shape.options == "bullets":
        blocks.append("Options:{% for option in answer_choices %}\n- {{ option }}{% endfor %}")
    text = shape.gap.join(block for block in blocks if block)
    if shape.first:
        return f"{shape.cue} {ANSWER}.{shape.gap}{text}"
    if shape.lead is not None:
        between = " " if blocks[-1] == body else shape.gap
        text = f"{text}{between}{shape.lead} {ANSWER}" + ("" if family == "causal" else ".")
    elif shape.cue:
        text = f"{text}{shape.gap}{shape.cue}{shape.before_answer}{ANSWER}"
    else:
        text = f"{text}{shape.gap}{ANSWER}"
    return fitted(text, family) or text


def _joined(between: str) -> str:
    return "{{ answer_choices | join('" + between + "') }}"


def _field(name: str, mark: str, shape: Shape, named: bool) -> str:
    if shape.body == "quoted":
        return f'{name.capitalize()}: "{mark}"' if len(shape.fields) > 1 else f'"{mark}"'
    if shape.body == "tagged":
        return f"<{name.replace(' ', '-')}>{mark}</{name.replace(' ', '-')}>"
    if shape.body == "said":
        return f"The {name} is: {mark}"
    return f"{name.capitalize()}: {mark}" if named else mark


def fitted(source: str, family: Family) -> str | None:
    """The template with its answer where the family wants it, None where it cannot be had by cutting or adding a stop.

    Causal: at the very end. Masked: inside the text, so that the mask has words on both sides.
    """
    before, mark, behind = source.partition(ANSWER)
    if not mark:
        return None
    if family == "causal":
        return before + mark if not re.search(r"[\w{]", behind) else None
    if family == "masked" and not behind.strip():
        return f"{before}{mark}."
    return source
