"""Does a search find a better template than people wrote? `python docs/results/searched.py FOLDER PAGE.md`.

For each task and seed: `tunewright search template` over the catalog's own templates and their variants by rule, all
scored on the rows drawn (training and validation). Two are then asked on test rows, read for the first time: the best
template of the catalog, and the winner of all. What is finished in FOLDER is not done again.
"""

import json
import subprocess
import sys
from datetime import date
from pathlib import Path

import numpy as np
import yaml

from tunewright.evaluation.differences import difference, mean_interval
from tunewright.tasks.catalog import catalog_entry

MODEL, TASKS, SEEDS = "smollm2-135m-instruct", ("sst2", "snli", "trec"), (0, 1, 2)
SHOTS, CANDIDATES, TEST_ROWS = 16, 40, 500
ASIDE = ("chat",)  # wrapped in a chat; variants by rule are plain text


def tunewright(*arguments: str) -> None:
    """Run a command of the project."""
    subprocess.run([Path(sys.executable).with_name("tunewright"), *arguments], check=True)


def templates_of(task: str) -> list[str]:
    """The catalog's templates that a causal model can be asked with: the answer is their end."""
    found = catalog_entry(task).templates
    ends = {name: block if isinstance(block, str) else block.jinja for name, block in found.items()}
    return [n for n, jinja in ends.items() if n not in ASIDE and jinja.rstrip(" .\n").endswith("{{ answer }}")]


def search(folder: Path, task: str, seed: int) -> Path:
    """The search's folder, finished."""
    place = folder / f"{task}-seed-{seed}"
    recipe = {
        "model": MODEL, "task": task, "shots": SHOTS, "template": templates_of(task),
        "search": {"generators": ["rules"], "candidates": CANDIDATES, "keep": CANDIDATES},
        "training": {"max_tokens": 160, "seed": seed},
    }  # fmt: skip
    if not (place / "leaderboard.json").is_file():
        file = folder / f"{task}-seed-{seed}.yaml"
        file.write_text(yaml.safe_dump(recipe, sort_keys=False))
        tunewright("search", "template", str(file), "--output", str(place), *(["--resume"] if place.exists() else []))
    return place


def test(folder: Path, task: str, name: str, place: dict) -> list[float]:
    """1 or 0 for each test row: the template asked, nothing tuned."""
    run = folder / name
    if not (run / "report.html").is_file():
        keys = ("jinja", "chat", "answer_choices", "label_words")
        recipe = {
            "model": MODEL, "task": task, "template": {key: place[key] for key in keys if place.get(key)},
            "method": "none", "training": {"max_tokens": 160},
            "evaluation": {"rows": TEST_ROWS, "baselines": False},
        }  # fmt: skip
        file = folder / f"{name}.yaml"
        file.write_text(yaml.safe_dump(recipe, sort_keys=False))
        tunewright("tune", str(file), "--output", str(run), "--overwrite")
    lines = [json.loads(line) for line in (run / "predictions.jsonl").read_text().splitlines()]
    lines.sort(key=lambda line: str(line["id"]))
    return [float(line["after"] == line["target"]) for line in lines]


def main(folder: Path, page: Path) -> None:
    """All tasks and seeds, then the page."""
    folder.mkdir(parents=True, exist_ok=True)
    lines = ["# A search's winner against the best template of the catalog", "",
             f"Made {date.today()} by", "", f"    python docs/results/searched.py FOLDER {page}", "",
             f"{MODEL}, not tuned. {SHOTS} training rows a class and as many validation rows (200 at most) decide; "
             f"{CANDIDATES} candidates, the catalog's templates among them, the others variants of them by rule; all "
             f"scored on all rows. Test: {TEST_ROWS} rows (all where there are fewer), accuracy, "
             "95 % intervals over rows and seeds. A seed draws the rows that decide; "
             "equal templates have equal scores.",
             "",
             "| task | the catalog's templates | best of them | winner of the search | difference |",
             "|---|---|---|---|---|"]  # fmt: skip
    details = []
    for task in TASKS:
        manual, winner = [], []
        for seed in SEEDS:
            place = search(folder, task, seed)
            places = json.loads((place / "leaderboard.json").read_text())["places"]
            own = next(p for p in places if p["how"].startswith("given: "))
            for found, rows, name in ((own, manual, "best-manual"), (places[0], winner, "winner")):
                rows.append(test(folder, task, f"{task}-seed-{seed}-{name}", found))
                details.append(
                    f"| {task} | {seed} | {name} | {found['how']} | `{found['jinja']!r}` | "
                    f"{found['score']['value']:.3f} | {np.mean(rows[-1]):.3f} |"
                )
        a, b, d = mean_interval(manual), mean_interval(winner), difference(winner, manual)
        lines.append(
            f"| {task} | {len(templates_of(task))} | {a.value:.3f} [{a.low:.3f}–{a.high:.3f}] | "
            f"{b.value:.3f} [{b.low:.3f}–{b.high:.3f}] | {d.value:+.3f} [{d.low:+.3f}–{d.high:+.3f}] |"
        )
    head = ["", "| task | seed | | how | template | accuracy where chosen | test |", "|---|---|---|---|---|---|---|"]
    page.write_text("\n".join([*lines, *head, *details, ""]))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
