"""`tunewright predict`: a tuned model's answers for new rows."""

import json
import math
import sys
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tunewright.cli.options import Json, RunPath
from tunewright.cli.showing import finite, show_json
from tunewright.console import say

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tunewright.evaluation.predictions import Prediction
    from tunewright.runs.at_endpoint import Ready
    from tunewright.tasks.raw import RawSplit
    from tunewright.tasks.task import Rows, Task


def predict(
    run: RunPath,
    file: Annotated[
        Path,
        typer.Argument(
            metavar="FILE", help="Rows as JSONL, CSV, TSV, Parquet, JSON; a .txt file is one row.", show_default=False
        ),
    ],
    also: Annotated[
        list[Path],
        typer.Option(
            "--also",
            metavar="RUN",
            help="Another run with a soft prompt on the same model. Can be given several times.",
        ),
    ] = [],  # noqa: B006
    task: Annotated[
        str | None, typer.Option("--task", help="The task of all rows (default: each row's field `task`).")
    ] = None,
    output: Annotated[
        Path | None, typer.Option("--output", help="Write the answers to this JSONL file (default: print them).")
    ] = None,
    as_json: Json = False,
) -> None:
    """Answer new rows, one JSON line a row in the file's order.

    The rows need the fields that the template shows, under the task's names or the data's column names; no answers.
    A blank row has the prediction null. With several tasks (a run of several, or --also) a row's field `task` says
    whose prompt answers it; rows of different tasks share batches.
    """
    from tunewright.files import write_text
    from tunewright.runs.joined import join
    from tunewright.runs.kept import load_answering
    from tunewright.runs.scores import left_out, of_tags
    from tunewright.tasks.readers import read_file

    raw = read_file(file)
    if also:
        parts: Mapping[str, Ready] = join([run, *also]).parts
    else:
        parts = {part.task.name: part for part in load_answering(run).parts}
    lines, counts = _answers(parts, raw, _rows_of_tasks(parts, raw, task))
    said = {
        "skipped": "blank, without an answer",
        "shortened": "cut to training.max_tokens",
        "no number": "no number",
        "no choice": "the answer names none of the choices",
    }
    for key, text in said.items():
        if counts[key]:
            say(f"{counts[key]} of {len(lines)} rows: {text}")
    for told in of_tags(counts):
        say(told)
    if dropped := left_out(counts):
        say(f"{dropped} of {len(lines)} rows")
    if output is not None:
        write_text(output, "".join(json.dumps(finite(line), ensure_ascii=False) + "\n" for line in lines))
        say(f"written: {output} ({len(lines)} rows)")
    if as_json:
        place = {"predictions": lines} if output is None else {"output": str(output)}
        show_json({"rows": len(lines), "skipped": counts["skipped"], "shortened": counts["shortened"], **place})
    elif output is None:
        for line in lines:
            sys.stdout.write(json.dumps(finite(line), ensure_ascii=False) + "\n")


def _rows_of_tasks(parts: "Mapping[str, Ready]", raw: "RawSplit", task: str | None) -> dict[str, list[int]]:
    """Which rows each task answers. Raises InputError naming the row that names no task, or none of these."""
    from tunewright.errors import InputError, did_you_mean

    if task is not None and task not in parts:
        raise InputError(f"--task: {task!r} is no task of this{did_you_mean(task, parts)}")
    if task is not None or len(parts) == 1:
        return {task or next(iter(parts)): list(range(len(raw)))}
    found: dict[str, list[int]] = {}
    for i, name in enumerate(raw.columns.get("task", [None] * len(raw))):
        if name is None:
            raise InputError(f"{raw.place(i)}: no field task (one of {', '.join(parts)}); or give --task")
        if name not in parts:
            raise InputError(f"{raw.place(i)}: task {name!r} is none of these runs'{did_you_mean(str(name), parts)}")
        found.setdefault(name, []).append(i)
    return found


