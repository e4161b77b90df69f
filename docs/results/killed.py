"""Kill a P-Tuning run in mid-training, resume it, and compare: `python docs/results/killed.py PAGE.md`.

One run goes through, the other is killed (SIGKILL) after its first checkpoint and started again with --resume. What
both keep must be the same, byte for byte.
"""

import hashlib
import json
import signal
import subprocess
import sys
import tempfile
import time
from importlib.metadata import version
from pathlib import Path

import yaml

from tunewright.runs.environment import hardware

RECIPE = {
    "model": "smollm2-135m-instruct",
    "task": "bbc-news",
    "shots": 8,
    "template": "plain",
    "method": {"name": "p-tuning", "length": 6},
    "training": {"steps": 24, "batch_size": 4, "max_tokens": 64, "evaluate_every": 8, "checkpoint_every": 5, "seed": 0},
    "evaluation": {"rows": 20, "validation_rows": 10, "baselines": False},
    "output": "run",
}


def tune(recipe: Path, folder: Path, *more: str) -> subprocess.Popen[str]:
    """Start `tunewright tune` in the folder's parent, so that the recipes are the same to the letter."""
    folder.parent.mkdir(exist_ok=True)
    command = [sys.executable, "-c", "from tunewright.cli.main import run; run()", "tune", str(recipe)]
    return subprocess.Popen(
        [*command, *more], cwd=folder.parent, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, text=True
    )


def finish(process: subprocess.Popen[str]) -> None:
    """Wait for a run that has to end well."""
    if process.wait() != 0:
        raise SystemExit(f"a run ended with {process.returncode}")


def kill_after_a_checkpoint(process: subprocess.Popen[str], folder: Path) -> int:
    """Kill the run as soon as it has taken another step after its first checkpoint; the steps it had logged."""
    while process.poll() is None and not list((folder / "checkpoints").glob("step-*")):
        time.sleep(0.05)
    time.sleep(0.5)
    process.send_signal(signal.SIGKILL)
    process.wait()
    if process.returncode != -signal.SIGKILL:
        raise SystemExit("the run ended before it could be killed")
    return max(int(path.name.partition("-")[2]) for path in (folder / "checkpoints").glob("step-*"))


def hashes(folder: Path) -> dict[str, str]:
    """SHA-256 of all that a run keeps."""
    tuned = folder / "tuned"
    return {
        str(path.relative_to(tuned)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(tuned.rglob("*"))
        if path.is_file()
    }


def steps(folder: Path) -> list[dict[str, object]]:
    """Loss, rate and gradient of every step."""
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text(encoding="utf-8").splitlines()]


def main() -> None:
    """The command."""
    page = Path(sys.argv[1])
    with tempfile.TemporaryDirectory() as inside:
        place = Path(inside)
        recipe = place / "recipe.yaml"
        recipe.write_text(yaml.safe_dump(RECIPE), encoding="utf-8")
        whole, killed = place / "whole" / "run", place / "killed" / "run"
        finish(tune(recipe, whole))
        kept_step = kill_after_a_checkpoint(tune(recipe, killed), killed)
        finish(tune(recipe, killed, "--resume"))
        weights, log = hashes(whole) == hashes(killed), steps(whole) == steps(killed)
        answers = (whole / "predictions.jsonl").read_bytes() == (killed / "predictions.jsonl").read_bytes()
        rows = [f"| `{name}` | `{digest[:16]}…` | `{hashes(killed)[name][:16]}…` |"
                for name, digest in hashes(whole).items()]  # fmt: skip
    machine = hardware()
    words = {True: "the same, byte for byte", False: "**different**"}
    lines = [
        "# A run killed and resumed", "",
        f"- Made {time.strftime('%Y-%m-%d')} by `python docs/results/killed.py {page}`",
        f"- Machine: {machine['name']} ({machine['device']}), {machine['threads']} threads; torch {version('torch')}",
        f"- P-Tuning of SmolLM2-135M-Instruct (BiLSTM encoder, {RECIPE['method']['length']} slots), "  # type: ignore[index]
        f"{RECIPE['training']['steps']} steps, a checkpoint every {RECIPE['training']['checkpoint_every']}. "  # type: ignore[index]
        f"Killed (SIGKILL) with the checkpoint of step {kept_step}, then `--resume`.", "",
        f"What is kept: {words[weights]}. Loss, rate and gradient of every step: {words[log]}. "
        f"Answers: {words[answers]}.", "",
        "| file | SHA-256, in one go | killed and resumed |", "|---|---|---|", *rows, "",
    ]  # fmt: skip
    page.write_text("\n".join(lines), encoding="utf-8")
    print(page.read_text(encoding="utf-8"))


if __name__ == "__main__":
    main()
