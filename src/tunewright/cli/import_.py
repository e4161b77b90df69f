"""`tunewright import`: templates of other libraries as files of ours."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from tunewright.cli.options import Json
from tunewright.cli.showing import show, show_json
from tunewright.errors import InputError


def import_(
    what: Annotated[
        Literal["promptsource", "openprompt"],
        typer.Argument(metavar="promptsource|openprompt", show_default=False),
    ],
    source: Annotated[
        Path,
        typer.Argument(
            metavar="DIR|FILE",
            help="A folder with templates.yaml files below; or OpenPrompt's templates or label words.",
            show_default=False,
        ),
    ],
    output: Annotated[
        Path | None,
        typer.Option("--output", help="The folder or file to write; a file is printed without it.", show_default=False),
    ] = None,
    fields: Annotated[
        list[str],
        typer.Option(
            "--field",
            metavar="THEIRS=OURS",
            help="openprompt: a field's name here, e.g. text_a=premise; text_b= leaves it out.",
            show_default=False,
        ),
    ] = [],  # noqa: B006
    verbalizer: Annotated[
        Path | None,
        typer.Option("--verbalizer", metavar="FILE", help="openprompt: label words for the templates."),
    ] = None,
    choice: Annotated[int, typer.Option("--choice", min=1, help="openprompt: which set of label words.")] = 1,
    labels: Annotated[
        list[str],
        typer.Option(
            "--label",
            metavar="NAME",
            help="openprompt: the classes of the label words, in their order.",
            show_default=False,
        ),
    ] = [],  # noqa: B006
    as_json: Json = False,
) -> None:
    """Write other libraries' templates as files that a recipe reads: `template: {file: FILE, names: [NAME]}`.

    What cannot be used is left out and named, with the reason. Nothing in a template can reach files or the network,
    and PromptSource's `choice` draws by the run's seed. A file of OpenPrompt's label words alone becomes `label_words`
    or `answer_choices`, as a task or a template has them.
    """
    if what == "openprompt":
        from tunewright.cli.import_openprompt import Wanted, import_openprompt

        import_openprompt(Wanted(source, output, _pairs(fields), verbalizer, choice, labels), as_json)
        return
    if fields or labels or verbalizer is not None or choice != 1:
        raise InputError("--field, --verbalizer, --choice and --label are for openprompt")
    if output is None:
        raise InputError("--output is missing: the folder to write")
    _promptsource(source, output, as_json)


def _promptsource(folder: Path, output: Path, as_json: bool) -> None:
    from tunewright.interop.promptsource import import_folder

    done = import_folder(folder, output)
    if as_json:
        refused = [{"file": file, "template": name, "reason": reason} for file, name, reason in done.refused]
        counts = {"files": done.files, "read": done.read, "kept": done.kept}
        show_json({"output": str(output), **counts, "refused": refused})
        return
    show(f"{done.read} templates read of {done.files} files: {done.kept} kept, {len(done.refused)} refused")
    for file, name, reason in done.refused:
        show(f"refused: {file}{f', {name}' if name else ''}: {reason}")
    show(f"written: {output}")


def _pairs(texts: list[str]) -> dict[str, str]:
    """`text_a=premise` as a pair; `meta:word` is the same as `word`."""
    found: dict[str, str] = {}
    for text in texts:
        theirs, equals, ours = text.partition("=")
        name = theirs.strip().removeprefix("meta:")
        if not equals or not name:
            raise InputError(f"--field {text!r}: THEIRS=OURS wanted, e.g. text_a=premise")
        if name in found:
            raise InputError(f"--field: {name!r} is named twice")
        found[name] = ours.strip()
    return found
