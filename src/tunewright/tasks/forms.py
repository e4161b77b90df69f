"""Files whose rows say themselves what they are: instructions in the forms that are in common use."""

from pathlib import Path

from tunewright.task_block import TaskBlock
from tunewright.tasks.folders import read_path

_METRICS = ["rouge-1", "rouge-2", "rouge-l", "chrf"]


def known_form(path: Path) -> TaskBlock | None:
    """The task of a file or folder in one of these forms, None for another. Raises InputError for an unreadable one.

    A task of Natural Instructions; rows of instruction, input and output (Alpaca); conversations (ShareGPT, ChatML).
    """
    if not path.exists():
        return None
    splits = read_path(path)
    columns = splits["train" if "train" in splits else next(iter(splits))]().columns.keys()
    block: dict[str, object] = {"name": path.stem, "path": str(path), "kind": "generate", "cluster": "instruction"}
    if {"definition", "input", "outputs", "positive_examples"} <= columns:
        names = ["task", "id", "definition", "input", "positive_examples", "negative_examples", "outputs"]
        block |= {"target": "outputs", "templates_from": "natural_instructions", "metrics": ["rouge-l", "exact-match"]}
    elif {"instruction", "input", "output"} <= columns:
        names = ["instruction", "input", "output"]
        block |= {"target": "output", "templates_from": "instruction", "metrics": _METRICS}
    elif turns := next((name for name in ("conversations", "messages") if name in columns), None):
        names = ["system", "history", "message", "reply", "messages"]
        block |= {"target": "reply", "templates_from": "last_reply", "metrics": _METRICS, "conversations": turns}
    else:
        return None
    fields = {name: name for name in names if name in columns or "conversations" in block}
    return TaskBlock.model_validate({**block, "fields": fields})
