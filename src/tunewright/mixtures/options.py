"""The choices of a question listed in its prompt, in one of many styles."""

from dataclasses import dataclass, replace
from string import ascii_uppercase

from tunewright.prompts.segments import Answer, Prompt, Segment, Text
from tunewright.seeds import python_random

MOST = 20  # choices: longer lists would fill the prompt
OPENERS = ("OPTIONS:", "Options:", "Choices:", "Possible answers:", "Pick one of these:", "Choose from:")
_LISTED = ("- {text}", "* {text}", "+ {text}")
_MARKED = (("({mark}) {text}", "({mark})"), ("{mark}. {text}", "{mark}"), ("{mark}) {text}", "{mark}"),
           ("[{mark}] {text}", "[{mark}]"))  # fmt: skip
_INLINE = (("; ", " {words}"), (", ", " ({words})"), (" / ", " {words}"))


@dataclass(frozen=True)
class OptionStyle:
    """`item` is one line of the list (None: all on the opener's line, `between` and `around` them).

    `answer`: what is answered, None for the choice's own words. `marks`: letters or numbers.
    """

    opener: str
    item: str | None = None
    answer: str | None = None
    marks: str = ""
    between: str = ""
    around: str = ""

    @property
    def name(self) -> str:
        """`list`, `marked` or `inline`."""
        return "inline" if self.item is None else "marked" if self.answer is not None else "list"


def draw_style(*keys: object) -> OptionStyle:
    """The style that the keys draw: a list, a marked list (the mark is the answer) or a line, equally often."""
    random = python_random("option style", *keys)
    opener, form = random.choice(OPENERS), random.randrange(3)
    if form == 0:
        return OptionStyle(opener, random.choice(_LISTED))
    if form == 1:
        item, answer = random.choice(_MARKED)
        return OptionStyle(opener, item, answer, random.choice((ascii_uppercase, ascii_uppercase.lower(), "123456789")))
    between, around = random.choice(_INLINE)
    return OptionStyle(opener, between=between, around=around)


def with_options(prompt: Prompt, style: OptionStyle, *keys: object) -> Prompt:
    """The prompt with its choices listed, in an order that the keys draw; of several words a label the first.

    They stand before the last line where that is the template's own (`Answer:`), else (the line goes on from the row's
    text) before the whole prompt; in a chat at the end. In a marked style target and choices become the marks.
    """
    assert prompt.choices is not None and prompt.choice_labels is not None
    first = {label: prompt.choices.index(choice) for label, choice in
             reversed(list(zip(prompt.choice_labels, prompt.choices)))}  # fmt: skip
    labels = sorted(first)
    python_random("option order", *keys).shuffle(labels)
    texts = [prompt.choices[first[label]] for label in labels]
    marks = _marks(style, len(labels))
    block = _block(style, texts, marks)
    if style.answer is not None:
        said = [style.answer.format(mark=mark) for mark in marks]
        target = said[labels.index(prompt.gold)] if prompt.gold is not None else ""
        prompt = replace(
            prompt, target=target, references=(target,), choices=tuple(said), choice_labels=tuple(labels)
        )  # fmt: skip
    return replace(prompt, segments=_placed(prompt, block))


def _marks(style: OptionStyle, count: int) -> list[str]:
    return list(style.marks[:count]) if len(style.marks) >= count else [str(i + 1) for i in range(count)]


def _block(style: OptionStyle, texts: list[str], marks: list[str]) -> list[Segment]:
    """The opener and the items; a choice's words are the row's: they never become special tokens."""
    found: list[Segment] = [Text(style.opener)]
    if style.item is not None:
        for text, mark in zip(texts, marks):
            before = style.item.partition("{text}")[0].format(mark=mark)
            found += [Text(f"\n{before}"), Text(text, "choices")]
        return found
    before, _, after = style.around.partition("{words}")
    found.append(Text(before))
    for i, text in enumerate(texts):
        found += [*([Text(style.between)] if i else []), Text(text, "choices")]
    return [*found, *([Text(after)] if after else [])]


def _placed(prompt: Prompt, block: list[Segment]) -> tuple[Segment, ...]:
    segments = list(prompt.segments)
    place = next(i for i, segment in enumerate(segments) if isinstance(segment, Answer))
    if place < len(segments) - 1:
        return (*block, Text("\n\n"), *segments)
    if prompt.chat:
        return (*segments[:place], Text("\n\n"), *block, *segments[place:])
    last = segments[place - 1] if place else None
    if not isinstance(last, Text) or last.from_row or "\n" not in last.text:
        return (*block, Text("\n\n"), *segments)
    head, _, cue = last.text.rpartition("\n")
    before = [Text(head)] if head else []
    return (*segments[: place - 1], *before, Text("\n"), *block, Text(f"\n{cue}"), *segments[place:])
