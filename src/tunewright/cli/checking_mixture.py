"""What `tunewright check` finds out of a recipe with a mixture: shares, the tasks asked, an example of each format."""

from dataclasses import replace
from statistics import median
from typing import TYPE_CHECKING, Any

from tunewright.cli.showing import list_table, show
from tunewright.methods.base import Method
from tunewright.mixtures.report import asked
from tunewright.recipe import Recipe
from tunewright.runs.first_look import first_look
from tunewright.runs.held_out import held_out_json, left_out_notes, with_asked
from tunewright.runs.memory import facts as memory_facts
from tunewright.runs.merged import load_model
from tunewright.runs.mixture import RunMixture, mixture_rows, open_mixture, samples
from tunewright.runs.prepare import Prepared, assemble_all, open_tasks
from tunewright.runs.several_templates import check_evaluation

if TYPE_CHECKING:
    from tunewright.prompts.segments import Prompt

_MEASURED = 200


def check_mixture_recipe(
    recipe: Recipe, method: Method, with_model: bool
) -> "tuple[dict[str, Any], list[tuple[str, str, Prompt]]]":
    """Facts, and (row, template and format, prompt) of one example for each. Raises InputError for what is wrong."""
    recipe = with_asked(recipe)
    opened = open_tasks(recipe)
    check_evaluation(opened)
    backbone = load_model(recipe.local_model) if with_model else None
    mixture = open_mixture(recipe, backbone)
    assert mixture is not None
    facts: dict[str, Any] = {
        "method": recipe.method,
        "model": {"name": recipe.model_name},
        "mixture": _mixture(recipe, mixture),
        "asked": [
            {
                "task": one.task.name,
                "kind": one.task.kind,
                "rows": len(one.task.split(recipe.evaluation.split)),
                "templates": [template.name for template in one.templates],
                "metrics": list(recipe.evaluation.metrics or one.task.metrics),
                "in_mixture": any(member.task.name == one.task.name for member in mixture.train.members),
            }
            for one in opened
        ],
        "memory": None,
    }
    if recipe.held_out is not None:
        facts["held_out"] = held_out_json(recipe, [one.task for one in opened], mixture)
    if backbone is not None:
        prepared = replace(assemble_all(recipe, opened, method, backbone), mixture=mixture)
        first_look(prepared)
        facts["model"] |= _tokens(prepared)
        facts["memory"] = memory_facts(prepared)
    shown = [(row, f"{template} ({what})", prompt) for row, template, what, prompt in samples(mixture)]
    facts["prompts"] = [
        {"id": row, "template": template, "prompt": prompt.text(), "target": prompt.target}
        for row, template, prompt in shown
    ]
    return facts, shown


def _mixture(recipe: Recipe, mixture: RunMixture) -> dict[str, Any]:
    train = mixture.train
    shares: dict[str, float] = {}
    for (m, w, what), share in asked(train).items():
        name = f"{train.members[m].wordings[w].kind}, {what}"
        shares[name] = shares.get(name, 0.0) + share
    return {
        "name": recipe.mixture_name,
        "epoch": len(train),
        "notes": mixture.notes,
        "tasks": [
            {
                "task": member.name,
                "kind": member.task.kind,
                "rows": member.used,
                "examples": int(count),
                "share": int(count) / len(train),
                "templates": len(member.wordings),
            }
            for member, count in zip(train.members, train.counts)
        ],
        "formats": shares,
    }


def _tokens(prepared: Prepared) -> dict[str, Any]:
    """Token counts of the first examples, and how many of them are cut."""
    rows, long = mixture_rows(prepared), mixture_rows(prepared)
    long.max_tokens = prepared.backbone.positions()
    some = range(min(_MEASURED, len(rows)))
    cut = sum(e.shortened or e.dropped > 0 for e in rows.examples(some, 0, "answer") if e is not None)
    too_long = rows.counts["too long"]
    tokens = [e.tokens for e in long.examples(some, 0, "answer") if e is not None]
    return {
        "family": prepared.family,
        "parameters": sum(p.numel() for p in prepared.backbone.model.parameters()),
        "tokens": {"rows": len(tokens), "min": min(tokens), "median": median(tokens), "max": max(tokens)},
        "max_tokens": prepared.recipe.training.max_tokens,
        "cut": cut,
        "too_long": too_long,
    }


def show_mixture(facts: dict[str, Any]) -> None:
    """Tables of the mixture's tasks, of its formats, and of the tasks asked."""
    mixture, model = facts["mixture"], facts["model"]
    table = list_table("task", "kind", "rows", "templates", "an epoch", "share")
    for one in mixture["tasks"]:
        table.add_row(
            one["task"], one["kind"], str(one["rows"]), str(one["templates"]), str(one["examples"]),
            f"{100 * one['share']:.1f} %",
        )  # fmt: skip
    show(f"mixture {mixture['name']}: {mixture['epoch']} examples an epoch, of {len(mixture['tasks'])} tasks")
    show(table)
    for note in mixture["notes"]:
        show(f"note: {note}")
    formats = list_table("format", "share")
    for name, share in sorted(mixture["formats"].items(), key=lambda item: -item[1]):
        formats.add_row(name, f"{100 * share:.1f} %")
    show(formats)
    tasks = list_table("asked", "kind", "rows", "templates", "metrics", "in the mixture")
    for one in facts["asked"]:
        tasks.add_row(
            one["task"], one["kind"], str(one["rows"]), ", ".join(one["templates"]), ", ".join(one["metrics"]),
            "yes" if one["in_mixture"] else "no",
        )  # fmt: skip
    show(tasks)
    if "held_out" in facts:
        _show_held_out(facts["held_out"])
    if "tokens" in model:
        tokens = model["tokens"]
        show(
            f"tokens an example: {tokens['min']} to {tokens['max']}, median {tokens['median']:g} ({tokens['rows']} "
            f"looked at); {model['cut']} lose exemplars or row text at training.max_tokens ({model['max_tokens']}), "
            f"{model['too_long']} have a longer answer and are left out"
        )


def _show_held_out(said: dict[str, Any]) -> None:
    """What was left out, and a row for each held-out task with its overlap and an example of it."""
    for line in left_out_notes(said):
        show(line)
    table = list_table("held out", "cluster", "asked with exemplars", "rows", "too short", "overlap", "e.g.")
    for name, overlap in said["overlap"].items():
        asked = [one for one in said["asked"] if one["task"] == name]
        first = next(iter(overlap["examples"]), None)
        table.add_row(
            name, asked[0]["cluster"], ", ".join(str(one["exemplars"]) for one in asked), str(overlap["rows"]),
            str(overlap["short"]), f"{overlap['overlapping']} ({100 * overlap['share']:.1f} %)",
            f"{first['member']} {first['row']}: {first['words']}" if first else "",
        )  # fmt: skip
    show(table)
