"""What is kept out of a mixture: by cluster, by name, by rows that are shared under another name, row by row."""

import json
from pathlib import Path
from typing import Any

import pytest

from tunewright.errors import InputError
from tunewright.mixtures.block import MemberTaskBlock, MixtureBlock
from tunewright.mixtures.held_out import LeftOut, catalog_clusters, held_out, tasks_in
from tunewright.settings import validate
from tunewright.task_block import TaskBlock


def left(block: dict[str, Any], clusters: list[str], *tasks: str | TaskBlock) -> tuple[list[str], dict[str, str]]:
    """The names of the tasks that are left, and of the others why."""
    found = held_out(clusters, tasks)
    whole = found.without(validate(MixtureBlock, block, "M"))
    names = [one if isinstance(one, str) else str(one.name) for one in tasks_in(whole)]
    return names, {one.task: one.why for one in found.left_out}


def test_a_cluster_goes_with_its_reasons_and_its_copies() -> None:
    """Chains of thought over the cluster's questions too; a group that is empty goes, others keep their shares."""
    block = {
        "members": [
            {"name": "maths", "weight": 1, "members": ["gsm8k"]},
            {"name": "cot", "weight": 2, "members": ["cot_gsm8k", "cot_aqua", "cot_qasc"]},
            {"task": "rte", "weight": 3},
        ]
    }
    names, why = left(block, ["maths"])
    assert names == ["cot_qasc", "rte"]
    assert why == {"maths/gsm8k": "cluster maths", "cot/cot_gsm8k": "cluster maths", "cot/cot_aqua": "cluster maths"}
    whole = held_out(["maths"], []).without(validate(MixtureBlock, block, "M"))
    assert [m.weight for m in whole.members if isinstance(m, MixtureBlock | MemberTaskBlock)] == [2, 3]
    assert left({"members": ["cot_creak", "cot_ecqa", "cot_sensemaking", "piqa", "sst2"]}, ["commonsense"])[0] == [
        "sst2"
    ]


def test_a_task_goes_under_all_its_names(tmp_path: Path) -> None:
    """The few-shot set of the same rows, the same hub set, the same folder; shared texts go both ways."""
    (tmp_path / "rte").mkdir()
    same_hub = TaskBlock(name="mine", hub={"id": "nyu-mll/glue", "config": "rte"}, kind="classify")
    other_hub = TaskBlock(name="other", hub={"id": "nyu-mll/glue", "config": "cola"}, kind="classify")
    block = {"members": ["fewglue_rte", "cb", {"task": same_hub}, {"task": other_hub}]}
    names, why = left(block, [], "rte")
    assert names == ["cb", "other"]
    assert why == {"fewglue_rte": "shares rows with rte", "mine": "shares rows with rte"}
    assert left({"members": ["rte", "cb"]}, [], "fewglue_rte")[0] == ["cb"]
    assert left({"members": ["multi30k", "cb"]}, [], "snli") == (["cb"], {"multi30k": "shares rows with snli"})
    whole = TaskBlock(name="whole", path=str(tmp_path / "rte"), kind="classify")
    part = TaskBlock(name="part", path=str(tmp_path / "rte/train.jsonl"), kind="classify")
    beside = TaskBlock(name="beside", path=str(tmp_path / "rte2.jsonl"), kind="classify")
    assert left({"members": [{"task": part}, {"task": beside}]}, [], whole)[0] == ["beside"]


def test_a_local_copy_is_the_task_it_is_a_copy_of(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "rte").mkdir()
    monkeypatch.setenv("TUNEWRIGHT_DATA", str(tmp_path))
    mine = TaskBlock(name="mine", path=str(tmp_path / "rte/train.jsonl"), kind="classify")
    assert left({"members": [{"task": mine}, "cb"]}, [], "rte") == (["cb"], {"mine": "shares rows with rte"})


def test_of_a_collection_the_rows_go(tmp_path: Path) -> None:
    """xsum by the catalog's cluster of that name, dream by the file's own word, app reviews stay."""
    sets = ["xsum", "dream", "apps"]
    rows = [{"set": sets[i % 3], "input": f"the dog {i}", "target": f"rain {i}"} for i in range(60)]
    for split, some in (("train", rows[:36]), ("validation", rows[36:48]), ("test", rows[48:])):
        text = "".join(json.dumps(row) + "\n" for row in some)
        (tmp_path / f"{split}.jsonl").write_text(text, encoding="utf-8")
    fields = {name: name for name in ("set", "input", "target")}
    block = TaskBlock.model_validate(
        {"name": "many", "path": str(tmp_path), "kind": "generate", "fields": fields,
         "collection": {"field": "set", "clusters": {"dream": "qa_reading"}}, "templates": {"a": "{{ input }}"}}
    )  # fmt: skip
    found = held_out(["summarization", "qa_reading"], [])
    task = found.open_task(block)
    assert {name: set(task.split(name).columns["set"]) for name in task.splits} == {
        "train": {"apps"}, "validation": {"apps"}, "test": {"apps"},
    }  # fmt: skip
    assert len(task.split("train")) == 12
    told = "dream (cluster qa_reading), xsum (cluster summarization)"
    assert found.left_out == [LeftOut("many", told, 24)]
    with pytest.raises(InputError, match="task many: all its training rows are held out"):
        held_out(["summarization", "qa_reading"], [TaskBlock(name="apps")]).open_task(block)


def test_nothing_left_is_told() -> None:
    with pytest.raises(InputError, match="held_out: nothing of the mixture M is left to be tuned on"):
        held_out(["nli"], []).without(validate(MixtureBlock, {"name": "M", "members": ["rte", "cb"]}, "M"))


def test_the_catalog_by_cluster() -> None:
    found = catalog_clusters()
    assert found["maths"] == ["aqua_rat", "gsm8k"] and list(found) == sorted(found)
