import numpy as np
import pytest

from tunewright.evaluation.baselines import (
    baseline_texts,
    copy_lead,
    cosine_line,
    lead_baseline,
    majority,
    mean_baseline,
    tfidf_logreg,
    tfidf_ridge,
    vectors_logreg,
    word_lookup,
)
from tunewright.tasks.task import LabelName, Rows, Task


def test_majority_breaks_ties_by_the_alphabet():
    assert majority(["b", "a", "b"], 2) == ["b", "b"]
    assert majority(["b", "a"], 3) == ["a", "a", "a"]


def test_tfidf_learns_words_of_training_only():
    train = ["good fine film", "a good day", "bad film", "so bad a day"]
    labels = [LabelName("up", 1), LabelName("up", 1), LabelName("down", 0), LabelName("down", 0)]
    found = tfidf_logreg(train, labels, ["good good", "bad", "bad unseen words"])
    assert found == ["up", "down", "down"]
    assert {type(label) for label in found} == {str}


def test_tfidf_reads_words_of_one_letter():
    assert tfidf_logreg(["x", "y", "x", "y"], ["X", "Y", "X", "Y"], ["y", "x"]) == ["Y", "X"]


def test_one_class_or_no_words_fall_back_to_the_majority():
    assert tfidf_logreg(["a b", "c"], ["only", "only"], ["a", "z"]) == ["only", "only"]
    assert tfidf_logreg(["!", "?", "…"], ["n", "y", "y"], ["yes"]) == ["y"]
    assert vectors_logreg(np.zeros((2, 3)), ["v", "v"], np.zeros((4, 3))) == ["v"] * 4


def test_vectors():
    train = np.array([[1.0, 0.0], [0.9, 0.1], [0.0, 1.0], [0.1, 0.9]])
    found = vectors_logreg(train, ["east", "east", "north", "north"], np.array([[0.2, 1.0], [1.0, 0.2]]))
    assert found == ["north", "east"]


def test_numbers():
    assert mean_baseline([1.0, 2.0, 6.0], 2) == [3.0, 3.0]
    found = tfidf_ridge(["good good", "bad bad", "good", "bad"], [5.0, 1.0, 5.0, 1.0], ["good", "bad", "unseen"])
    assert 3 < found[0] <= 5 and 1 <= found[1] < 3
    assert found[1] < found[2] < found[0]
    assert tfidf_ridge(["?"], [4.0], ["x", "y"]) == [4.0, 4.0]


def test_lead_of_a_document_is_its_first_sentences():
    text = 'Prices rose. "It hurts." Nobody knew! The end came.\nMore.'
    assert copy_lead(text, words=2) == 'Prices rose. "It hurts." Nobody knew!'
    assert copy_lead("One. Two! Three? Four.", words=1) == "One. Two! Three?"
    assert copy_lead("One line\nTwo line\nThree\nFour", words=1, sentences=2) == "One line Two line"
    assert copy_lead("no stop", words=1) == "no stop"
    assert copy_lead("", words=5) == ""


def test_lead_of_a_dialogue_is_as_long_as_summaries_are():
    chat = "Agent: Hello, how can I help?\nAnn Lee: My parcel is late.\nAgent: I see."
    assert copy_lead(chat, words=8) == "Agent: Hello, how can I help? Ann Lee:"
    assert lead_baseline([chat], ["three words here", "and five words are here"]) == ["Agent: Hello, how can"]


def task_of(columns):
    rows = Rows(columns, [f"test-{i}" for i in range(len(next(iter(columns.values()))))])
    task = Task(
        name="t",
        kind="classify",
        fields=tuple(columns),
        target="label",
        references=None,
        labels=("n", "y"),
        label_words={},
        templates={},
        default_template=None,
        metrics=("accuracy",),
        splits={"test": rows},
    )
    return task, rows


def test_texts_are_the_fields_the_model_sees_without_the_answer():
    task, rows = task_of(
        {
            "id": ["7"],
            "premise": ["It rains."],
            "hypothesis": ["It is wet."],
            "label": ["y"],
            "fine": ["y-very"],
            "year": [1999],
            "facts": ["wet"],
        }
    )
    assert baseline_texts(task, rows, ["premise", "hypothesis", "label", "id", "year", "facts"]) == [
        "It rains.\nIt is wet."
    ]
    assert baseline_texts(task, rows, ["hypothesis"]) == ["It is wet."]


@pytest.mark.parametrize("n", [0, 3])
def test_majority_gives_as_many_as_asked(n):
    assert len(majority(["a"], n)) == n


def test_words_are_looked_up() -> None:
    words = [["New", "York", "is", "New"], ["New", "day"]]
    tags = [["B-l", "I-l", "O", "O"], ["O", "O"]]
    assert word_lookup(words, tags, [["a", "New", "York"], []]) == [["O", "O", "I-l"], []]


def test_a_line_through_cosines() -> None:
    first = np.array([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]])
    second = np.array([[1.0, 0.0], [0.0, 1.0], [0.6, 0.8]])
    found = cosine_line((first, second), [5.0, 1.0, 4.2], (first[:2], second[:2]))
    assert found == pytest.approx([5.0, 1.0])  # the points lie on 1 + 4 · cosine
    assert cosine_line((first[:1], second[:1]), [3.0], (first, second)) == [3.0] * 3
