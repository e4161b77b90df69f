"""The report's HTML: self-contained, escaped, complete, and without what is empty."""

import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import plotly.graph_objects as go
import pytest
from report_sample import LABELS, classification, difference, estimate, one, row, run, study, summaries

from tunewright.errors import MachineError
from tunewright.reports import write_report
from tunewright.reports.build import render_report
from tunewright.reports.figures import curve_figures
from tunewright.reports.styles import assign_styles


class Loaded(HTMLParser):
    """Collects what a browser would fetch, and the scripts and tags of a page."""

    def __init__(self) -> None:
        super().__init__()
        self.resources: list[str] = []
        self.tags: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.resources += [v or "" for k, v in attrs if k in {"src", "href", "srcset", "data", "action", "poster"}]


def without_plotly(page: str) -> str:
    from plotly.offline import get_plotlyjs

    return page.replace(get_plotlyjs(), "")


def text_of(page: str) -> str:
    """The page's visible text with single spaces."""
    bare = re.sub(r"<(script|style)\b.*?</\1>", " ", without_plotly(page), flags=re.S)
    bare = re.sub(r"<[^>]+>", " ", bare)
    for entity, char in (("&#39;", "'"), ("&#34;", '"'), ("&lt;", "<"), ("&gt;", ">"), ("&amp;", "&")):
        bare = bare.replace(entity, char)
    return " ".join(bare.split())


def figures_of(page: str) -> list[dict[str, Any]]:
    return [
        json.loads(text) for text in re.findall(r'<script type="application/json">(.*?)</script>', page, flags=re.S)
    ]


def test_nothing_is_loaded_from_outside() -> None:
    page = render_report(study())
    parser = Loaded()
    parser.feed(without_plotly(page))
    assert sorted(set(parser.resources)) == ["#task-1", "#task-2"]
    assert not {"link", "iframe", "img", "object", "base"} & set(parser.tags)
    assert "url(" not in without_plotly(page) and "@import" not in without_plotly(page)
    assert "http://" not in without_plotly(page) and "https://" not in without_plotly(page)
    # The browser is told so too.
    assert "default-src 'none'" in page


def test_plotly_is_embedded_once_and_only_for_figures() -> None:
    assert render_report(study()).count("* plotly.js v") == 1
    task = classification() | {"table": [], "curves": [], "pairs": [], "examples": []}
    assert "plotly.js v" not in render_report(one(task))


def test_every_text_is_escaped() -> None:
    bad = "<script>alert(1)</script>"

    def spoil(value: Any, key: str = "") -> Any:
        if isinstance(value, dict):
            return {k: spoil(v, k) for k, v in value.items()}
        if isinstance(value, list):
            return [spoil(v, key) for v in value]
        fixed = {"kind", "verdict", "metric"}
        return value + bad if isinstance(value, str) and (key not in fixed or value.startswith("Full")) else value

    page = render_report(spoil(study()))
    assert "<script>alert" not in page
    assert "</script>alert" not in page
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page
    # plotly reads HTML in labels, so they are escaped once more inside the JSON.
    names = [trace["name"] for figure in figures_of(page) for trace in figure["data"]]
    assert names and all("<" not in name for name in names)


def test_template_syntax_in_texts_stays_text() -> None:
    assert "{{ 7 * 7 }} {% raw %}" in text_of(render_report(study() | {"title": "{{ 7 * 7 }} {% raw %}"}))


def test_table_shows_quality_and_cost_in_human_units() -> None:
    text = text_of(render_report(one(classification())))
    assert (
        "full fine-tuning 4 seeds ✗ 1 failed 92.1 [89.3–94.9] 92.0 [89.0–95.0] +37.3 [+33.3 to +41.3], p < 0.001"
        " 135 M 100 % 538 MB 3.4 GB 2 min 31 s 4.2 0"
    ) in text
    assert (
        "LoRA 5 seeds 91.2 [88.1–94.3] 90.9 [87.9–93.9] +36.4 [+32.4 to +40.4], p < 0.001"
        " 1.3 M 0.97 % 5.2 MB 1.2 GB 1 min 24 s 8.4 0" in text
    )
    assert "majority class baseline, 1 seed 25.1 [23.1–27.1] 10.0 [9.0–11.0] – – – – – – –" in text
    assert "64 training rows, 1,200 test rows; compared by accuracy, higher is better" in text


