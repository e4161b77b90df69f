"""What a cell of the data means as a label or an answer."""

import copy
import pickle
from typing import Any

import pytest

from tunewright.errors import InputError
from tunewright.task_block import Kind
from tunewright.tasks.answers import check_answers
from tunewright.tasks.labels import LabelSet, found_labels
from tunewright.tasks.raw import RawSplit
from tunewright.tasks.task import LabelName


def raw(**columns: list[Any]) -> RawSplit:
    return RawSplit(columns, "d.jsonl", range(1, 1 + len(next(iter(columns.values())))))


def check(kind: Kind, field: str, label_set: LabelSet | None = None, several: str | None = None, **columns: Any) -> Any:
    return check_answers(raw(**columns), kind, field, several, label_set).columns


@pytest.mark.parametrize(
    ("cell", "index"),
    [("neg", 0), ("pos", 1), (" pos ", 1), (0, 0), (1, 1), ("1", 1), (1.0, 1), (True, 1), (False, 0)],
)
def test_a_label_is_a_name_or_a_number(cell: Any, index: int) -> None:
    found = LabelSet(["neg", "pos"]).find(cell)
    assert found == ["neg", "pos"][index]
    assert ["bad", "good"][found] == ["bad", "good"][index]  # works as an index


@pytest.mark.parametrize("cell", ["Pos", "2", 2, -1, 0.5, "", None, ["pos"], "-1", "²"])
def test_what_is_no_label(cell: Any) -> None:
    assert LabelSet(["neg", "pos"]).find(cell) is None


def test_numbers_that_are_names_are_not_places() -> None:
    stars = LabelSet([1, 2, 3])
    assert [stars.find(cell) for cell in (1, "2", 3.0, 0)] == ["1", "2", "3", "1"]
    assert int(stars.find(1).__index__()) == 0  # type: ignore[union-attr]


def test_label_names_translate_and_tables_give_text() -> None:
    labels = LabelSet(["no", "yes"], {1: "yes", -1: "no"})
    assert [labels.find(cell) for cell in (1, -1, "1", "-1", True, "yes")] == ["yes", "no", "yes", "no", "yes", "yes"]
    with pytest.raises(InputError, match=r"label_names: 'yess' is not one of the labels \(did you mean 'yes'\?\)"):
        LabelSet(["no", "yes"], {1: "yess"})
    with pytest.raises(InputError, match="labels: 'a' stands there twice"):
        LabelSet(["a", "b", "a"])


def test_labels_found_in_train() -> None:
    assert found_labels(["b", "a", "b ", None], None, None) == ("a", "b")
    assert found_labels([10, 2, 2], None, None) == (2, 10)
    assert found_labels([True, False], None, None) == ("false", "true")
    assert found_labels([1.0, 0.0], None, None) == ("0", "1")
    assert found_labels(["x"], {0: "no", 1: "yes", 2: "no"}, None) == ("no", "yes")
    assert found_labels(["x"], None, ("World", "Sports")) == ("World", "Sports")


def test_a_label_survives_copies_and_processes() -> None:
    label = LabelName("pos", 1)
    for other in (copy.deepcopy(label), pickle.loads(pickle.dumps(label))):
        assert other == "pos" and other.index_ == 1


def test_classify_names_the_row() -> None:
    labels = LabelSet(["negative", "positive"])
    assert check("classify", "label", labels, label=["positive", 0])["label"] == ["positive", "negative"]
    with pytest.raises(InputError) as error:
        check("classify", "label", labels, label=["positive", "positve"])
    assert str(error.value) == (
        "d.jsonl row 2: label 'positve' is not one of negative, positive (did you mean 'positive'?)"
    )
    with pytest.raises(InputError, match=r"^d.jsonl row 1: field 'label' missing$"):
        check("classify", "label", labels, label=[None])
    with pytest.raises(InputError, match=r"^d.jsonl: field 'label' missing; the fields are text, y "):
        check("classify", "label", labels, text=["a"], y=[1])


