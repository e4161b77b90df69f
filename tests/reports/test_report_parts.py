"""The report's small parts: numbers, word differences, the choice of examples, styles."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tunewright.reports import formats
from tunewright.reports.cost_figures import spread
from tunewright.reports.diff import Piece, word_diff
from tunewright.reports.examples import choose, example_cards, marked
from tunewright.reports.styles import PATHS, assign_styles


@pytest.mark.parametrize(
    ("show", "value", "text"),
    [
        (formats.count, 0, "0"),
        (formats.count, 999, "999"),
        (formats.count, 1000, "1.0 k"),
        (formats.count, 11_520, "12 k"),
        (formats.count, 1_305_600, "1.3 M"),
        (formats.count, 999_700, "1.0 M"),
        (formats.count, 134_515_008, "135 M"),
        (formats.count, 7_000_000_000, "7.0 B"),
        (formats.count, None, "–"),
        (formats.size, 512, "512 B"),
        (formats.size, 22_000, "22 kB"),
        (formats.size, 1_210_000_000, "1.2 GB"),
        (formats.size, None, "–"),
        (formats.seconds, 0, "0 s"),
        (formats.seconds, 0.05, "0.05 s"),
        (formats.seconds, 3.4, "3.4 s"),
        (formats.seconds, 9.97, "10 s"),
        (formats.seconds, 34.2, "34 s"),
        (formats.seconds, 59.7, "1 min"),
        (formats.seconds, 125, "2 min 5 s"),
        (formats.seconds, 4320, "1 h 12 min"),
        (formats.seconds, 3599.8, "1 h"),
        (formats.seconds, None, "–"),
        (formats.rate, 8.44, "8.4"),
        (formats.rate, 5100.4, "5,100"),
        (formats.whole, 11_520, "11,520"),
        (formats.p_value, 0.0001, "p < 0.001"),
        (formats.p_value, 0.0121, "p = 0.012"),
        (formats.p_value, 0.341, "p = 0.34"),
        (formats.p_value, None, ""),
    ],
)
def test_numbers(show: object, value: float | None, text: str) -> None:
    assert show(value) == text  # type: ignore[operator]


def test_metric_values() -> None:
    assert formats.metric_value("accuracy", 0.912) == "91.2"
    assert formats.metric_value("accuracy", 0.05, signed=True) == "+5.0"
    assert formats.metric_value("accuracy", -0.05, signed=True) == "−5.0"
    assert formats.metric_value("accuracy", -0.0001, signed=True) == "0.0"
    assert formats.metric_value("pearson", 0.8661) == "0.87"
    assert formats.metric_value("mae", 0.4271) == "0.43"
    assert formats.metric_value("accuracy", None) == "–"
    assert formats.estimate_text("accuracy", {"value": 0.912, "low": 0.88, "high": 0.941}) == "91.2 [88.0–94.1]"
    assert formats.estimate_text("spearman", {"value": 0.1, "low": -0.2, "high": 0.4}) == "0.10 [−0.20 to 0.40]"
    assert formats.estimate_text("accuracy", {"value": 0.5, "low": None, "high": None}) == "50.0"
    assert formats.metric_name("rouge-1") == "ROUGE-1"
    assert formats.share(1_305_600, 134_515_008) == "0.97 %"
    assert formats.share(5, None) == ""


def test_word_diff_marks_same_extra_and_missing() -> None:
    assert word_diff("The guest gets room 214 tonight.", "the guest wants room 214") == [
        Piece("same", "the guest"),
        Piece("missing", "gets"),
        Piece("extra", "wants"),
        Piece("same", "room 214"),
        Piece("missing", "tonight."),
    ]
    assert word_diff("yes", "Yes!") == [Piece("same", "Yes!")]
    assert word_diff("- !", "!") == [Piece("missing", "-"), Piece("same", "!")]
    assert word_diff("sport", "") == [Piece("missing", "sport")]
    assert word_diff("", "") == []


def test_an_output_without_a_word_of_the_reference_stands_alone() -> None:
    assert marked("room lost", "hello there") == ([Piece("extra", "hello there")], "no word of the reference")
    assert marked("room lost", " \n") == ([], "nothing")
    assert marked("room lost", "room") == ([Piece("same", "room"), Piece("missing", "lost")], "")
    assert marked("", "room") == ([Piece("extra", "room")], "")


def test_word_diff_of_a_huge_text_is_cut() -> None:
    pieces = word_diff("word " * 100_000, "word " * 100_000)
    assert pieces == [Piece("same", " ".join(["word"] * 300)), Piece("same", "…")]


@given(st.text(alphabet="ab .\n", max_size=60), st.text(alphabet="ab .\n", max_size=60))
def test_word_diff_keeps_every_word_of_both(reference: str, output: str) -> None:
    pieces = word_diff(reference, output)
    shown = " ".join(p.text for p in pieces if p.kind != "missing").split()
    assert shown == output.split()
    kept = sum(len(p.text.split()) for p in pieces if p.kind != "extra")
    assert kept == len(reference.split())


def example(number: int, before: float | None, after: float | None, method: str = "LoRA") -> dict:
    return {
        "id": str(number),
        "prompt": "p",
        "target": "t",
        "before": "b",
        "method": method,
        "after": "t",
        "before_score": before,
        "after_score": after,
    }


def test_examples_are_the_largest_gains_and_then_the_largest_losses() -> None:
    examples = [example(i, 0.5, i / 20) for i in range(20)]  # gains from -0.5 to 0.45
    assert [e["id"] for e in choose(examples, True)] == ["19", "18", "17", "16", "15", "14", "13", "12", "2", "1", "0"]
    assert [e["id"] for e in choose(examples, False)][:2] == ["0", "1"]
    assert [e["id"] for e in choose([example(i, None, None) for i in range(20)], True)] == [str(i) for i in range(11)]


def test_example_cards_are_chosen_for_each_method() -> None:
    examples = [example(i, 0.0, 1.0, m) for i in range(15) for m in ("LoRA", "head")]
    examples[0]["prompt"] = "long " * 2000
    task = {"metric": "accuracy", "higher_is_better": True, "examples": examples}
    cards = example_cards(task)  # type: ignore[arg-type]
    assert [c["method"] for c in cards] == ["LoRA"] * 11 + ["head"] * 11
    assert cards[0]["change"] == "better" and (cards[0]["before_score"], cards[0]["after_score"]) == ("0.0", "100.0")
    assert cards[0]["characters"] == 10_000 and len(cards[0]["prompt"]) == 6002 and cards[0]["beginning"].endswith("…")
    assert cards[1]["beginning"] == ""


def test_points_at_one_place_are_moved_apart() -> None:
    assert spread([5.0, 1.0, 1.0, 1.0], 0.2) == pytest.approx([5.0, 0.8, 1.0, 1.2])


def test_styles_differ_between_methods_and_baselines_are_grey() -> None:
    kinds = {f"m{i}": "tuned" for i in range(20)} | {"z": "zero-shot"} | {f"b{i}": "baseline" for i in range(5)}
    table = [{"label": label, "kind": kind} for label, kind in kinds.items()]
    styles = assign_styles([{"table": table, "curves": []}])  # type: ignore[list-item, typeddict-item]
    assert len(set(styles.values())) == 26
    assert (
        styles["m0"].color == "#0072B2"
        and styles["b0"].color == "var(--baseline)"
        and styles["z"].color == "var(--text)"
    )
    assert all(style.symbol.removesuffix("-open") in PATHS for style in styles.values())