def test_best_value_is_bold_and_only_that() -> None:
    page = render_report(one(classification()))
    assert re.findall(r'class="number best">([^<]*)<', page) == ["92.1", "92.0"]


def test_headline_says_when_a_baseline_is_not_beaten() -> None:
    text = text_of(render_report(one(classification())))
    assert (
        "Highest tuned method: full fine-tuning, accuracy 92.1 [89.3–94.9]; against zero-shot +37.3 [+33.3 to +41.3]."
        in text
    )
    assert (
        "No tuned method is clearly better than the best baseline,"
        " MiniLM vectors + logistic regression (accuracy 91.5 [89.6–93.4])." in text
    )
    beaten = classification()
    beaten["table"] = [r for r in beaten["table"] if r["method"] in ("majority", "lora", "none")]
    assert "Clearly better than the best baseline, majority class (accuracy 25.1 [23.1–27.1])." in text_of(
        render_report(one(beaten))
    )


def test_headline_prefers_the_paired_comparison_with_a_baseline() -> None:
    task = classification()
    minilm = LABELS["minilm"][0]
    task["pairs"] = [
        {"a": minilm, "b": "LoRA", "metric": "accuracy", **estimate(-0.02, 0.01), "p_holm": 0.01, "verdict": "b better"}
    ]
    assert "Clearly better than the best baseline, MiniLM" in text_of(render_report(one(task)))


def test_a_gain_within_chance_is_not_called_a_gain() -> None:
    task = classification()
    task["table"] = [
        row("none", {"accuracy": estimate(0.5, 0.1)}),
        row("lora", {"accuracy": estimate(0.52, 0.1)}, difference=difference(0.02, 0.05, 0.4)),
    ]
    text = text_of(render_report(one(task)))
    assert "against zero-shot +2.0 [−3.0 to +7.0], which is not a clear gain." in text


def test_failed_trials_are_named() -> None:
    text = text_of(render_report(one(classification())))
    assert "✗ full fine-tuning failed: seed 3: the loss is NaN at step 12" in text
    assert "classification head 0 seeds ✗ 2 failed – –" in text


def test_pairs_are_said_in_words_and_decided_ones_come_first() -> None:
    text = text_of(render_report(one(classification())))
    assert "✓ LoRA is better LoRA − prompt tuning (20, class-label) +7.6 [+2.6 to +12.6] 0.021" in text
    assert (
        "✓ full fine-tuning is better prompt tuning (20, class-label) − full fine-tuning −8.5 [−13.5 to −3.5] 0.018"
        in text
    )
    assert "? can't tell LoRA − full fine-tuning −0.9 [−3.9 to +2.1] 0.61" in text
    assert text.index("LoRA is better") < text.index("? can't tell")


def test_lower_is_better() -> None:
    task = classification() | {
        "task": "stars",
        "metric": "mae",
        "higher_is_better": False,
        "pairs": [],
        "curves": [],
        "examples": [],
    }
    task["table"] = [
        row("none", {"mae": estimate(1.31, 0.1), "pearson": estimate(0.21, 0.3)}, seeds=1),
        row(
            "lora",
            {"mae": estimate(0.427, 0.05), "pearson": estimate(0.866, 0.02)},
            difference=difference(-0.883, 0.1, 0.001),
        ),
        row(
            "prompt-tuning",
            {"mae": estimate(0.6, 0.05), "pearson": estimate(0.7, 0.02)},
            difference=difference(-0.71, 0.1, 0.001),
        ),
    ]
    page = render_report(one(task))
    text = text_of(page)
    assert "Lowest tuned method: LoRA, MAE 0.43 [0.38–0.48]; against zero-shot −0.88 [−0.98 to −0.78]." in text
    assert "not a clear gain" not in text
    assert "0.21 [−0.09 to 0.51]" in text
    assert re.findall(r'class="number best">([^<]*)<', page) == ["0.43", "0.87"]
    assert 'aria-sort="ascending"' in page
    # best on top of the figure, unscaled
    assert [trace["x"] for trace in figures_of(page)[0]["data"]] == [[0.427], [0.6], [1.31]]


