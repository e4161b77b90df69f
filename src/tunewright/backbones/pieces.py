"""A prompt cut into what is tokenised together: runs of text, slots, the separator, the answer."""

from dataclasses import dataclass

from tunewright.backbones.chat import ChatFrame, EarlierTurns
from tunewright.backbones.tokens import Part, Run
from tunewright.errors import InputError
from tunewright.prompts.layout import SlotLayout
from tunewright.prompts.segments import Answer, Prompt, Sep, Soft, Text


@dataclass(frozen=True)
class Separator:
    """Where a pair of texts is split. `earlier`: a pair of a demonstration, not the one that is asked about."""

    earlier: bool = False


@dataclass(frozen=True)
class AnswerPlace:
    """Where the answer goes; `spaces` stood before it in the template and are tokenised with it."""

    spaces: str = ""


@dataclass(frozen=True)
class Slots:
    """A group of soft positions: the rows of the prompt table in order. `first`: before the tokenizer's own tokens."""

    rows: range
    decoder: bool = False
    first: bool = False


Piece = Run | Slots | Separator | AnswerPlace


def pieces_of(
    prompt: Prompt,
    layout: SlotLayout,
    frame: ChatFrame | None,
    turns: EarlierTurns | None = None,
    *,
    trains_turns: bool = False,
) -> list[Piece]:
    """The pieces of a prompt in order. `frame` is the chat's scaffold around it, `turns` that of its demonstrations.

    `trains_turns`: answers of demonstrations that are to be trained become runs of their own.
    """
    pieces: list[Piece] = []
    parts: list[Part] = [(frame.before, False)] if frame else []

    def flush() -> None:
        if any(text for text, _ in parts):
            pieces.append(Run(tuple(part for part in parts if part[0])))
        parts.clear()

    answers = [segment for segment in prompt.segments if isinstance(segment, Answer)]
    if len(answers) != 1:
        raise InputError(f"one answer wanted in a template, found {len(answers)}")
    for one in prompt.demonstrations:
        for segment in one.segments:
            if isinstance(segment, Text):
                parts.append((segment.text, segment.field is not None))
            elif isinstance(segment, Answer):  # just words, as those of the row
                parts.append((turns.between if turns else "", False))
                if one.trained and segment.text and trains_turns:
                    flush()
                    pieces.append(Run(((_strip_last(pieces) + segment.text, True),), trained=True))
                else:
                    parts.append((segment.text or "", True))
            elif isinstance(segment, Sep):
                flush()
                pieces.append(Separator(earlier=True))
        parts.append((turns.after if turns else prompt.separator, False))
    for segment in prompt.segments:
        if isinstance(segment, Text):
            parts.append((segment.text, segment.field is not None))
            continue
        if isinstance(segment, Soft) and segment.first:
            pieces.insert(0, Slots(layout.indices(segment.slot), first=True))
            continue
        if isinstance(segment, Answer) and frame:
            parts.append((frame.between, False))
        flush()
        if isinstance(segment, Soft):
            pieces.append(Slots(layout.indices(segment.slot), segment.side == "decoder"))
        elif isinstance(segment, Sep):
            pieces.append(Separator())
        else:
            pieces.append(AnswerPlace(_strip_last(pieces)))
    flush()
    return pieces


def _strip_last(pieces: list[Piece]) -> str:
    """Take the trailing spaces off the run that ends `pieces` and return them."""
    if not pieces or not isinstance(run := pieces[-1], Run):
        return ""
    stripped, spaces = run.stripped()
    pieces[-1:] = [stripped] if stripped.parts else []
    return spaces


def leading_slots(pieces: list[Piece]) -> tuple[list[int], list[Piece]]:
    """The table rows of the slots that stand before the tokenizer's own first tokens, and the other pieces."""
    lead = pieces[0] if pieces else None
    return (list(lead.rows), pieces[1:]) if isinstance(lead, Slots) and lead.first else ([], pieces)


def answer_at(pieces: list[Piece]) -> int:
    """The index of the answer's place."""
    return next(i for i, piece in enumerate(pieces) if isinstance(piece, AnswerPlace))
