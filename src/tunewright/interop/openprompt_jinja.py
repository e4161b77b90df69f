"""The pieces of an OpenPrompt template as Jinja text of ours."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from tunewright.errors import InputError
from tunewright.interop.openprompt_lambda import processed, quoted
from tunewright.interop.openprompt_parse import Piece
from tunewright.prompts.softcalls import LONGEST_SLOT

_SEPARATORS = ("<sep>", "<eos>")
_MOST_SAME = 1_000
_OWN = ("answer", "sep", "soft")


@dataclass
class Fields:
    """What `text_a`, `text_b` and `meta` names are called here; `read` are the fields that templates read.

    A name that stands for nothing (`""`) is left out of a template, with the space before it.
    """

    names: dict[str, str] = field(default_factory=dict)
    read: dict[str, None] = field(default_factory=dict)

    def of(self, name: str) -> str:
        """Our field. Raises InputError for one that a template cannot name."""
        ours = self.names.get(name, name)
        if not ours:
            return ""
        if not ours.isidentifier() or ours in _OWN:
            raise InputError(
                f"{ours!r} cannot be a field of a template here: give it another name (--field {name}=NAME)"
            )
        self.read[ours] = None
        return ours


@dataclass
class _Writer:
    fields: Fields
    name: str
    spaced: bool
    notes: dict[str, None]
    text: str = ""
    groups: dict[int, tuple[str, int]] = field(default_factory=dict)  # soft_id: (our call, how often)
    pending: int = 0  # unnamed slots not written yet

    def add(self, piece: Piece) -> None:
        """Write one piece behind the others."""
        if "shortenable" in piece.options and _told_to_keep(piece):
            self.notes["shortenable: here the longest field is shortened first, and template words never"] = None
        if piece.kind == "soft":
            self._soft(piece)
            return
        self._flush()
        written = self._written(piece)
        if written:
            space = piece.space
            if piece.kind == "mask":
                space = self.spaced and (space if not self.text else not self.text[-1].isspace())
            self.text += (" " if space else "") + written

    def finish(self) -> str:
        """The text; Jinja would drop an end of line at its very end."""
        self._flush()
        return self.text + ('{{ "" }}' if self.text.endswith("\n") else "")

    def _written(self, piece: Piece) -> str:
        if piece.kind == "mask":
            return "{{ answer }}"
        if piece.kind == "text":
            return _literal(piece.value)
        if piece.kind == "special":
            if piece.value not in _SEPARATORS:
                raise InputError(f"special {piece.value!r} has no form here ({', '.join(_SEPARATORS)} have)")
            if piece.value == "<eos>":
                self.notes["special <eos>: {{ sep }} here, which is the model's own separator or a new line"] = None
            return "{{ sep }}"
        if piece.kind == "placeholder" and piece.value not in ("text_a", "text_b"):
            raise InputError(f"placeholder {piece.value!r}: only text_a and text_b are a row's input")
        ours = self.fields.of(piece.value)
        if not ours:
            return ""
        code = piece.options.get("post_processing")
        if code is None:
            return f"{{{{ {ours} }}}}"
        if not isinstance(code, str):
            raise InputError(f"post_processing: a lambda wanted, found {code!r:.40}")
        return "".join(_literal(part) if words else f"{{{{ {part} }}}}" for words, part in processed(code, ours))

    # Slots

    def _soft(self, piece: Piece) -> None:
        words, number = piece.value, piece.options.get("soft_id")
        if words is not None and not isinstance(words, str):
            raise InputError(f"soft: words or nothing wanted, found {words!r:.40}")
        if number is None and not words:
            count, times = _count(piece)
            if times == 1:
                self.pending += count
                if self.pending > LONGEST_SLOT:
                    raise InputError(f"{self.pending} slots in a row (at most {LONGEST_SLOT})")
                return
            self._flush()
            slot = f"{self.name}/same{self.text.count('soft(') + 1}"
            self.text += f'{{{{ soft(1, slot="{slot}") }}}}' * times
            return
        self._flush()
        if number is None:
            self.text += f"{{{{ soft({quoted(_spaced(piece))}) }}}}"
            return
        if isinstance(number, bool) or not isinstance(number, int) or number < 1:
            raise InputError(f"soft_id: a whole number from 1 wanted, found {number!r:.40}")
        if number not in self.groups:
            count, times = _count(piece)
            what = quoted(_spaced(piece)) if words else str(count)
            self.groups[number] = (f'{{{{ soft({what}, slot="{self.name}/soft{number}") }}}}', 1 if words else times)
        call, times = self.groups[number]
        self.text += call * times

    def _flush(self) -> None:
        if self.pending:
            self.text += f"{{{{ soft({self.pending}) }}}}"
            self.pending = 0


def jinja_of(
    pieces: Sequence[Piece],
    fields: Fields,
    *,
    name: str = "",
    spaced: bool = True,
    notes: dict[str, None] | None = None,
) -> str:
    """Jinja text of ours. `name` begins its shared groups of slots; `notes` gets what has no meaning here.

    `spaced`: a space stands before `{{ answer }}` whatever the file has, for OpenPrompt puts one before each label
    word; without it none does (`<!>`). A space before slots is nothing there, so it is left out.
    Raises InputError for what cannot be written.
    """
    writer = _Writer(fields, name, spaced, {} if notes is None else notes)
    for piece in pieces:
        writer.add(piece)
    return writer.finish()


def _literal(text: str) -> str:
    """Words that Jinja prints as they are."""
    if "|||" in text:
        raise InputError("`|||` in the text: here it stands between prompt and target")
    return text.replace("{", "{{ '{' }}")


def _spaced(piece: Piece) -> str:
    return (" " if piece.space else "") + str(piece.value)


def _told_to_keep(piece: Piece) -> bool:
    """Whether `shortenable` asks for another thing than what is done here."""
    return bool(piece.options["shortenable"]) != (piece.kind in ("placeholder", "meta"))


def _count(piece: Piece) -> tuple[int, int]:
    """How many slots, and how often one and the same stands there."""
    count = piece.options.get("duplicate", 1)
    if isinstance(count, bool) or not isinstance(count, int) or not 1 <= count <= LONGEST_SLOT:
        raise InputError(f"duplicate: 1 to {LONGEST_SLOT} slots wanted, found {count!r:.40}")
    if not piece.options.get("same"):
        return count, 1
    if count > _MOST_SAME:
        raise InputError(f"duplicate: one slot {count} times over (at most {_MOST_SAME})")
    return 1, count
