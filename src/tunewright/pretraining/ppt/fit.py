"""Long pairs are cut in proportion (Gu et al. 2022): each text keeps the same share of its tokens."""

from tunewright.errors import InputError
from tunewright.pretraining.ppt.forms import Form
from tunewright.runs.prepare import Prepared
from tunewright.tasks.task import Row, Rows

_SPARE = 2  # tokens; texts and words may be cut into other tokens where they meet


class PairCut:
    """Cuts `text_a` and `text_b` of a row to what `training.max_tokens` leaves them, at the end of a word.

    What is still too long (many options), or no pair, is cut as everywhere: the longest field first.
    """

    def __init__(self, prepared: Prepared, form: Form) -> None:
        self.text = prepared.backbone.text
        self.count = 0
        self.room: int | None = None
        probes = form.probes()
        if not probes:
            return
        encoder = prepared.encoder(rows_of(probes, "shortest"))
        views = [view for example in encoder.examples(range(len(probes)), 0, "answer") if example
                 for view in example.views]  # fmt: skip
        frame = max((len(view.ids) for view in views), default=0) - 2 * len(self.text.ids_of_words("a"))
        limit = min(prepared.recipe.training.max_tokens, prepared.backbone.positions())
        self.room = limit - frame - _SPARE
        if self.room < 2:
            raise InputError(
                f"training.max_tokens: the template and the prompt's slots take {frame} of {limit} tokens; "
                "no room for two sentences is left"
            )

    def __call__(self, row: Row) -> Row:
        """The row, its pair cut."""
        if self.room is None or not row["text_b"]:
            return row
        starts = {name: self.text.starts(row[name]) for name in ("text_a", "text_b")}
        total = sum(map(len, starts.values()))
        if total <= self.room:
            return row
        self.count += 1
        keep = {name: max(1, len(found) * self.room // total) for name, found in starts.items()}
        return row | {name: _cut(row[name], found, keep[name]) for name, found in starts.items()}


def _cut(text: str, starts: list[int], keep: int) -> str:
    """The first `keep` tokens of a text without a last half word."""
    if keep >= len(starts):
        return text
    end = starts[keep]
    cut = text[:end]
    if not text[end].isspace() and not cut[-1:].isspace() and " " in cut:
        cut = cut[: cut.rindex(" ")]
    return cut.rstrip()


def rows_of(rows: list[Row], name: str) -> Rows:
    """Rows from dicts of the same fields; their ids are `NAME-0`, `NAME-1` …"""
    fields = rows[0] if rows else {}
    return Rows({field: [row[field] for row in rows] for field in fields}, [f"{name}-{i}" for i in range(len(rows))])
