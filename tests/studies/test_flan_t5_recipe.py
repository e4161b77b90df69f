"""recipes/flan-t5-dialogsum.yaml as it stands, on a tiny random T5 and tiny dialogues."""

import json
from pathlib import Path

import pytest
from tiny import tiny_folder

from tunewright.studies.compare import compare

RECIPE = Path(__file__).resolve().parents[2] / "recipes/flan-t5-dialogsum.yaml"


def test_three_ways_on_dialogues(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "data/dialogsum"
    folder.mkdir(parents=True)
    rows = [
        {"id": f"{i}", "dialogue": f"#Person1#: the dog {i}\n#Person2#: rain and snow", "summary": f"rain {i}"}
        for i in range(24)
    ]
    for split, some in (("train", rows[:16]), ("validation", rows[16:20]), ("test", rows[20:])):
        text = "".join(json.dumps(row | {"summaries": [row["summary"], "snow"]}) + "\n" for row in some)
        (folder / f"{split}.jsonl").write_text(text, encoding="utf-8")
    monkeypatch.setenv("TUNEWRIGHT_DATA", str(tmp_path / "data"))
    model = tiny_folder(tmp_path / "t5", "t5-untied")
    changes = [f"base.model={model}", "base.training.steps=2", "base.training.precision=fp32", "seeds=1",
               "base.evaluation.max_new_tokens=4"]  # fmt: skip
    found = compare(RECIPE, overrides=changes, output=tmp_path / "study")
    assert found.failed == []
    (table,) = found.tables
    assert table["task"] == "dialogsum" and table["metric"] == "rouge-1"
    rows_of = {row["label"]: row for row in table["rows"]}
    assert {"zero-shot", "full", "LoRA", "prompt tuning"} <= set(rows_of)
    assert rows_of["prompt tuning"]["cost"]["trained_parameters"] == 100 * 32
    trials = sorted((tmp_path / "study/trials/dialogsum").iterdir())
    assert [trial.name for trial in trials] == ["full", "lora", "prompt-tuning"]
    said = json.loads((trials[0] / "seed-0/predictions.jsonl").read_text().splitlines()[0])
    assert "Briefly summarize that dialogue." in json.dumps(said)
