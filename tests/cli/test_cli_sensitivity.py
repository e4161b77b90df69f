"""`tunewright sensitivity`: what it prints and writes, soft prompts beside the templates, bad input."""

import json
import re
import sys
from pathlib import Path
from typing import Any

import pytest
from cli_files import Run, write_recipe

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "sensitivity"))
sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "docs" / "results"))

import sensitivity as results_page
from sensitivity_parts import tree

SOFT = {"method": {"name": "prompt-tuning", "length": 3}, "seeds": [0, 1], "training": {"steps": 2, "batch_size": 2}}


def file(folder: Path, llama: Path, **keys: Any) -> Path:
    return write_recipe(folder, tree(folder, llama, **keys), "sensitivity.yaml")


def test_a_comparison(cli: Run, llama: Path, tmp_path: Path) -> None:
    path = file(tmp_path, llama, sensitivity={"soft": {**SOFT, "template": "plain"}})
    done = cli("sensitivity", path)
    assert done.code == 0, done.err
    assert "accuracy of 3 templates on 7 test rows of rows" in done.out
    for label in ("zero-shot plain", "zero-shot contextual", "soft: prompt-tuning"):
        assert any(line.strip().startswith(label) for line in done.out.splitlines()), label
    assert "zero-shot contextual − zero-shot plain: " in done.out
    assert "left out: soft: it has soft slots" in done.err and "left out: middle: " in done.err
    out = tmp_path / "out"
    assert {one.name for one in out.iterdir()} == {
        "recipe.yaml", "environment.json", "cells.jsonl", "sensitivity.json", "report.html", "soft",
    }  # fmt: skip
    value = json.loads((out / "sensitivity.json").read_text())
    assert [one["seed"] for one in value["soft"]["seeds"]] == [0, 1]
    assert len((out / "soft/seed-1/metrics.jsonl").read_text().splitlines()) >= 2
    page = (out / "report.html").read_text(encoding="utf-8")
    figures = re.findall(r'<script type="application/json">(.*?)</script>', page, re.DOTALL)
    (figure,) = [json.loads(one) for one in figures]
    from plotly import graph_objects

    graph_objects.Figure(**{key: figure[key] for key in ("data", "layout")})
    assert figure["layout"]["yaxis"]["ticktext"] == ["zero-shot plain", "zero-shot contextual", "soft: prompt-tuning"]
    hovers = [text for trace in figure["data"] for text in trace["text"]]
    assert sum("<br>question<br>What is this about?<br>{{ text }}" in text for text in hovers) == 2
    assert [text for text in hovers if "seed 1" in text] and sum("picked on validation" in text for text in hovers) == 2
    lines = "\n".join(results_page.page([value]).splitlines())
    assert "| zero-shot plain | 3 | " in lines and "| soft: prompt-tuning | 2 seeds | " in lines
    assert cli("sensitivity", path).code == 2  # already there
    again = cli("sensitivity", path, "--resume", "--json")
    assert again.code == 0, again.err
    assert again.json["groups"] == value["groups"] and again.json["soft"] == value["soft"]


def test_what_stands_in_a_template_cannot_reach_the_page(cli: Run, llama: Path, tmp_path: Path) -> None:
    bad = ["plain", {"jinja": "</script><img src=x> {{ text }}\n{{ answer }}"}]
    done = cli("sensitivity", file(tmp_path, llama, template=bad))
    assert done.code == 0, done.err
    assert "<img src=x>" not in (tmp_path / "out/report.html").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        ({"template": "plain"}, "template: at least two wanted to compare, found 'plain'"),
        ({"template": ["plain", "questoin"]}, "'questoin' is no template of task"),
        ({"template": []}, "template: the list is empty"),
        ({"template": ["plain", "soft"]}, "template 'soft': it has soft slots"),
        ({"template": ["plain", "middle"]}, "'middle'"),
        ({"template": ["plain", "plain"]}, "'plain' is named twice"),
        ({"sensitivity": {"calibration": ["contextul"]}}, "sensitivity.calibration"),
        ({"sensitivity": {"calibration": []}}, "sensitivity.calibration"),
        ({"sensitivity": {"normalisation": "bytes"}}, "sensitivity.normalisation"),
        ({"sensitivity": {"orders": 2}}, "orders wants examples"),
        ({"sensitivity": {"examples": -1}}, "sensitivity.examples"),
        ({"sensitivity": {"examples": 99}}, "sensitivity.examples: 99 wanted, task"),
        ({"sensitivity": {"exampels": 2}}, "unknown key 'sensitivity.exampels' (did you mean 'examples'?)"),
        ({"sensitivity": {"soft": {**SOFT, "method": "prompt-tunin"}}}, "prompt-tunin"),
        ({"sensitivity": {"soft": {**SOFT, "seeds": []}}}, "sensitivity.soft.seeds"),
        ({"sensitivity": {"soft": {**SOFT, "training": {"seed": 3}}}}, "seeds says the seeds"),
        ({"sensitivity": {"soft": {**SOFT, "training": {"stepz": 3}}}}, "sensitivity.soft: unknown key"),
        ({"sensitivity": {"soft": {**SOFT, "template": "nope"}}}, "'nope' is no template of task"),
        ({"evaluation": {"metrics": ["accurracy"]}}, "unknown metric 'accurracy'"),
        ({"method": "lora"}, "unknown key 'method'"),
    ],
)  # fmt: skip
def test_bad_input(cli: Run, llama: Path, tmp_path: Path, keys: dict[str, Any], said: str) -> None:
    done = cli("sensitivity", file(tmp_path, llama, **keys))
    assert done.code == 2, done.err
    assert said in " ".join(done.err.split())
    assert "Traceback" not in done.err
    assert not (tmp_path / "out").exists()


def test_other_kinds_and_other_commands(cli: Run, llama: Path, tmp_path: Path) -> None:
    rows = "".join(json.dumps({"text": f"row {i}", "target": "x"}) + "\n" for i in range(9))
    (tmp_path / "texts.jsonl").write_text(rows, encoding="utf-8")
    task = {"path": str(tmp_path / "texts.jsonl"), "kind": "generate", "fields": {"text": "text", "target": "target"}}
    done = cli(
        "sensitivity", file(tmp_path, llama, task={**task, "templates": {"a": "{{ text }}", "b": "{{ text }}:"}})
    )
    assert (done.code, "of kind classify or choose, this one is generate" in " ".join(done.err.split())) == (2, True)
    done = cli("tune", file(tmp_path, llama))
    assert (done.code, "a file for `tunewright sensitivity`" in done.err) == (2, True)
