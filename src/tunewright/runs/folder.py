"""A run's folder: what is in it, and that nothing is written over."""

import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel

from tunewright.errors import InputError
from tunewright.evaluation.predictions import Prediction
from tunewright.files import read_json, write_jsonl, write_text
from tunewright.recipe import EndpointBlock, Recipe, load_recipe
from tunewright.settings import load_yaml, validate
from tunewright.task_block import TaskBlock


def recipe_tree(recipe: BaseModel) -> dict[str, Any]:
    """The recipe as YAML says it: every default written out, except in the task, where the catalog's stand behind."""
    tree = {name: _written_out(getattr(recipe, name)) for name in type(recipe).model_fields}
    if isinstance(recipe, Recipe) and isinstance(recipe.task, TaskBlock):
        tree["task"] = recipe.task.model_dump(exclude_unset=True)
    if isinstance(recipe, Recipe) and recipe.tasks is not None:
        tree["tasks"] = _short(recipe.tasks)
    if isinstance(recipe, Recipe) and recipe.evaluation.tasks is not None:
        tree["evaluation"]["tasks"] = _short(recipe.evaluation.tasks)
    if isinstance(recipe, Recipe) and recipe.held_out is not None:
        tree["held_out"] |= {key: _short(found) for key in ("tasks", "ask") if (found := getattr(recipe.held_out, key))}
    return {name: value for name, value in tree.items() if value is not None}


def _short(entries: Sequence[str | BaseModel]) -> list[Any]:
    return [entry if isinstance(entry, str) else entry.model_dump(exclude_unset=True) for entry in entries]


def _written_out(value: Any) -> Any:
    """A block as a dict; `null` only where it means something else than leaving the key out (`clip: null`)."""
    if isinstance(value, list):
        return [_written_out(item) for item in value]
    if not isinstance(value, BaseModel):
        return value
    fields = type(value).model_fields
    aliases = {key: field.alias for key, field in fields.items() if field.alias}
    return {
        aliases.get(key, key): item
        for key, item in value.model_dump().items()
        if item is not None or fields[key].default is not None
    }


def _what(recipe: BaseModel) -> dict[str, Any]:
    """What a recipe asks for; where its results go, and how fast an endpoint is asked, may change on the way."""
    tree: dict[str, Any] = _paceless(recipe.model_dump(exclude={"output"}))
    return tree


def _paceless(value: Any) -> Any:
    """Without the pace of endpoints, wherever one stands (a search's generators have models of their own)."""
    if isinstance(value, list):
        return [_paceless(one) for one in value]
    if not isinstance(value, dict):
        return value
    pace = EndpointBlock.pace if "endpoint" in value else ()
    return {key: _paceless(one) for key, one in value.items() if key not in pace}


class RunFolder:
    """`recipe.yaml`, `environment.json`, `metrics.jsonl`, `checkpoints/`, `tuned/`, `before.json`, `after.json`,
    `cost.json`, `baselines.json`, `predictions.jsonl`, `report.html`."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @property
    def tuned(self) -> Path:
        """What is to be kept."""
        return self.path / "tuned"

    def finished(self) -> bool:
        """Whether the run came to its end."""
        return (self.path / "after.json").is_file() and (self.path / "cost.json").is_file()

    def claim(self, recipe: BaseModel, *, resume: bool, overwrite: bool) -> None:
        """Make the folder this recipe's own (a run's, or another command's).

        Raises InputError when it holds another run (or anything else) and neither resume nor overwrite is asked,
        or when a resumed run's recipe has changed.
        """
        text = yaml.safe_dump(recipe_tree(recipe), sort_keys=False, allow_unicode=True)
        if self.path.exists() and any(self.path.iterdir()):
            ours = (self.path / "recipe.yaml").is_file()
            if overwrite and ours:
                shutil.rmtree(self.path)
            elif overwrite:
                raise InputError(f"{self.path}: not a run's folder (no recipe.yaml); it is not written over")
            elif not resume:
                raise InputError(f"{self.path}: already there; --resume goes on with it, --overwrite starts afresh")
            elif ours and not self._holds(recipe):
                raise InputError(f"{self.path}: holds a run of another recipe; choose another output or --overwrite")
        self.path.mkdir(parents=True, exist_ok=True)
        write_text(self.path / "recipe.yaml", text)

    def _holds(self, recipe: BaseModel) -> bool:
        """Whether the folder's recipe is this one, `output` aside."""
        tree = load_yaml(self.path / "recipe.yaml")
        if not isinstance(tree, dict) or not tree.keys() <= type(recipe).model_fields.keys():
            return False  # of another command
        old = validate(type(recipe), tree, str(self.path / "recipe.yaml"))
        return _what(old) == _what(recipe)

    def recipe(self) -> Recipe:
        """The run's recipe."""
        return load_recipe(self.path / "recipe.yaml")

    def read(self, name: str) -> Any:
        """A JSON file of the folder; InputError where it is missing or broken."""
        try:
            return read_json(self.path / f"{name}.json")
        except OSError:
            raise InputError(f"{self.path}: no {name}.json: not a finished run's folder") from None
        except json.JSONDecodeError as error:
            raise InputError(f"{self.path / name}.json: not valid JSON: {error}") from None

    def write_predictions(self, before: list[Prediction], after: list[Prediction]) -> None:
        """Each row once, with what the model said before and after side by side."""
        earlier = {(prediction.task, prediction.id): prediction for prediction in before}
        lines = []
        for now in after:
            line = now.to_json()
            then = earlier.get((now.task, now.id))
            line["after"] = line.pop("prediction")
            line["before"] = then.prediction if then else None
            if then and then.scores is not None:
                line["before_scores"] = list(then.scores)
            if then and then.predicted_tags is not None:
                line["before_tags"] = list(then.predicted_tags)
            lines.append(line)
        write_jsonl(self.path / "predictions.jsonl", lines)

    def predictions(self, which: str) -> list[Prediction]:
        """The predictions `before` or `after` of predictions.jsonl, those of all tasks."""
        found = []
        for number, text in enumerate((self.path / "predictions.jsonl").read_text(encoding="utf-8").splitlines(), 1):
            line = json.loads(text)
            if line.get(which) is None:
                continue
            line["prediction"] = line[which]
            if which == "before":
                line["scores"], line["predicted_tags"] = line.get("before_scores"), line.get("before_tags")
            found.append(Prediction.from_json(line, f"{self.path}/predictions.jsonl line {number}"))
        return found
