"""Write what prompts cost: `python docs/results/prompt_speed.py PAGE.md [--rows 500] [--pairs 3]`.

Runs benchmarks/render.py and benchmarks/sensitivity_cost.py, and keeps what they print.
"""

import argparse
import platform
import subprocess
import sys
from datetime import date
from pathlib import Path

import torch

ROOT = Path(__file__).resolve().parents[2]


def said(script: str, *arguments: str) -> str:
    """What a benchmark prints."""
    command = [sys.executable, str(ROOT / "benchmarks" / script), *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.rstrip()


def main() -> None:
    """Both benchmarks, then the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("page", type=Path)
    parser.add_argument("--rows", default="500", help="rows a template")
    parser.add_argument("--pairs", default="3", help="how often each side is measured")
    given = parser.parse_args()
    machine = f"{platform.machine()}, {torch.get_num_threads()} threads, Python {platform.python_version()}"
    cost = ("--rows", given.rows, "--pairs", given.pairs)
    lines = [
        "# What prompts cost", "", f"Made {date.today()} on {machine}, torch {torch.__version__}, by", "",
        f"    python docs/results/prompt_speed.py {given.page} {' '.join(cost)}", "",
        "## Rendering, on one core", "", "Goal: 20,000 rows a second.", "", "```", said("render.py"), "```", "",
        "## All choices of all templates, beside one pass over the prompts", "",
        "Goal: at most 1.2 times the single passes.", "", "```", said("sensitivity_cost.py", *cost), "```", "",
    ]  # fmt: skip
    given.page.write_text("\n".join(lines), encoding="utf-8")


if __name__ == "__main__":
    main()
