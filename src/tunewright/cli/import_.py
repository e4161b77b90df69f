"""`tunewright import`: templates of other libraries as files of ours."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from tunewright.cli.options import Json
from tunewright.cli.showing import show, show_json


def import_(
    what: Annotated[Literal["promptsource"], typer.Argument(metavar="promptsource", show_default=False)],
    folder: Annotated[
        Path,
        typer.Argument(metavar="DIR", help="A folder with templates.yaml files below.", show_default=False),
    ],
    output: Annotated[Path, typer.Option("--output", help="The folder to write.", show_default=False)],
    as_json: Json = False,
) -> None:
    """Write PromptSource's templates as files that a recipe reads: `template: {file: FILE, names: [NAME]}`.

    What cannot be used is left out and named, with the reason. Nothing in a template can reach files or the network,
    and `choice` draws by the run's seed.
    """
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
