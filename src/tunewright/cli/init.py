"""`tunewright init`: a recipe from a data file."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tunewright.cli.showing import show
from tunewright.console import say

if TYPE_CHECKING:
    from tunewright.cli.guess import Guess


def init(
    data: Annotated[
        Path, typer.Argument(metavar="DATAFILE", help="A data file, or a folder of them.", show_default=False)
    ],
    output: Annotated[Path, typer.Option("--output", help="Where to write the recipe.")] = Path("recipe.yaml"),
    model: Annotated[
        str, typer.Option("--model", help="A catalog name, a hub id, a folder.")
    ] = "smollm2-135m-instruct",
    method: Annotated[str, typer.Option("--method", help="How to tune.")] = "prompt-tuning",
) -> None:
    """Write a recipe for a file of yours, from the columns it has.

    It guesses what is to be learnt, and says so; correct the recipe where the guess is wrong.
    """
    from tunewright.cli.guess import guess
    from tunewright.errors import InputError, did_you_mean
    from tunewright.files import write_text
    from tunewright.methods.registry import METHODS
    from tunewright.tasks.folders import read_path

    if output.exists():
        raise InputError(f"{output}: already there; it is not written over (--output names another file)")
    if method not in METHODS:
        raise InputError(f"unknown method {method!r}{did_you_mean(method, METHODS)}")
    splits = [read() for read in read_path(data).values()]
    first = splits[0].columns
    for split in splits[1:]:
        first = {name: [*cells, *split.columns[name]] for name, cells in first.items() if name in split.columns}
    found = guess(first, str(data))
    text = recipe_text(data, found, model, method)
    write_text(output, text)
    show(f"{data}: {found.kind} ({found.why})")
    show(f"fields: {', '.join(f'{ours} (column {theirs})' for ours, theirs in found.fields.items())}")
    if found.left_out:
        show(f"left out: {', '.join(found.left_out)}")
    _try(output)
    show(f"written: {output}")
    show(f"next: tunewright check {output}")


def _try(recipe: Path) -> None:
    """Open the task as written, and say what stands in its way."""
    from tunewright.errors import InputError
    from tunewright.prompts.resolve import choose_templates
    from tunewright.recipe import load_recipe
    from tunewright.tasks.open import open_task

    try:
        loaded = load_recipe(recipe)
        task = open_task(loaded.one_task)
        for template in choose_templates(task, loaded.template):
            template.render(task.split("train")[0])
    except InputError as error:
        say(f"still to be put right in the data or the recipe: {error}")


def recipe_text(data: Path, found: "Guess", model: str, method: str) -> str:
    """The recipe with a comment on each key that one may want to change."""
    lines = [
        f"# Written by `tunewright init {data}`: read it, correct it, then `tunewright check` it.",
        f"model: {_yaml(model)}  # a name of `tunewright list models`, a hub id, or a folder",
        "task:",
        f"  path: {_yaml(str(data))}",
        f"  kind: {found.kind}  # classify, choose, regress, generate or tag",
        f"  fields: {_yaml(found.fields)}  # our name: the column",
    ]
    if found.labels is not None:
        lines.append(f"  labels: {_yaml(found.labels)}")
    if found.kind == "classify":
        lines += [
            "  # The words that the model is asked for, where the labels themselves are no good words:",
            f"  # label_words: {_yaml({str(label): 'WORD' for label in (found.labels or [])[:2]})}",
        ]
    if found.kind == "regress":
        step = 1 if float(found.low).is_integer() and float(found.high).is_integer() else (found.high - found.low) / 20
        numbers = _yaml({"low": found.low, "high": found.high, "step": step})
        lines += [
            "  # The model writes a number; with this line it chooses among these (all targets lie within them):",
            f"  # numbers: {numbers}",
        ]
    lines.append("  templates:")
    for name, jinja in _templates(found).items():
        lines.append(f"    {name}: {_quoted(jinja)}")
    lines += [
        "template: plain  # or a list: each row draws one",
        "# shots: 32  # so many training rows a class (in all, without classes); without it: all rows",
        f"method: {{name: {method}}}  # `tunewright show method {method}` lists its settings",
        "training: {steps: 200, batch_size: 8, max_tokens: 512, seed: 0}  # learning_rate: auto tries three",
        "evaluation: {split: test, rows: 200}",
    ]
    return "\n".join(lines) + "\n"


def _templates(found: "Guess") -> dict[str, str]:
    """Two wordings; `{{ answer }}` is where the model answers."""
    one = len(found.inputs) == 1
    texts = "\n".join(f"{{{{ {n} }}}}" if one else f"{_title(n)}: {{{{ {n} }}}}" for n in found.inputs)
    asked = _title(found.fields[found.target])
    if found.kind == "classify":
        short = len(found.labels or []) <= 12
        which = "Which of these fits: {{ answer_choices | join(', ') }}?" if short else "What fits best?"
        wordings = {"plain": f"{texts}\n{asked}: ", "question": f"{texts}\n\n{which}\nAnswer: "}
    elif found.kind == "choose":
        options = "{% for choice in choices %}- {{ choice }}\n{% endfor %}"
        wordings = {"plain": f"{texts}\nAnswer: ", "options": f"{texts}\n{options}The right one is: "}
    elif found.kind == "tag":
        words = "{{ tokens | join(' ') }}"
        request = "List the names in the sentence, each with its type."
        wordings = {"plain": f"{words}\nNames: ", "request": f"{request}\n{words}\nList: "}
    elif found.kind == "regress":
        ask = f"Give a number from {found.low:g} to {found.high:g}."
        wordings = {"plain": f"{texts}\n{asked}: ", "number": f"{texts}\n\n{ask}\n{asked}: "}
    else:
        request = f"Read this and write the {asked.lower()}."
        wordings = {"plain": f"{texts}\n\n{asked}: ", "request": f"{request}\n\n{texts}\n\n{asked}:\n"}
    return {name: text + "{{ answer }}" for name, text in wordings.items()}


def _title(name: str) -> str:
    words = name.replace("_", " ").replace("-", " ").strip()
    words = words.replace("{", "").replace("}", "").replace("|", "").replace("%", "").replace("#", "")
    return (words[:1].upper() + words[1:]) or "Answer"


def _yaml(value: Any) -> str:
    """A value on one line, quoted where YAML would read it as something else."""
    import yaml

    text: str = yaml.safe_dump(value, default_flow_style=True, width=float("inf"), allow_unicode=True, sort_keys=False)
    return text.removesuffix("\n").removesuffix("\n...")


def _quoted(text: str) -> str:
    """Text in double quotes, line ends as \\n."""
    import yaml

    return str(yaml.safe_dump(text, default_style='"', width=float("inf"), allow_unicode=True)).strip()
