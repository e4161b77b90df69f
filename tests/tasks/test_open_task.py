"""From a task's block to checked rows in three splits."""

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from tunewright.errors import InputError
from tunewright.task_block import TaskBlock
from tunewright.tasks.open import open_task, resolve

Row = dict[str, Any]


def write_rows(path: Path, rows: list[Row]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def reviews(count: int, start: int = 0) -> list[Row]:
    return [{"text": f"review {i}", "label": ("bad", "good")[i % 2]} for i in range(start, start + count)]


def block(**keys: Any) -> TaskBlock:
    return TaskBlock.model_validate(
        {key: str(value) if isinstance(value, Path) else value for key, value in keys.items()}
    )


def message(error: pytest.ExceptionInfo[InputError]) -> str:
    assert "\n" not in str(error.value)
    return str(error.value)


def test_a_file_is_read_checked_and_cut(tmp_path: Path) -> None:
    file = write_rows(tmp_path / "reviews.jsonl", reviews(20))
    task = open_task(block(path=file, kind="classify"))
    assert (task.name, task.kind, task.target, task.labels) == ("reviews", "classify", "label", ("bad", "good"))
    assert task.fields == ("text", "label") and task.metrics == ("accuracy", "macro-f1")
    assert {name: len(rows) for name, rows in task.splits.items()} == {"train": 14, "validation": 2, "test": 4}
    assert Counter(task.split("test").columns["label"]) == {"bad": 2, "good": 2}
    assert task.notes == [
        "test: cut from train, 20 % (4 rows, seed 0)",
        "validation: cut from train, 10 % (2 rows, seed 0)",
    ]
    ids = [i for rows in task.splits.values() for i in rows.ids]
    assert sorted(ids) == sorted(f"train-{line}" for line in range(1, 21))
    row = task.split("test")[0]
    assert ("no", "yes")[row["label"]] == {"bad": "no", "good": "yes"}[row["label"]]
    again, other = open_task(block(path=file, kind="classify")), open_task(block(path=file, kind="classify", seed=1))
    assert task.split("test").ids == again.split("test").ids != other.split("test").ids


def test_fields_are_renamed_and_others_left(tmp_path: Path) -> None:
    rows = [{"Review": f"r{i}", "Stars": i % 5 + 1, "other": None} for i in range(20)]
    file = write_rows(tmp_path / "a.jsonl", rows)
    task = open_task(
        block(path=file, kind="classify", fields={"text": "Review", "label": "Stars"}, labels=[1, 2, 3, 4, 5])
    )
    assert task.fields == ("text", "label") and task.labels == ("1", "2", "3", "4", "5")
    task = open_task(block(path=file, kind="regress", fields={"text": "Review", "score": "Stars"}))
    assert task.metrics == ("pearson", "spearman", "mse", "mae") and task.split("train").columns["score"][0] == 1.0


def test_a_column_that_is_not_there(tmp_path: Path) -> None:
    file = write_rows(tmp_path / "a.jsonl", [{"review": "a", "label": "x"}])
    with pytest.raises(InputError) as error:
        open_task(block(path=file, kind="classify", fields={"text": "reviews", "label": "label"}))
    assert message(error) == (
        f"{file}: no column 'reviews' (for the field 'text'); the columns are review, label (did you mean 'review'?)"
    )


def test_a_field_missing_in_a_row(tmp_path: Path) -> None:
    file = write_rows(tmp_path / "a.jsonl", [{"text": "a", "label": "x"}, {"label": "y"}])
    with pytest.raises(InputError) as error:
        open_task(block(path=file, kind="classify", fields={"text": "text", "label": "label"}))
    assert message(error) == f"{file} row 2: field 'text' missing"


def test_a_label_not_in_the_set_names_the_row(tmp_path: Path) -> None:
    file = write_rows(tmp_path / "a.jsonl", [*reviews(4), {"text": "e", "label": "goood"}])
    with pytest.raises(InputError) as error:
        open_task(block(path=file, kind="classify", labels=["bad", "good"]))
    assert message(error) == f"{file} row 5: label 'goood' is not one of bad, good (did you mean 'good'?)"


def test_a_label_of_test_that_train_does_not_have(tmp_path: Path) -> None:
    write_rows(tmp_path / "train.jsonl", reviews(6))
    write_rows(tmp_path / "test.jsonl", [{"text": "z", "label": "awful"}])
    with pytest.raises(InputError, match=r"test\.jsonl row 1: label 'awful' is not one of bad, good"):
        open_task(block(path=tmp_path, kind="classify"))


def test_one_label_only(tmp_path: Path) -> None:
    file = write_rows(tmp_path / "a.jsonl", [{"text": f"{i}", "label": "x"} for i in range(9)])
    with pytest.raises(InputError, match=r"'label' has one label only \(x\); two or more wanted$"):
        open_task(block(path=file, kind="classify"))


def test_empty_rows_are_skipped_counted_and_said(tmp_path: Path) -> None:
    rows = [*reviews(10), {"text": "  ", "label": "bad"}, {"text": "", "label": None}, {"text": None, "label": "good"}]
    task = open_task(block(path=write_rows(tmp_path / "a.jsonl", rows), kind="classify"))
    assert task.notes[0] == "train: empty rows skipped: 3"
    assert sum(map(len, task.splits.values())) == 10


def test_every_row_empty(tmp_path: Path) -> None:
    file = write_rows(tmp_path / "a.jsonl", [{"text": " ", "label": "x"}, {"text": "", "label": "y"}])
    with pytest.raises(InputError) as error:
        open_task(block(path=file, kind="classify"))
    assert message(error) == f"{file}: every row is empty (nothing in text)"


def test_an_empty_target_of_a_generation_is_an_empty_row(tmp_path: Path) -> None:
    rows = [{"text": f"t{i}", "target": f"s{i}"} for i in range(9)] + [{"text": "t", "target": " "}]
    task = open_task(block(path=write_rows(tmp_path / "a.jsonl", rows), kind="generate"))
    assert task.notes[0] == "train: empty rows skipped: 1" and task.metrics[0] == "rouge-1"


def test_duplicates_are_removed_before_the_cut(tmp_path: Path) -> None:
    rows = [{**row, "id": i} for i, row in enumerate(reviews(20) + reviews(20))]
    file = write_rows(tmp_path / "a.jsonl", rows)
    task = open_task(block(path=file, kind="classify"))
    assert task.notes[0] == "exact duplicates removed: 20"
    texts = [text for split in task.splits.values() for text in split.columns["text"]]
    assert sorted(texts) == sorted(row["text"] for row in reviews(20))
    kept = open_task(block(path=file, kind="classify", deduplicate=False))
    assert sum(map(len, kept.splits.values())) == 40


def test_train_rows_that_stand_in_test_are_removed(tmp_path: Path) -> None:
    write_rows(tmp_path / "train.jsonl", reviews(10))
    write_rows(tmp_path / "dev.jsonl", [{"text": "review 3", "label": "bad"}])  # the same input, another label
    write_rows(tmp_path / "test.jsonl", [*reviews(1), *reviews(3, start=20)])  # review 0 stands in train, label and all
    task = open_task(block(path=tmp_path, kind="classify"))
    assert task.notes == [
        "exact duplicates removed: 1",
        "train: rows removed whose input also stands in validation or test: 1",
    ]
    assert task.split("train").columns["text"] == [f"review {i}" for i in (1, 2, 4, 5, 6, 7, 8, 9)]
    assert task.split("test").ids == ["test-1", "test-2", "test-3", "test-4"]
    assert task.split("validation").ids == ["validation-1"]


def test_splits_by_name_file_and_share(tmp_path: Path) -> None:
    write_rows(tmp_path / "train.jsonl", reviews(20))
    write_rows(tmp_path / "validation.jsonl", reviews(4, start=100))
    write_rows(tmp_path / "hard.jsonl", reviews(6, start=200))
    task = open_task(block(path=tmp_path, kind="classify", splits={"test": "hard"}))
    assert {name: len(rows) for name, rows in task.splits.items()} == {"train": 20, "validation": 4, "test": 6}
    task = open_task(block(path=tmp_path, kind="classify", splits={"validation": 0.25, "test": "validation"}))
    assert {name: len(rows) for name, rows in task.splits.items()} == {"train": 15, "validation": 5, "test": 4}
    task = open_task(block(path=tmp_path / "train.jsonl", kind="classify", splits={"test": "hard.jsonl"}))
    assert {name: len(rows) for name, rows in task.splits.items()} == {"train": 18, "validation": 2, "test": 6}
    files = {name: str(tmp_path / f"{name}.jsonl") for name in ("train", "validation")}
    task = open_task(block(kind="classify", splits={**files, "test": 0.5}))
    assert {name: len(rows) for name, rows in task.splits.items()} == {"train": 10, "validation": 4, "test": 10}


def test_splits_that_cannot_be(tmp_path: Path) -> None:
    write_rows(tmp_path / "test.jsonl", reviews(20))
    with pytest.raises(InputError, match="no train split; seen: test "):
        open_task(block(path=tmp_path, kind="classify"))
    with pytest.raises(InputError, match=r"splits: the data has no split 'tests' \(did you mean 'test'\?\)"):
        open_task(block(path=tmp_path, kind="classify", splits={"train": "tests"}))
    with pytest.raises(InputError, match=r"splits: validation and test are both 'test'"):
        open_task(block(path=tmp_path, kind="classify", splits={"validation": "test", "test": "test"}))
    with pytest.raises(InputError, match=r"nowhere\.jsonl: no such file$"):
        open_task(block(path=tmp_path, kind="classify", splits={"train": "nowhere.jsonl"}))
    with pytest.raises(InputError, match="no source: one of path, hub, package or generator"):
        open_task(block(kind="classify"))


def test_shots_come_from_train_only(tmp_path: Path) -> None:
    file = write_rows(tmp_path / "a.jsonl", reviews(40))
    whole, few = (
        open_task(block(path=file, kind="classify")),
        open_task(block(path=file, kind="classify"), shots=3, seed=5),
    )
    assert Counter(few.split("train").columns["label"]) == {"bad": 3, "good": 3}
    assert set(few.split("train").ids) < set(whole.split("train").ids)
    assert few.split("test").ids == whole.split("test").ids
    other = open_task(block(path=file, kind="classify"), shots=3, seed=6)
    assert set(other.split("train").ids) != set(few.split("train").ids)
    assert other.split("test").ids == few.split("test").ids  # draws never move the cut
    with pytest.raises(InputError, match=r"^shots: 99 rows wanted, class 'bad' has 14 in train$"):
        open_task(block(path=file, kind="classify"), shots=99)


def test_the_other_kinds(tmp_path: Path) -> None:
    rows: list[Row] = [
        {"q": f"q{i}", "choices": {"text": [f"a{i}", f"b{i}"], "label": ["A", "B"]}, "key": "B"} for i in range(6)
    ]
    fields = {"question": "q", "choices": "choices.text", "labels": "choices.label", "answer": "key"}
    task = open_task(block(path=write_rows(tmp_path / "c.jsonl", rows), kind="choose", fields=fields))
    row = task.split("train")[0]
    assert row["answer"] == row["choices"][1] and row["answer"].index_ == 1 and task.metrics == ("accuracy",)
    rows = [{"q": f"q{i}", "choices": ["a", "b"], "labels": ["A", "B"], "answer": "A"} for i in range(6)]
    task = open_task(block(path=write_rows(tmp_path / "c.jsonl", rows), kind="choose", fields=fields))
    assert task.split("train")[0]["answer"] == "a"  # our own names, where the data already has them
    rows = [{"tokens": ["in", f"P{i}"], "tags": ["O", "B-place"]} for i in range(6)]
    task = open_task(block(path=write_rows(tmp_path / "t.jsonl", rows), kind="tag"))
    assert task.labels == ("B-place", "O") and task.metrics == ("entity-f1",)
    rows = [{"question": f"q{i}", "target": ["yes", "yeah"]} for i in range(6)]
    task = open_task(block(path=write_rows(tmp_path / "g.jsonl", rows), kind="generate"))
    assert task.references == "references" and task.split("test")[0]["references"] == ["yes", "yeah"]
    assert task.split("test")[0]["target"] == "yes"


def test_a_kind_is_needed(tmp_path: Path) -> None:
    file = write_rows(tmp_path / "a.jsonl", reviews(5))
    with pytest.raises(
        InputError, match=r"^task a: no kind; one of classify, choose, regress, generate, tag is needed$"
    ):
        open_task(block(path=file))


def test_labels_and_words_where_they_do_not_belong(tmp_path: Path) -> None:
    file = write_rows(tmp_path / "a.jsonl", [{**row, "target": "x"} for row in reviews(9)])
    with pytest.raises(InputError, match="labels are for the kinds classify and tag, not generate"):
        open_task(block(path=file, kind="generate", labels=["x"]))
    with pytest.raises(InputError, match=r"label_words: 'god' is not one of the labels \(did you mean 'good'\?\)"):
        open_task(block(path=file, kind="classify", label_words={"god": "great"}))
    task = open_task(block(path=file, kind="classify", label_words={"good": ["great", "very good"]}))
    assert task.label_words == {"bad": ("bad",), "good": ("great", "very good")}


def test_templates_and_the_default(tmp_path: Path) -> None:
    file = write_rows(tmp_path / "a.jsonl", reviews(9))
    templates = {"plain": "{{ text }}", "other": {"jinja": "{{ text }}?"}}
    task = open_task(block(path=file, kind="classify", templates=templates))
    assert task.default_template == "plain" and task.templates["plain"].jinja == "{{ text }}"
    with pytest.raises(InputError, match=r"default_template 'plan' is not there \(did you mean 'plain'\?\)"):
        open_task(block(path=file, kind="classify", templates=templates, default_template="plan"))


ENTRY = """
version: 3
kind: classify
cluster: sentiment
hub: someone/movies
fields: {text: sentence, label: sentiment}
labels: [bad, good]
label_words: {bad: terrible, good: great}
splits: {validation: dev_matched, test: 0.5}
templates: {plain: "{{ text }}"}
"""


@pytest.fixture
def catalog(tmp_path: Path) -> Path:
    folder = tmp_path / "catalog"
    folder.mkdir()
    (folder / "movies.yaml").write_text(ENTRY)
    (folder / "raw.yaml").write_text("path: nowhere\nkind: null\n")
    return folder


def test_a_catalog_task_from_a_local_folder(tmp_path: Path, catalog: Path) -> None:
    for split, count, start in (("train", 9, 0), ("validation", 3, 50), ("test", 4, 90)):
        write_rows(tmp_path / "data" / f"{split}.jsonl", reviews(count, start))
    own = block(name="movies", path=tmp_path / "data", templates={"mine": "{{ text }}!"}, fields={"label": "label"})
    task = open_task(own, catalog=catalog)
    assert (task.name, task.version, task.cluster, task.default_template) == ("movies", 3, "sentiment", "plain")
    assert sorted(task.templates) == ["mine", "plain"] and task.label_words["good"] == ("great",)
    assert {name: len(rows) for name, rows in task.splits.items()} == {"train": 9, "validation": 3, "test": 4}


def test_names_are_looked_up(tmp_path: Path, catalog: Path) -> None:
    assert resolve("movies", catalog).hub == "someone/movies"
    assert resolve("someone/movies", catalog).name == "movies"
    with pytest.raises(InputError, match=r"^no task 'movie' in the catalog \(did you mean 'movies'\?\)$"):
        open_task("movie", catalog=catalog)
    with pytest.raises(InputError, match=r"^task a/b: a hub data set needs its kind"):
        open_task("a/b", catalog=catalog)
    file = write_rows(tmp_path / "a.jsonl", reviews(5))
    with pytest.raises(InputError, match="data needs its kind and fields"):
        open_task(str(file), catalog=catalog)


def test_raw_text_of_the_catalog(tmp_path: Path, catalog: Path) -> None:
    file = write_rows(
        tmp_path / "a.jsonl", [{"id": i, "text": f"text {i}"} for i in range(10)] + [{"id": 10, "text": ""}]
    )
    task = open_task(block(name="raw", path=file), catalog=catalog)
    assert (task.kind, task.target) == ("generate", "text") and task.notes[0] == "train: empty rows skipped: 1"


def test_a_task_file_finds_the_data_beside_it(tmp_path: Path) -> None:
    write_rows(tmp_path / "own" / "a.jsonl", reviews(10))
    (tmp_path / "own" / "chats.yaml").write_text("kind: classify\npath: a.jsonl\n")
    task = open_task(str(tmp_path / "own" / "chats.yaml"))
    assert task.name == "chats" and len(task.split("train")) == 7
    with pytest.raises(InputError, match=r"none\.yaml: no such file$"):
        open_task(str(tmp_path / "none.yaml"))
    (tmp_path / "bad.yaml").write_text("kind: classify\npaht: a.jsonl\n")
    with pytest.raises(InputError, match=r"bad\.yaml: unknown key 'paht' \(did you mean 'path'\?\)"):
        open_task(str(tmp_path / "bad.yaml"))
