"""The rows that in-context examples are taken from: made of a task's training rows, kept beside what a run tuned."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tunewright.backbones.vectors import SentenceVectors
from tunewright.errors import InputError
from tunewright.files import write_jsonl
from tunewright.methods.base import Method
from tunewright.mixtures.stream import SEPARATOR
from tunewright.prompts.demonstrations import Demonstrations, Demonstrator, PoolRow, answered, draw
from tunewright.prompts.detached import without_slots
from tunewright.prompts.segments import Answer, Segment, Sep, Text
from tunewright.prompts.template import Template
from tunewright.seeds import numpy_random, seed_of
from tunewright.tasks.shots import draw_shots
from tunewright.tasks.task import Rows, Task

if TYPE_CHECKING:
    from tunewright.runs.prepare import Opened

FILE = "demonstrations.jsonl"
SHOWN_FROM = 1000  # training rows that a recipe's exemplars are drawn from, drawn with a fixed seed


def demonstrator_of(method: Method, one: "Opened", pool: Sequence[PoolRow] | None) -> Demonstrator | None:
    """What shows training rows before a task's questions: the method, or (`exemplars`) the recipe for every model.

    The recipe's are drawn for each row with a fixed seed, so that all models and seeds are asked the same.
    Raises InputError where both want to.
    """
    wanted, seed, count = method.demonstrations(), one.recipe.training.seed, one.recipe.exemplars
    rows = one.task.split("train") if pool is None and (wanted or count) else None
    if count:
        if wanted is not None:
            raise InputError(
                f"method {one.recipe.method['name']}: it shows training rows itself; exemplars: [0] leaves others out"
            )
        wanted, seed = Demonstrations(count, "random", True, "random", SEPARATOR), 0
        if rows is not None and len(rows) > SHOWN_FROM:
            rows = draw_shots(rows, "generate", None, SHOWN_FROM, seed)
    if wanted is None:
        return None
    if pool is None:
        assert rows is not None
        pool = pool_of(one.task, rows, one.templates, wanted, seed)
    return Demonstrator(wanted, pool, seed, SentenceVectors())


def pool_of(task: Task, rows: Rows, templates: Sequence[Template], wanted: Demonstrations, seed: int) -> list[PoolRow]:
    """The training rows that may be shown, in their order: for `fixed` those that will be, else all.

    Rows that a template skips are left out. Raises InputError where fewer than `examples` are left.
    """
    labels = [str(label) for label in rows.columns[task.target]] if task.kind == "classify" else [None] * len(rows)
    rendered: dict[int, tuple[tuple[Segment, ...], ...] | None] = {}

    def usable(index: int) -> bool:
        rendered[index] = _rendered(rows, index, templates, seed)
        return rendered[index] is not None

    if wanted.choose == "fixed":
        order = numpy_random("demonstrations", "fixed", seed).permutation(len(rows)).tolist()
        balanced = wanted.balanced and task.kind == "classify"
        taken = sorted(draw(order, labels, wanted.examples, balanced=balanced, allowed=usable))
    else:
        taken = [index for index in range(len(rows)) if usable(index)]
    if len(taken) < wanted.examples:
        raise InputError(
            f"method.examples: {wanted.examples} wanted, task {task.name} has {len(taken)} training rows to show "
            "(see shots)"
        )
    return [PoolRow(rows.ids[index], labels[index], rendered[index] or ()) for index in taken]


def _rendered(
    rows: Rows, index: int, templates: Sequence[Template], seed: int
) -> tuple[tuple[Segment, ...], ...] | None:
    """A row with its answer in every template; None where one of them skips it."""
    found = []
    for template in templates:
        prompt = template.render(rows[index], seed=seed_of(seed, rows.ids[index]) % 2**32)
        if prompt is None:
            return None
        found.append(answered(without_slots(prompt)))
    return tuple(found)


def write_pools(file: Path, pools: Sequence[tuple[Task, Sequence[Template], Sequence[PoolRow]]]) -> None:
    """A line a row: its task, id, label, and its segments in each template."""
    write_jsonl(
        file,
        [
            {
                "task": task.name,
                "id": row.row,
                "label": row.label,
                "rendered": {t.name: [_to_json(s) for s in segments] for t, segments in zip(templates, row.rendered)},
            }
            for task, templates, pool in pools
            for row in pool
        ],
    )


def read_pools(file: Path, parts: Sequence[tuple[Task, Sequence[Template]]]) -> list[list[PoolRow]]:
    """The inverse, a pool a task. Raises InputError where the file is missing or another program's."""
    try:
        lines = file.read_text(encoding="utf-8").splitlines()
    except OSError:
        raise InputError(f"{file}: no such file: the run keeps its in-context examples there") from None
    pools: dict[str, list[PoolRow]] = {task.name: [] for task, _ in parts}
    templates = {task.name: [template.name for template in mine] for task, mine in parts}
    for number, text in enumerate(lines, 1):
        try:
            line = json.loads(text)
            rendered = tuple(tuple(map(_from_json, line["rendered"][name])) for name in templates[line["task"]])
            pools[line["task"]].append(PoolRow(line["id"], line["label"], rendered))
        except (json.JSONDecodeError, KeyError, TypeError) as error:
            raise InputError(f"{file} line {number}: not written by this program ({error!r:.60})") from None
    return list(pools.values())


def _to_json(segment: Segment) -> dict[str, Any]:
    if isinstance(segment, Text):
        return {"text": segment.text, **({"field": segment.field} if segment.from_row else {})}
    return {"answer": segment.text} if isinstance(segment, Answer) else {"sep": True}


def _from_json(value: dict[str, Any]) -> Segment:
    if "answer" in value:
        return Answer(trained=False, text=value["answer"])
    return Sep() if "sep" in value else Text(value["text"], value.get("field"))
