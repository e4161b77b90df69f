"""`tunewright schema`: the recipe's JSON Schema, for editors."""

import json
import sys
from typing import Any


def schema() -> None:
    """Print the JSON Schema of a recipe; an editor completes and checks recipes with it."""
    sys.stdout.write(schema_text())


def schema_text() -> str:
    """The schema as the text of docs/recipe.schema.json."""
    return json.dumps(recipe_schema(), indent=1, ensure_ascii=False) + "\n"


def recipe_schema() -> dict[str, Any]:
    """The recipe's schema with the settings of every method in the place of the raw `method:` block."""
    from tunewright.methods.registry import METHODS, method_class
    from tunewright.recipe import Recipe

    found = Recipe.model_json_schema()
    definitions = found.setdefault("$defs", {})
    choices: list[dict[str, Any]] = [{"type": "string", "enum": list(METHODS)}]
    for name in METHODS:
        cls = method_class(name)
        block = cls.model_json_schema(ref_template="#/$defs/{model}")
        definitions |= block.pop("$defs", {})
        block["title"], block["description"] = name, cls.about
        block["properties"] = {"name": {"const": name}, **block.get("properties", {})}
        block["required"] = ["name", *block.get("required", [])]
        definitions[f"method-{name}"] = block
        choices.append({"$ref": f"#/$defs/method-{name}"})
    about = found["properties"]["method"].get("description", "")
    found["properties"]["method"] = {"title": "Method", "description": about, "oneOf": choices}
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **found}