def test_empty_sections_are_left_out() -> None:
    full = text_of(render_report(study()))
    for heading in (
        "To know before reading",
        "All tasks",
        "Learning curves",
        "What quality costs",
        "Before and after",
        "Tuned methods against each other and the best baseline",
    ):
        assert heading in full
    task = classification() | {"pairs": [], "curves": [], "examples": []}
    task["table"] = [row("none", {"accuracy": estimate(0.5, 0.1)})]
    page = render_report(study() | {"tasks": [task], "notes": [], "verdict": [], "setup": [], "command": ""})
    for heading in (
        "To know before reading",
        "All tasks",
        "Learning curves",
        "What quality costs",
        "Before and after",
        "Tuned methods against each other and the best baseline",
        "peak memory",
        "To make this again",
    ):
        assert heading not in text_of(page)
    assert ">vs zero-shot<" not in page and ">vs zero-shot<" in render_report(study())
    assert 'class="verdict"' not in page and 'class="setup"' not in page and 'class="figures"' not in page


def test_differences_to_the_reference_are_marked() -> None:
    page = render_report(one(summaries()))
    assert "<del>under the wrong date.</del> <ins>a day late.</ins> <span>The desk moves it to tonight</span>" in page
    assert '<em class="quiet">(nothing)</em>' in page
    assert "<ins>Good evening, how can I help?</ins>" in page and "(no word of the reference)" in page
    assert "▲ ROUGE-L 5.0 → 71.0" in page
    assert "in the reference · only in the output · missing from the output" in text_of(page)
    assert re.findall(r'<button type="button" data-method="([^"]*)"', page) == [
        "LoRA",
        "prompt tuning (20, class-label)",
    ]


def test_single_run() -> None:
    text = text_of(render_report(run()))
    assert "All tasks" not in text and "against each other" not in text
    assert "LoRA, accuracy 91.2 [88.1–94.3]; against zero-shot +36.4 [+32.4 to +40.4]." in text
    assert "Learning curves" in text and "Before and after" in text


def test_overview_of_several_tasks() -> None:
    text = text_of(render_report(study()))
    assert "method chat-desk accuracy support-chats ROUGE-L" in text
    assert "LoRA 91.2 [88.1–94.3] 52.3 [49.3–55.3]" in text
    assert "full fine-tuning 92.1 [89.3–94.9] –" in text


def test_figures_are_valid_plotly_and_follow_the_theme() -> None:
    figures = figures_of(render_report(study()))
    assert len(figures) == 8  # per task: quality, two curves (first task only), two costs … and the second's three
    assert len(figures) == 5 + 3
    for figure in figures:
        assert figure["layout"]["font"]["color"] == "var(--text)"
        go.Figure(json.loads(re.sub(r"var\(--\w+\)", "#123456", json.dumps(figure))))


def test_quality_figure_marks_zero_shot_and_draws_intervals() -> None:
    figure = figures_of(render_report(one(classification())))[0]
    assert [trace["name"] for trace in figure["data"]][:2] == [
        "full fine-tuning",
        "MiniLM vectors + logistic regression",
    ]
    assert figure["data"][0]["error_x"]["array"] == [pytest.approx(2.8)]
    assert figure["layout"]["shapes"][0]["x0"] == pytest.approx(54.8)
    assert figure["layout"]["annotations"][0]["text"] == "zero-shot"
    assert figure["data"][1]["marker"]["color"] == "var(--baseline)"


