"""A prompt in colours, for people: template words plain, the row's text cyan, slots magenta, the answer green."""

from typing import TYPE_CHECKING

from tunewright.prompts.segments import Answer, Prompt, Sep, Soft, Text

if TYPE_CHECKING:
    import rich.text


def render_rich(prompt: Prompt, answer: str | None = None) -> "rich.text.Text":
    """`prompt` with `answer` (none: its target) at its place and `‹soft:plain/1×20›` for slots.

    In a chat an answer is a turn of its own: a new line that says so.
    """
    import rich.text

    shown = rich.text.Text()
    for segment in prompt.whole:
        if isinstance(segment, Text):
            shown.append(segment.text, "cyan" if segment.from_row else None)
        elif isinstance(segment, Soft):
            size = f"×{segment.length}" if segment.length is not None else f"={segment.words}"
            shown.append(f"‹soft:{segment.slot}{size}›", "magenta")
        elif isinstance(segment, Sep):
            shown.append("‹sep›", "dim")
        elif isinstance(segment, Answer):
            if prompt.chat:
                shown.append("\n‹assistant› ", "dim")
            text = segment.text if segment.text is not None else (prompt.target if answer is None else answer)
            shown.append(text or "‹answer›", "bold green")
    return shown
