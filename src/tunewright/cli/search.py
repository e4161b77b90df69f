"""`tunewright search`: templates and label words found on training and validation rows."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from tunewright.cli.options import Json, Overrides, Overwrite, RecipeFile, Resume
from tunewright.cli.showing import asked_line, list_table, show, show_json, show_title

if TYPE_CHECKING:
    from tunewright.search.results import Found

_SHOWN = 10


def search(
    what: Annotated[Literal["template", "label-words"], typer.Argument(metavar="template|label-words")],
    recipe: RecipeFile,
    overrides: Overrides = [],  # noqa: B006
    output: Annotated[
        Path | None,
        typer.Option("--output", help="The search's folder (default: the recipe's output, else runs/RECIPE)."),
    ] = None,
    resume: Resume = False,
    overwrite: Overwrite = False,
    as_json: Json = False,
) -> None:
    """Search a template, or the words that stand for the labels, for a model that is not tuned.

    Candidates are scored on training and validation rows, never on test rows. The best ones are written to
    templates.yaml in the search's folder, which a recipe reads: `template: {file: FILE, names: [best]}`.
    """
    found = _searched(what, recipe, overrides, output, resume, overwrite)
    if as_json:
        show_json({"folder": str(found.folder), "templates": str(found.templates), **found.to_json()})
        return
    _show(found, what)


def _searched(
    what: str, recipe: Path, overrides: list[str], output: Path | None, resume: bool, overwrite: bool
) -> "Found":
    from tunewright.search.recipe import load_label_word_search, load_template_search

    if what == "template":
        loaded = load_template_search(recipe, overrides)
        from tunewright.search.run import search_templates

        folder = output or Path(loaded.output or Path("runs") / recipe.stem)
        return search_templates(loaded, folder, resume=resume, overwrite=overwrite)
    words = load_label_word_search(recipe, overrides)
    from tunewright.search.run_label_words import search_label_words

    folder = output or Path(words.output or Path("runs") / recipe.stem)
    return search_label_words(words, folder, resume=resume, overwrite=overwrite)


def _show(found: "Found", what: str) -> None:
    from rich.text import Text

    from tunewright.search.results import NOTE, name_of

    facts = found.facts
    show_title(f"{found.metric} on {facts['rows']} rows of {facts['by']} (intervals at 95 %)")
    table = list_table("", "score", "rows", "how", "template" if what == "template" else "words")
    for rank, place in enumerate(found.places[:_SHOWN]):
        score = place["score"]
        text = f"{score['value']:.3f}"
        if score["low"] is not None:
            text += f" [{score['low']:.3f}–{score['high']:.3f}]"
        table.add_row(name_of(rank), text, str(place["rows"]), Text(place["how"]), Text(_content(place, what)))
    show(table)
    if facts["refused"]:
        first = facts["refused"][0]
        show(f"{len(facts['refused'])} candidates could not be asked, e.g. {first['how']}: {first['reason']}")
    if "asked" in facts:
        show(asked_line(facts["asked"]))
    show(f"Note: {NOTE}.")
    show(f"written: {found.templates}")


def _content(place: dict[str, object], what: str) -> str:
    if what == "label-words":
        words = place["label_words"]
        assert isinstance(words, dict)
        return "; ".join(f"{label}: {', '.join(found)}" for label, found in words.items())
    text = str(place["jinja"]).replace("\n", "⏎")
    choices = place.get("answer_choices")
    return f"{text}  ({', '.join(choices)})" if isinstance(choices, list) else text
