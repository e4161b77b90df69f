"""`tunewright pretrain`: a model trained on raw text."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tunewright.cli.options import Json, Overrides, Overwrite, RecipeFile, Resume
from tunewright.cli.showing import plain_table, show, show_json, show_title

if TYPE_CHECKING:
    from tunewright.pretraining.raw.run import Pretrained


def pretrain(
    recipe: RecipeFile,
    overrides: Overrides = [],  # noqa: B006
    output: Annotated[
        Path | None, typer.Option("--output", help="The run's folder (default: the recipe's output, else runs/RECIPE).")
    ] = None,
    resume: Resume = False,
    overwrite: Overwrite = False,
    as_json: Json = False,
) -> None:
    """Train a whole model on raw text: causal LM, masked LM, span corruption, prefix LM, or stages of them.

    Held-out documents are measured before and after. A recipe with a `name` keeps the model in the user's cache.
    """
    from tunewright.pretraining.raw.recipe import load_pretraining

    loaded = load_pretraining(recipe, overrides)
    folder = output or Path(loaded.output or Path("runs") / recipe.stem)

    from tunewright.pretraining.raw.run import pretrain as run

    result = run(loaded, folder, resume=resume, overwrite=overwrite)
    if as_json:
        content = {"folder": str(folder), "model": str(result.kept), "before": result.before, "after": result.after,
                   "filtered": result.filtered}  # fmt: skip
        show_json(content)
        return
    _show(result)
    show(f"model: {loaded.name or result.kept}")


def _show(result: "Pretrained") -> None:
    from tunewright.pretraining.raw.report import score_rows

    rows = list(score_rows(result.before, result.after))
    table = plain_table("text", "objective", *rows[0][2])
    for text, name, cells in rows:
        table.add_row(text, name, *cells.values())
    blocks, tokens = result.after["blocks"], result.after["tokens_a_block"]
    show_title(f"{blocks} held-out blocks of {tokens} tokens (intervals at 95 %)")
    show(table)
    if result.filtered is not None:
        total = result.filtered["documents"]
        show(
            f"filters: {result.filtered['kept']:,} of {total:,} documents stay; why not: {result.folder}/filtered.json"
        )
    show(f"trained {result.seconds / 60:.0f} min; report: {result.folder}/report.md")
