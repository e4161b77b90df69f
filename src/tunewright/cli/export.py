"""`tunewright export`: a tuned model's kept weights, or a task's templates, in another library's files."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from tunewright.cli.options import Json, Overwrite
from tunewright.cli.showing import show, show_json


def export(
    run: Annotated[
        Path,
        typer.Argument(
            metavar="RUN|TASK|FILE", help="A finished run (peft); a task, or a file of templates (promptsource)."
        ),
    ],
    output: Annotated[Path, typer.Option("--output", help="The folder or file to write.", show_default=False)],
    to: Annotated[Literal["peft", "promptsource"], typer.Option("--to", help="Whose files.")] = "peft",
    merge: Annotated[
        bool, typer.Option("--merge", help="Write the whole model, the tuned weights or adapter in its own.")
    ] = False,
    overwrite: Overwrite = False,
    as_json: Json = False,
) -> None:
    """Write what a run keeps as a folder that `peft.PeftModel.from_pretrained(model, FOLDER)` loads.

    PEFT then computes the same. Where it could not (slots that do not stand before everything, an ensemble, a model
    whose own weights were tuned), nothing is written and one line says why. `--to promptsource` writes a task's
    templates as a templates.yaml; those that PromptSource has no form for are named. `--merge` writes a folder that
    transformers loads by itself: the model in fp32 with an adapter, or the part of the weights that was tuned, in it.
    """
    if merge:
        _merged(run, output, to, overwrite, as_json)
        return
    if to == "promptsource":
        _templates(str(run), output, overwrite, as_json)
        return
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


def _merged(run: Path, output: Path, to: str, overwrite: bool, as_json: bool) -> None:
    from tunewright.errors import InputError
    from tunewright.interop.merged_export import export_merged

    if to == "promptsource":
        raise InputError("--merge writes a run's model, --to promptsource a task's templates: give one of them")
    done = export_merged(run, output, overwrite=overwrite)
    if as_json:
        show_json({"output": str(done.folder), "method": done.method, "difference": done.difference})
        return
    show(f"written: {done.folder} ({done.method} merged; logits differ by at most {done.difference:.1g})")


def _templates(task: str, output: Path, overwrite: bool, as_json: bool) -> None:
    from tunewright.errors import InputError
    from tunewright.interop.promptsource import export_task

    if output.exists() and not overwrite:
        raise InputError(f"{output}: already there; choose another output or --overwrite")
    written, left_out = export_task(task, output)
    if as_json:
        show_json({"output": str(output), "templates": written, "left_out": left_out})
        return
    show(f"written: {output} ({len(written)} templates)")
    for reason in left_out.values():
        show(f"left out: {reason}")
