"""The texts to be clustered: a task's rows, or those of a file."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tunewright.errors import InputError, did_you_mean
from tunewright.evaluation.baselines import baseline_texts
from tunewright.prompts.resolve import choose_templates
from tunewright.runs.prepare import sample
from tunewright.tasks.cleaning import is_id
from tunewright.tasks.open import SPLITS, open_task
from tunewright.tasks.raw import RawSplit
from tunewright.tasks.readers import READERS, read_file, read_text
from tunewright.tasks.task import Rows, Task


@dataclass(frozen=True)
class Texts:
    """Rows and the text of each; `labels` are the task's own, None where it has none.

    `names` are what people call the rows (`id` where the data has one); `notes` are things to be told.
    """

    source: str
    rows: Rows
    texts: list[str]
    fields: tuple[str, ...]
    labels: list[str] | None
    names: list[Any]
    notes: list[str] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.texts)


def read_texts(source: str, *, wanted: str | None, split: str | None, count: int | None, seed: int) -> Texts:
    """The texts of a task (a name, a YAML file) or of a data file; of a .txt file each line is a row.

    `wanted`: the field to read (None: those that the task's default template shows; of a file its only text, or
    `text`). `split`: one of a task's (None: all three). `count`: at most so many rows, drawn with `seed`.
    Raises InputError for a file or task that is none, a field that is none or no text, or rows that are all empty.
    """
    if Path(source).suffix.lower() in READERS:
        if split is not None:
            raise InputError(f"{source}: a file has no splits; --split is for tasks")
        return _filled(_of_file(Path(source), wanted), count, seed)
    return _filled(_of_task(source, wanted, split), count, seed)


def _of_task(source: str, wanted: str | None, split: str | None) -> Texts:
    task = open_task(source)
    parts = [task.split(name) for name in ((split,) if split else SPLITS)]
    columns = {name: [cell for part in parts for cell in part.columns[name]] for name in task.fields}
    rows = Rows(columns, [name for part in parts for name in part.ids])
    fields = _fields_of(task, rows, wanted)
    labels = [str(label) for label in columns[task.target]] if task.kind == "classify" else None
    if wanted is None:
        texts = baseline_texts(task, rows, fields)
    else:
        texts = _texts(rows, wanted, [f"row {name}" for name in rows.ids])
    notes = [f"rows of {split or ', '.join(SPLITS)}"]
    return Texts(task.name, rows, texts, fields, labels, list(rows.ids), notes)


def _fields_of(task: Task, rows: Rows, wanted: str | None) -> tuple[str, ...]:
    if wanted is not None:
        if wanted not in task.fields:
            raise InputError(f"--field: task {task.name} has no field {wanted!r}{did_you_mean(wanted, task.fields)}")
        return (wanted,)
    shown = choose_templates(task, None)[0].fields_used() if task.templates else set(task.fields)
    first = rows[0]
    hidden = {task.target, task.references, "references", "facts"}
    found = tuple(
        name for name in task.fields
        if name in shown and name not in hidden and not is_id(name) and isinstance(first[name], str)
    )  # fmt: skip
    if not found:
        raise InputError(f"task {task.name}: no text field to read; its fields are {', '.join(task.fields)} (--field)")
    return found


def _of_file(path: Path, wanted: str | None) -> Texts:
    raw = _lines(path) if path.suffix.lower() == ".txt" else read_file(path)
    chosen = wanted or _only_text(raw)
    if chosen not in raw.columns:
        raise InputError(f"{path}: no column {chosen!r}; the columns are {', '.join(raw.columns)}")
    rows = Rows(raw.columns, [str(number) for number in raw.numbers])
    own = raw.columns.get("id")
    names = [number if name is None else name for number, name in zip(raw.numbers, own or [None] * len(raw))]
    texts = _texts(rows, chosen, [raw.place(i) for i in range(len(raw))])
    return Texts(str(path), rows, texts, (chosen,), None, names)


def _lines(path: Path) -> RawSplit:
    lines = read_text(path).split("\n")
    if not any(line.strip() for line in lines):
        raise InputError(f"{path}: the file is empty")
    if not lines[-1]:
        lines.pop()
    return RawSplit({"text": list(lines)}, str(path), range(1, len(lines) + 1))


def _only_text(raw: RawSplit) -> str:
    """The column `text`, or the only one that holds texts."""
    found = [
        name
        for name, cells in raw.columns.items()
        if not is_id(name) and any(isinstance(cell, str) for cell in cells)
        and all(cell is None or isinstance(cell, str) for cell in cells)
    ]  # fmt: skip
    if "text" in found:
        return "text"
    if len(found) == 1:
        return found[0]
    if not found:
        raise InputError(f"{raw.where}: no text field; the columns are {', '.join(raw.columns)}")
    raise InputError(f"{raw.where}: which column is the text? name it with --field: {', '.join(found)}")


def _texts(rows: Rows, name: str, places: Sequence[str]) -> list[str]:
    cells = rows.columns[name]
    for cell, place in zip(cells, places):
        if cell is not None and not isinstance(cell, str):
            raise InputError(f"{place}: field {name!r} holds {cell!r}; a text is wanted")
    return ["" if cell is None else cell for cell in cells]


def _filled(found: Texts, count: int | None, seed: int) -> Texts:
    """Without the rows that have no text, and of the others at most `count`."""
    kept = [i for i, text in enumerate(found.texts) if text.strip()]
    notes = list(found.notes)
    if not kept:
        raise InputError(f"{found.source}: every row is empty (nothing in {', '.join(found.fields)})")
    if len(kept) < len(found):
        notes.append(f"empty rows skipped: {len(found) - len(kept)}")
    if count is not None and count < len(kept):
        notes.append(f"{count} of {len(kept)} rows, drawn with seed {seed}")
        drawn = sample(Rows({"at": kept}, [str(i) for i in kept]), count, seed)
        kept = sorted(drawn.columns["at"])
    labels = None if found.labels is None else [found.labels[i] for i in kept]
    return Texts(
        found.source, found.rows.take(kept), [found.texts[i] for i in kept], found.fields, labels,
        [found.names[i] for i in kept], notes,
    )  # fmt: skip