def _answers(
    parts: "Mapping[str, Ready]", raw: "RawSplit", rows_of: dict[str, list[int]]
) -> tuple[list[dict[str, Any]], "Counter[str]"]:
    """A line a row in the file's order, and what was counted on the way."""
    from tunewright.evaluation.scoring import Asked, predict_all
    from tunewright.runs.scores import asking_for

    asked = []
    for name, indices in rows_of.items():
        part, mine = parts[name], raw.take(indices)
        rows = new_rows(part, mine)
        render_all(part, rows, mine)
        asked.append(Asked(part.encoder(rows), part.task, asking_for(part), name))
    tuner = next(iter(parts.values())).tuner
    found = {p.id: p for predictions in predict_all(tuner, asked, "predicting") for p in predictions}
    task_of = {i: parts[name].task for name, indices in rows_of.items() for i in indices}
    names = _names(raw)
    lines = [_line(names[i], found.get(str(number)), task_of[i]) for i, number in enumerate(raw.numbers)]
    if len(parts) > 1:
        lines = [{"task": task_of[i].name, **line} for i, line in enumerate(lines)]
    return lines, sum((one.encoder.counts for one in asked), Counter())


def new_rows(prepared: "Ready", raw: "RawSplit") -> "Rows":
    """The fields that the templates read. Raises InputError naming the file and the column or row that lacks one."""
    from tunewright.tasks.mapping import map_fields
    from tunewright.tasks.task import Rows

    task = prepared.task
    wanted = set().union(*(template.fields_used() for template in prepared.templates))
    wanted |= {"choose": {"choices"}, "tag": {"tokens"}}.get(task.kind, set())
    columns = columns_of(prepared)
    fields = {name: columns.get(name, name) for name in task.fields if name in wanted - {task.target, task.references}}
    mapped = map_fields(raw, fields)
    for name in {"choices", "tokens"} & set(fields):
        mapped.columns[name] = _lists(mapped, name)
    return Rows(mapped.columns, [str(number) for number in raw.numbers])


def _lists(raw: "RawSplit", name: str) -> list[list[str]]:
    from tunewright.errors import InputError
    from tunewright.tasks.answers import as_list

    found = []
    for i, cell in enumerate(raw.columns[name]):
        try:
            found.append([str(part) for part in as_list(cell, name)])
        except ValueError as error:
            raise InputError(f"{raw.place(i)}: {error}") from None
    return found


def columns_of(prepared: "Ready") -> dict[str, str | list[str]]:
    """Our field name: the data's column (or several), as the recipe's task has them; none if its file is gone."""
    from tunewright.errors import InputError
    from tunewright.tasks.open import resolve

    try:
        return dict(resolve(prepared.recipe.one_task).fields)
    except InputError:
        return {}


def render_all(prepared: "Ready", rows: "Rows", raw: "RawSplit") -> None:
    """Say which row a template cannot read, before the model is asked about any."""
    from tunewright.errors import InputError

    for i, row in enumerate(rows):
        for template in prepared.templates:
            try:
                template.render(row)
            except InputError as error:
                raise InputError(f"{raw.place(i)}: {error}") from None


def _names(raw: "RawSplit") -> list[Any]:
    """The data's own `id` of each row, else the row's number in the file."""
    ids = raw.columns.get("id", [None] * len(raw))
    return [number if name is None else name for name, number in zip(ids, raw.numbers)]


def _line(name: Any, prediction: "Prediction | None", task: "Task") -> dict[str, Any]:
    """One row's answer. `scores` are probabilities among the choices."""
    from tunewright.tasks.tagging import entities

    if prediction is None:
        return {"id": name, "prediction": None}
    line: dict[str, Any] = {"id": name, "prediction": prediction.prediction}
    if prediction.scores is not None:
        line["scores"] = dict(zip(prediction.choices, _softmax(prediction.scores)))
    if task.kind == "tag":
        tags = [str(tag) for tag in prediction.predicted_tags or ()]
        line["entities"] = entities(prediction.tokens or (), tags)
        line["tags"] = tags
    return line


def _softmax(scores: tuple[float, ...]) -> list[float]:
    top = max(scores)
    weights = [math.exp(score - top) for score in scores]
    return [weight / sum(weights) for weight in weights]
