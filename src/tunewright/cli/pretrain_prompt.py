"""`tunewright pretrain-prompt`: a soft prompt from raw text."""

from pathlib import Path
from typing import Annotated

import typer

from tunewright.cli.options import Json, Overrides, Overwrite, RecipeFile, Resume
from tunewright.cli.showing import show, show_json
from tunewright.cli.tune import result_json, show_result


def pretrain_prompt(
    recipe: RecipeFile,
    overrides: Overrides = [],  # noqa: B006
    output: Annotated[
        Path | None,
        typer.Option("--output", help="The prompt's folder (default: the recipe's output, else runs/RECIPE)."),
    ] = None,
    resume: Resume = False,
    overwrite: Overwrite = False,
    as_json: Json = False,
) -> None:
    """Pretrain a soft prompt on questions made from raw text (PPT), for tuning to start from.

    The questions are of one of four forms: sentence-pair, multiple-choice, single-sentence, unified. The model is
    asked about held-out documents before and after.
    """
    from tunewright.pretraining.ppt.recipe import load_prompt_recipe

    loaded = load_prompt_recipe(recipe, overrides)
    folder = output or Path(loaded.output or Path("runs") / recipe.stem)

    from tunewright.pretraining.ppt.run import pretrain_prompt as pretrain

    content = result_json(pretrain(loaded, folder, resume=resume, overwrite=overwrite))
    if as_json:
        show_json(content)
    else:
        show_result(content)
        show(f"start from it: method: {{…, init: {{prompt: {folder}}}}}")
