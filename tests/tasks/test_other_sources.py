"""Rows from the hub (a local copy stands in for it), from packages and from the generator."""

import json
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from tunewright.errors import InputError, MachineError
from tunewright.task_block import TaskBlock
from tunewright.tasks import packages
from tunewright.tasks.open import open_task
from tunewright.tasks.packages import read_chitchat

HUB = {"kind": "classify", "fields": {"text": "text", "label": "label"}}


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A data set in the hub's form: Parquet with class labels; the test split has none, as GLUE's."""
    import datasets

    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    features = datasets.Features({"text": datasets.Value("string"), "label": datasets.ClassLabel(names=["neg", "pos"])})
    labels = {"train": [0, 1, -1, *[0, 1] * 9], "validation": [1, 0], "test": [-1, -1]}
    for split, cells in labels.items():
        rows = {"text": [f"{split} {i}" for i in range(len(cells))], "label": cells}
        (tmp_path / "set").mkdir(exist_ok=True)
        datasets.Dataset.from_dict(rows, features=features).to_parquet(tmp_path / "set" / f"{split}.parquet")
    return tmp_path / "set"


@pytest.mark.parametrize("streaming", [False, True])
def test_class_labels_become_names(hub: Path, streaming: bool) -> None:
    source = {"id": str(hub), "streaming": streaming}
    splits = {"validation": 0.1, "test": "validation"}
    task = open_task(TaskBlock.model_validate({**HUB, "hub": source, "splits": splits}))
    assert task.labels == ("neg", "pos")
    assert "train: rows without a label skipped: 1" in task.notes
    assert task.split("test")[0] == {"text": "validation 0", "label": "pos"}
    assert {name: len(rows) for name, rows in task.splits.items()} == {"train": 18, "validation": 2, "test": 2}


@pytest.mark.parametrize("streaming", [False, True])
def test_so_many_rows_of_each_split(hub: Path, streaming: bool) -> None:
    source = {"id": str(hub), "streaming": streaming, "rows": 10}
    task = open_task(
        TaskBlock.model_validate({**HUB, "hub": source, "splits": {"test": "validation", "validation": 0.2}})
    )
    assert len(task.split("train")) + len(task.split("validation")) == 9  # one of the ten has no label


def test_a_split_without_labels_says_so(hub: Path) -> None:
    with pytest.raises(InputError, match=r"test: no row has a label; name another split"):
        open_task(TaskBlock.model_validate({**HUB, "hub": str(hub)}))


@pytest.mark.parametrize(
    ("raised", "expected"),
    [(ConnectionError("Couldn't reach it"), MachineError), (ValueError("BuilderConfig 'x' not found"), InputError)],
)
def test_the_hubs_refusals_are_one_line(
    monkeypatch: pytest.MonkeyPatch, raised: Exception, expected: type[Exception]
) -> None:
    import datasets

    def refuse(*args: Any, **kwargs: Any) -> None:
        assert "trust_remote_code" not in kwargs
        raise raised

    monkeypatch.setattr(datasets, "load_dataset", refuse)
    with pytest.raises(expected, match=f"^hub data set 'a/b'.*{raised}") as error:
        open_task(TaskBlock.model_validate({**HUB, "hub": "a/b"}))
    assert "\n" not in str(error.value)


def test_a_data_set_that_is_not_on_the_hub(monkeypatch: pytest.MonkeyPatch) -> None:
    import datasets
    from datasets.exceptions import DatasetNotFoundError

    def refuse(*args: Any, **kwargs: Any) -> None:
        raise DatasetNotFoundError("Dataset 'a/b' doesn't exist on the Hub\nmore")

    monkeypatch.setattr(datasets, "load_dataset", refuse)
    with pytest.raises(InputError, match=r"^hub data set 'a/b': Dataset 'a/b' doesn't exist on the Hub$"):
        open_task(TaskBlock.model_validate({**HUB, "hub": "a/b"}))


def test_chitchat_conversations(tmp_path: Path) -> None:
    def turn(*texts: str) -> list[dict[str, str]]:
        return [{"text": text, "timestamp": "t", "sender": "s"} for text in texts]

    conversations = {
        "c1": {"messages": [turn("Hello", "how are\nyou?"), turn(" "), turn("fine")]},
        "c2": {"messages": []},
    }
    file = tmp_path / "dataset.json"
    file.write_text(json.dumps(conversations))
    assert read_chitchat(file).columns == {"id": ["c1", "c2"], "text": ["Hello how are you?\nfine", ""]}
    file.write_text('{"c1": [1]}')
    with pytest.raises(InputError, match="not the file of chitchat-dataset"):
        read_chitchat(file)


def test_a_package_is_read_like_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []
    for label in ("a", "b"):
        for number in range(5):
            (tmp_path / label).mkdir(exist_ok=True)
            (tmp_path / label / f"{number}.txt").write_text(f"{label} {number}")
    monkeypatch.setattr(packages, "wheel_member", lambda *args: asked.append(args) or tmp_path)
    source = {"name": "toy", "version": "1.0", "sha256": "f" * 64, "path": "toy/data"}
    task = open_task(TaskBlock.model_validate({"kind": "classify", "package": source}))
    assert asked == [("toy", "1.0", "f" * 64, "toy/data")]
    assert task.name == "toy" and task.labels == ("a", "b") and len(task.split("train")) == 7


def test_the_generator_is_asked_for_rows_and_seed(monkeypatch: pytest.MonkeyPatch) -> None:
    module = ModuleType("tunewright.tasks.support_chats")
    module.generate = lambda rows, seed: (
        {"id": f"c{i}", "dialogue": f"d{i}", "summary": f"s{seed}"} for i in range(rows)
    )  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "tunewright.tasks.support_chats", module)
    source = {"name": "support-chats", "rows": 10, "seed": 4}
    task = open_task(TaskBlock.model_validate({"kind": "generate", "target": "summary", "generator": source}))
    assert {name: len(rows) for name, rows in task.splits.items()} == {"train": 7, "validation": 1, "test": 2}
    assert task.split("train")[0]["summary"] == "s4"
