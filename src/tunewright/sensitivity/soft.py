"""Soft prompts beside the templates: one run a seed, in folders of their own."""

from pathlib import Path
from typing import Any

from tunewright.console import say
from tunewright.evaluation.metrics import score
from tunewright.evaluation.predictions import Prediction
from tunewright.runs.folder import RunFolder
from tunewright.runs.run import run
from tunewright.sensitivity.plan import Plan
from tunewright.sensitivity.summary import spread


def soft_prompts(plan: Plan, folder: Path) -> dict[str, Any] | None:
    """Train and score them on the same test rows; finished runs are kept, stopped ones go on.

    Nothing is picked: which seed a user gets is chance. Raises InputError, MachineError, or Interrupted after saving.
    """
    recipes = plan.wanted.soft_recipes()
    if not recipes:
        return None
    seeds: list[dict[str, Any]] = []
    before: list[Prediction] | None = None  # the untuned model says the same to all seeds
    for seed, recipe in recipes.items():
        place = RunFolder(folder / "soft" / f"seed-{seed}")
        if not place.finished():
            say(f"{recipe.method['name']}, seed {seed}")
            run(recipe, place.path, resume=True, before=before, alone=False)
        before = place.predictions("before")
        values = score(place.predictions("after"), plan.metrics)
        seeds.append({"seed": seed, "metrics": {name: one.to_json() for name, one in values.items()}})
    name = next(iter(recipes.values())).method["name"]
    scores = [one["metrics"][plan.metrics[0]]["value"] for one in seeds]
    return {"label": f"soft: {name}", "method": name, **spread(scores), "seeds": seeds}
