"""Tags are those of entities, as IOB2 has them."""

import json
from pathlib import Path

import pytest

from tunewright.errors import InputError
from tunewright.settings import validate
from tunewright.task_block import TaskBlock
from tunewright.tasks.open import open_task


@pytest.mark.parametrize(
    ("tags", "told"), [(["S-LOC", "O"], "'S-LOC'"), (["NOUN", "VERB"], "'NOUN'"), (["E-X", "B-X"], "'E-X'")]
)
def test_other_schemes_are_refused(tags: list[str], told: str, tmp_path: Path) -> None:
    rows = [{"tokens": ["Paris", str(i)], "tags": tags} for i in range(20)]
    file = tmp_path / "rows.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    block = {"path": str(file), "kind": "tag", "fields": {"tokens": "tokens", "tags": "tags"}}
    with pytest.raises(InputError, match=f"label {told}: tags of entities are wanted as IOB2"):
        open_task(validate(TaskBlock, block, "task"))