@pytest.mark.parametrize(("cell", "value"), [(3, 3.0), ("2.5", 2.5), (-1, -1.0), (" 4 ", 4.0)])
def test_regress_wants_a_finite_number(cell: Any, value: float) -> None:
    assert check("regress", "score", score=[cell])["score"] == [value]


@pytest.mark.parametrize("cell", ["good", float("nan"), "inf", True, [1], 10**400])
def test_regress_refuses_the_rest(cell: Any) -> None:
    with pytest.raises(InputError, match=r"^d.jsonl row 1: field 'score' must be a number, found "):
        check("regress", "score", score=[cell])


@pytest.mark.parametrize(
    ("answer", "letters", "index"),
    [
        (1, None, 1),
        ("blue", None, 1),
        ("B", None, 1),
        ("2", None, 2),
        ("C", ["A", "B", "C"], 2),
        ("2", ["1", "2", "3"], 1),
        (2, ["1", "2", "3"], 1),
        (0, ["A", "B", "C"], 0),
        ("green", ["A", "B", "C"], 2),
    ],
)
def test_choose_takes_number_text_or_letter(answer: Any, letters: list[str] | None, index: int) -> None:
    choices = ["red", "blue", "green"]
    columns = {"choices": [choices], "answer": [answer]} | ({"labels": [letters]} if letters else {})
    found = check("choose", "answer", **columns)["answer"][0]
    assert (found, found.index_) == (choices[index], index)


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"choices": [["a", "b"]], "answer": [2]}, "answer 2 is no number, text or letter of the 2 choices"),
        ({"choices": [["a", "b"]], "answer": ["c"]}, "answer 'c' is no number, text or letter of the 2 choices"),
        ({"choices": [["a", "b"]], "answer": [True]}, "answer True is no"),
        ({"choices": [["a"]], "answer": [0]}, "field 'choices' must have two or more texts, found 1"),
        ({"choices": ["a b"], "answer": [0]}, "field 'choices' must be a list, found 'a b'"),
        ({"choices": [["a", "b"]], "labels": [["A"]], "answer": ["A"]}, "2 choices but 1 labels"),
    ],
)
def test_choose_refuses(columns: dict[str, list[Any]], message: str) -> None:
    with pytest.raises(InputError) as error:
        check("choose", "answer", **columns)
    assert str(error.value).startswith(f"d.jsonl row 1: {message}")


def test_a_list_in_a_cell_of_a_table() -> None:
    columns = check("choose", "answer", choices=['["a", "b"]'], answer=["1"])
    assert columns["choices"] == [["a", "b"]] and columns["answer"] == ["b"]


def test_generate_takes_text_number_or_list() -> None:
    assert check("generate", "target", target=["a", 3])["target"] == ["a", "3"]
    columns = check("generate", "target", several="references", target=[["a", "b"], "c"])
    assert columns == {"target": ["a", "c"], "references": [["a", "b"], ["c"]]}
    columns = check("generate", "target", several="refs", target=["a", "b", "c"], refs=[["x", "y"], None, "z"])
    assert columns["refs"] == [["x", "y"], ["b"], ["z"]]
    with pytest.raises(InputError, match=r"^d.jsonl row 1: field 'target' must be text, found {'a': 1}$"):
        check("generate", "target", target=[{"a": 1}])


def test_tag_wants_a_tag_for_each_token() -> None:
    labels = LabelSet(["O", "B-x"])
    assert check("tag", "tags", labels, tokens=[["a", "b"]], tags=[[0, "B-x"]])["tags"] == [["O", "B-x"]]
    with pytest.raises(InputError, match=r"^d.jsonl row 1: 2 tokens but 1 tags$"):
        check("tag", "tags", labels, tokens=[["a", "b"]], tags=[["O"]])
    with pytest.raises(InputError, match=r"^d.jsonl row 1: label 'B-y' is not one of O, B-x"):
        check("tag", "tags", labels, tokens=[["a"]], tags=[["B-y"]])
