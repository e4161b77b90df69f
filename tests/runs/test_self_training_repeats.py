"""Self-training where a label is rare: its rows come several times; and a round that is stopped in its last step."""

from pathlib import Path

import pytest
from run_parts import read
from stopping import stop_at
from test_self_training import LABELS, prepared_of, self_recipe

from tunewright.runs.run import run
from tunewright.runs.self_training import Picked, picks, round_line, with_pseudo_labels
from tunewright.runs.unlabelled import unlabelled_rows
from tunewright.training.loop import Interrupted

FIVE_A_TWO_B = [
    (0.99, 0.01, 0.0), (0.9, 0.05, 0.05), (0.1, 0.9, 0.0), (0.97, 0.02, 0.01), (0.05, 0.95, 0.0), (0.98, 0.01, 0.01),
    (0.96, 0.02, 0.02), (0.4, 0.3, 0.3),
]  # fmt: skip


def kept(per_class: int | None, repeats: int) -> list[tuple[int, str, int]]:
    found = picks(LABELS, FIVE_A_TWO_B, 0.9, per_class, repeats)[1]
    return [(one.row, one.label, one.times) for one in found]


def test_rows_of_a_rare_label_come_several_times() -> None:
    once = [(0, "a", 1), (2, "b", 1), (4, "b", 1), (5, "a", 1)]
    assert kept(None, 1) == once
    four = [(0, "a", 1), (2, "b", 2), (3, "a", 1), (4, "b", 2), (5, "a", 1), (6, "a", 1)]
    assert kept(None, 2) == four  # twice the two of b
    all_five = [(0, "a", 1), (1, "a", 1), (2, "b", 2), (3, "a", 1), (4, "b", 3), (5, "a", 1), (6, "a", 1)]
    assert kept(None, 9) == all_five  # no more than a has; the surer of b once more
    assert kept(3, 9) == [(0, "a", 1), (2, "b", 1), (3, "a", 1), (4, "b", 2), (5, "a", 1)]
    assert kept(1, 9) == [(0, "a", 1), (4, "b", 1)]


def test_they_stand_there_so_often() -> None:
    prepared = prepared_of()
    rows = unlabelled_rows(prepared, prepared.recipe.self_training).rows  # type: ignore[arg-type]
    part = with_pseudo_labels(prepared, rows, [Picked(1, "money", 0.9, 3), Picked(4, "sport", 0.8)], 0.5)
    train = part.task.split("train")
    assert train.ids[6:] == [rows.ids[1]] * 3 + [rows.ids[4]]
    assert train.columns["label"][6:] == ["money", "money", "money", "sport"]
    assert train.columns["text"][6:] == [rows.columns["text"][i] for i in (1, 1, 1, 4)]
    examples = part.encoder(train).examples(range(10), 0, "answer")
    assert [example.weight for example in examples if example] == [1.0] * 6 + [0.5] * 4


def test_a_line_about_a_round() -> None:
    one = {"round": 1, "unlabelled": 9, "confident": 7, "kept": {"a": 4, "b": 2, "c": 0}, "rows": 8, "right": None}
    assert round_line(one) == "round 1: of 9 rows 7 are sure, 6 kept (a 4, b 2, c 0), repeated to 4 of each"
    assert round_line({**one, "rows": 6}) == "round 1: of 9 rows 7 are sure, 6 kept (a 4, b 2, c 0)"


def test_stopped_in_the_last_step_of_a_round(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two passes measure memory, six steps are a training: after the sixth the round is finished, no other begins."""
    monkeypatch.setattr("tunewright.runs.run.write_report", lambda *_: None)
    recipe = self_recipe("head", "masked", rounds=1)
    run(recipe, tmp_path / "whole")
    with monkeypatch.context() as inside:
        stop_at(8, inside)
        with pytest.raises(Interrupted, match=r"interrupted after round 1; saved in .*--resume"):
            run(recipe, tmp_path / "stopped")
    assert (tmp_path / "stopped/rounds/1/round.json").is_file()
    run(recipe, tmp_path / "stopped", resume=True)
    one = read(tmp_path / "stopped", "self-training.json")["rounds"][0]
    assert one["rows"] >= sum(one["kept"].values())
    for name in ("predictions.jsonl", "tuned/weights.safetensors", "rounds/1/pseudo-labels.jsonl"):
        assert (tmp_path / "whole" / name).read_bytes() == (tmp_path / "stopped" / name).read_bytes(), name
