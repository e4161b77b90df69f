"""Task files of Natural Instructions (Mishra et al. 2022; version 2: Wang et al. 2022, "Super-NaturalInstructions").

A file is one task: `Definition`, `Positive Examples`, `Negative Examples`, `Instances`.
"""

from collections.abc import Mapping
from typing import Any

from tunewright.errors import InputError
from tunewright.tasks.raw import ColumnBuilder, RawSplit


def is_task_file(value: Any) -> bool:
    """Whether the JSON value is a task of Natural Instructions."""
    return isinstance(value, dict) and {"Definition", "Instances"} <= value.keys()


def instances(tree: Mapping[str, Any], where: str, task: str) -> RawSplit:
    """A row an instance: task, id, input, outputs (a list); definition and examples of the task stand in each row.

    Raises InputError naming the instance or example that is not in the form.
    """
    definition = tree["Definition"]
    if isinstance(definition, list):  # version 2 has a list of one
        definition = "\n".join(map(str, definition))
    if not isinstance(definition, str) or not isinstance(tree["Instances"], list):
        raise InputError(f"{where}: `Definition` must be text (or a list of it), `Instances` a list")
    positive, negative = (_examples(tree.get(f"{kind} Examples", []), kind, where) for kind in ("Positive", "Negative"))
    builder = ColumnBuilder()
    for number, instance in enumerate(tree["Instances"], 1):
        place = f"{where} instance {number}"
        if not isinstance(instance, dict) or not isinstance(instance.get("input"), str):
            raise InputError(f"{place}: an object with the text `input` wanted")
        outputs = instance.get("output")
        outputs = [outputs] if isinstance(outputs, str) else outputs
        if not isinstance(outputs, list) or not outputs or not all(isinstance(text, str) for text in outputs):
            raise InputError(f"{place}: `output` must be text or a list of texts, found {outputs!r:.60}")
        row = {"task": task, "id": instance.get("id", str(number)), "definition": definition}
        row |= {"input": instance["input"], "outputs": outputs}
        builder.add({**row, "positive_examples": positive, "negative_examples": negative}, number)
    return builder.build(where)


def _examples(value: Any, kind: str, where: str) -> list[dict[str, str]]:
    found = []
    for number, example in enumerate(value if isinstance(value, list) else [], 1):
        output = example.get("output") if isinstance(example, dict) else None
        output = output[0] if isinstance(output, list) and output else output
        if not isinstance(output, str) or not isinstance(example.get("input"), str):
            raise InputError(f"{where} {kind} Examples {number}: an object with the texts input and output wanted")
        found.append({"input": example["input"], "output": output, "explanation": example.get("explanation") or ""})
    return found