def test_long_labels_are_wrapped_but_stay_apart() -> None:
    task = classification()
    names = [f"prompt tuning with a very long name that goes on and on, variant {i}" for i in (1, 2)]
    for entry, name in zip(task["table"][4:6], names):
        entry["label"] = name
    figure = figures_of(render_report(one(task | {"pairs": [], "curves": [], "examples": []})))[0]
    assert {trace["y"][0] for trace in figure["data"]} >= set(names)
    assert "prompt tuning with a<br>very long name that<br>goes on and on,…" in figure["layout"]["yaxis"]["ticktext"]


def test_cost_figure_has_a_place_for_zero_parameters() -> None:
    figure = figures_of(render_report(one(classification())))[3]
    assert figure["layout"]["xaxis"]["ticktext"][0] == "0"
    zero = figure["layout"]["xaxis"]["tickvals"][0]
    by_name = {trace["name"]: trace["x"][0] for trace in figure["data"]}
    assert by_name["zero-shot"] == pytest.approx(zero)
    assert by_name["LoRA"] == pytest.approx(6.116, abs=0.001)  # log10 of 1,305,600
    assert "majority class" not in by_name  # its cost is None
    assert zero < by_name["MiniLM vectors + logistic regression"]


def test_curves_have_a_thin_line_for_each_seed_and_their_mean() -> None:
    task = classification()
    task["curves"] = [
        {
            "label": "LoRA",
            "seed": 0,
            "steps": [1, 2, 3],
            "loss": [3.0, 2.0, 1.0],
            "validation_steps": [],
            "validation": [],
        },
        {"label": "LoRA", "seed": 1, "steps": [1, 2], "loss": [1.0, None], "validation_steps": [], "validation": []},
    ]
    figures = curve_figures(task, assign_styles([task]))
    assert len(figures) == 1  # nothing on validation
    thin, other, mean = figures[0]["data"]
    assert (thin["y"], other["y"], mean["y"]) == ([3.0, 2.0, 1.0], [1.0], [2.0])
    assert mean["line"]["width"] > thin["line"]["width"]
    assert mean["x"] == [1]  # the only step both seeds have


def test_long_curves_are_thinned_by_means() -> None:
    task = classification()
    task["curves"] = [
        {
            "label": "LoRA",
            "seed": 0,
            "steps": list(range(1, 601)),
            "loss": [1.0, 3.0] * 300,
            "validation_steps": [],
            "validation": [],
        }
    ]
    trace = curve_figures(task, assign_styles([task]))[0]["data"][0]
    assert len(trace["x"]) == 300 and trace["x"][0] == 2 and set(trace["y"]) == {2.0}


def test_validation_may_be_another_metric() -> None:
    task = run()["tasks"][0] | {"validation_metric": "loss"}
    figure = figures_of(render_report(one(task)))[2]
    assert figure["data"][0]["y"][0] == pytest.approx(0.54)  # not times 100


def test_not_a_number_is_unknown() -> None:
    task = classification()
    task["table"][4]["metrics"]["accuracy"] = {"value": 0.9, "low": float("nan"), "high": float("nan")}
    task["table"][5]["metrics"]["accuracy"]["value"] = float("nan")
    task["curves"][0]["loss"][3] = float("inf")
    page = render_report(one(task))
    assert "NaN," not in page.split("plotly.js v")[0] and "Infinity" not in page.split("plotly.js v")[0]
    assert "LoRA 5 seeds 90.0 90.9" in text_of(page)
    assert "prompt tuning (20, class-label) 5 seeds – 83.0" in text_of(page)


def test_written_atomically_and_disk_errors_are_clear(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "report.html"
    write_report(path, run())
    assert path.read_text(encoding="utf-8").startswith("<!doctype html>")
    assert [p.name for p in path.parent.iterdir()] == ["report.html"]
    with pytest.raises(MachineError, match="cannot be written"):
        write_report(tmp_path / "deep", run())  # a folder stands there
