"""Arguments and options that several commands share."""

from pathlib import Path
from typing import Annotated

import typer

RecipeFile = Annotated[Path, typer.Argument(metavar="RECIPE", help="The recipe, a YAML file.", show_default=False)]
RunPath = Annotated[Path, typer.Argument(metavar="RUN", help="The folder of a finished run.", show_default=False)]
Overrides = Annotated[
    list[str],
    typer.Option(
        "--set",
        metavar="KEY=VALUE",
        help="Override a key, e.g. --set method.length=100. Can be given several times.",
        show_default=False,
    ),
]
Resume = Annotated[bool, typer.Option("--resume", help="Go on where an earlier start was stopped.")]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Throw away what the output folder holds.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON on standard output.")]
