"""`tunewright export`: a tuned model's kept weights in another library's files."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from tunewright.cli.options import Json, Overwrite, RunPath
from tunewright.cli.showing import show, show_json


def export(
    run: RunPath,
    output: Annotated[Path, typer.Option("--output", help="The folder to write.", show_default=False)],
    to: Annotated[Literal["peft"], typer.Option("--to", help="Whose files.")] = "peft",
    overwrite: Overwrite = False,
    as_json: Json = False,
) -> None:
    """Write what a run keeps as a folder that `peft.PeftModel.from_pretrained(model, FOLDER)` loads.

    PEFT then computes the same. Where it could not (slots that do not stand before everything, an ensemble, a model
    whose own weights were tuned), nothing is written and one line says why.
    """
    from tunewright.interop.peft_export import export_peft

    done = export_peft(run, output, overwrite=overwrite)
    if as_json:
        show_json(
            {
                "output": str(done.folder),
                "peft_type": done.peft_type,
                "virtual_tokens": done.virtual_tokens,
                "tasks": list(done.tasks),
            }
        )
        return
    tokens = f", {done.virtual_tokens} virtual tokens" if done.virtual_tokens else ""
    show(f"written: {done.folder} ({done.peft_type}{tokens})")
    if done.tasks:
        show("task_ids: " + ", ".join(f"{number} {name}" for number, name in enumerate(done.tasks)))
