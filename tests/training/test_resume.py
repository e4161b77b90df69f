"""Killed, interrupted or out of disk: the checkpoint stands, and what goes on from it ends with the same weights."""

import os
import resource
import shutil
import signal
import time
from pathlib import Path
from typing import Any

import pytest
import torch
from tiny import tiny_prepared, tiny_train

from tunewright.errors import InputError, MachineError
from tunewright.runs.prepare import Prepared
from tunewright.training import checkpoint
from tunewright.training.loop import Interrupted
from tunewright.training.tuner import Tuner

STEPS = 9


class Crash(Exception):
    """Stands for anything that ends the program."""


def fresh(method: Any, arch: str, **training: Any) -> Prepared:
    block = {"steps": STEPS, "evaluate_every": 2, "checkpoint_every": 4, "learning_rate": 0.01, **training}
    return tiny_prepared(method, arch, training=block)


class Looks:
    """Validation whose n-th look (from 1) does something."""

    def __init__(self, at: int, do: Any) -> None:
        self.count, self.at, self.do = 0, at, do

    def __call__(self, tuner: Tuner) -> list[float]:
        self.count += 1
        if self.count == self.at:
            self.do()
        return [-abs(self.count - 3.0)]  # the third look is the best


class LooksOn(Looks):
    """The same looks, from a checkpoint after `done` of them on."""

    def __init__(self, done: int) -> None:
        super().__init__(0, None)
        self.count = done


def crash() -> None:
    raise Crash


def weights(prepared: Prepared) -> dict[str, torch.Tensor]:
    return {name: p.detach().clone() for name, p in prepared.tuner.state_dict().items()}


def same(a: Prepared, b: Prepared) -> bool:
    ours, theirs = weights(a), weights(b)
    return ours.keys() == theirs.keys() and all(torch.equal(ours[name], theirs[name]) for name in ours)


def metrics(folder: Path) -> str:
    return (folder / "metrics.jsonl").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("method", "arch", "optimizer"),
    [
        ("prompt-tuning", "llama", "adamw"),
        ("prompt-tuning", "t5", "adafactor"),
        ("prompt-tuning", "bert", "sgd"),
        ("p-tuning", "llama", "adamw"),
        ("p-tuning", "t5", "adafactor"),
        ("lora", "gpt2", "adamw"),
        ("lora", "bart", "sgd"),
        ("full", "t5", "adafactor"),
        ("full", "opt", "adamw"),
        ("full", "roberta", "sgd"),
        ("head", "bert", "adamw"),
        ("head", "llama", "adafactor"),
        ({"name": "soft-verbalizer", "train": "model"}, "llama", "adamw"),
    ],
)
def test_a_crash_and_on(tmp_path: Path, method: Any, arch: str, optimizer: str) -> None:
    """Checkpoint after step 4 (two looks), crash in the look after step 8; dropout is on."""
    whole = fresh(method, arch, optimizer=optimizer)
    trained = tiny_train(whole, tmp_path / "whole", look=LooksOn(0))
    assert trained.best_step == 6

    broken = fresh(method, arch, optimizer=optimizer)
    with pytest.raises(Crash):
        tiny_train(broken, tmp_path / "run", look=Looks(4, crash))
    assert [path.name for path in (tmp_path / "run/checkpoints").glob("step-*")] == ["step-4"]
    assert not same(broken, whole)
    with open(tmp_path / "run/metrics.jsonl", "a", encoding="utf-8") as log:
        log.write('{"step": 7, "loss": 1.0}\n')  # logged after the checkpoint

    torch.manual_seed(99)  # whatever happened in between
    again = fresh(method, arch, optimizer=optimizer)
    resumed = tiny_train(again, tmp_path / "run", look=LooksOn(2), resume=True)
    assert same(again, whole)
    assert resumed.losses == trained.losses
    assert metrics(tmp_path / "run") == metrics(tmp_path / "whole")
    assert (resumed.steps, resumed.best_step, resumed.examples) == (STEPS, 6, trained.examples)


def test_the_last_weights_are_the_same_too(tmp_path: Path) -> None:
    whole, broken, again = (fresh("head", "bert", keep="last") for _ in range(3))
    tiny_train(whole, tmp_path / "whole", look=LooksOn(0))
    with pytest.raises(Crash):
        tiny_train(broken, tmp_path / "run", look=Looks(4, crash))
    tiny_train(again, tmp_path / "run", look=LooksOn(2), resume=True)
    assert same(again, whole)


def slow_look(tuner: Tuner) -> list[float]:
    time.sleep(0.05)
    return [0.0]


@pytest.mark.parametrize(
    ("method", "arch"),
    [("lora", "llama"), ("lora", "t5"), ("lora", "bert"), ("p-tuning", "llama"), ("p-tuning", "bert")],
)
def test_kill_minus_nine_and_on(tmp_path: Path, method: str, arch: str) -> None:
    """A process of its own trains slowly and is killed at some instant after its first checkpoint."""
    whole = fresh(method, arch, steps=30, checkpoint_every=3, keep="last")
    tiny_train(whole, tmp_path / "whole")

    child = os.fork()
    if child == 0:
        try:
            tiny_train(fresh(method, arch, steps=30, checkpoint_every=3, keep="last"), tmp_path / "run", look=slow_look)
        finally:
            os._exit(1)
    deadline = time.monotonic() + 60
    while not list((tmp_path / "run/checkpoints").glob("step-[369]*")) and time.monotonic() < deadline:
        time.sleep(0.005)
    os.kill(child, signal.SIGKILL)
    assert os.waitpid(child, 0)[1] == signal.SIGKILL

    again = fresh(method, arch, steps=30, checkpoint_every=3, keep="last")
    resumed = tiny_train(again, tmp_path / "run", resume=True)
    assert resumed.steps == 30 and same(again, whole)
    assert [path.name for path in (tmp_path / "run/checkpoints").glob("*step-*")] == ["step-27"]


def test_ctrl_c_ends_the_step_saves_and_goes_on(tmp_path: Path) -> None:
    whole = fresh("prompt-tuning", "llama")
    tiny_train(whole, tmp_path / "whole", look=LooksOn(0))
    stopped = fresh("prompt-tuning", "llama", checkpoint_every=None)
    with pytest.raises(
        Interrupted, match=r"interrupted after step 6; saved in .*run: run the same command with --resume"
    ):
        tiny_train(stopped, tmp_path / "run", look=Looks(3, lambda: os.kill(os.getpid(), signal.SIGINT)))
    assert Interrupted.exit_code == 130
    assert [path.name for path in (tmp_path / "run/checkpoints").glob("step-*")] == ["step-6"]
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    again = fresh("prompt-tuning", "llama", checkpoint_every=None)
    tiny_train(again, tmp_path / "run", look=LooksOn(3), resume=True)
    assert same(again, whole)
    assert metrics(tmp_path / "run") == metrics(tmp_path / "whole")


def test_a_second_ctrl_c_ends_at_once(tmp_path: Path) -> None:
    def twice() -> None:
        os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        tiny_train(fresh("prompt-tuning", "llama"), tmp_path, look=Looks(1, twice))


def test_ctrl_c_without_a_folder_promises_nothing() -> None:
    with pytest.raises(Interrupted, match=r"^interrupted after step 2$"):
        tiny_train(fresh("prompt-tuning", "llama"), None, look=Looks(1, lambda: os.kill(os.getpid(), signal.SIGINT)))


def test_a_full_disk_leaves_the_old_checkpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = fresh("prompt-tuning", "llama", keep="last")
    tiny_train(whole, tmp_path / "whole", look=LooksOn(0))
    broken = fresh("prompt-tuning", "llama", keep="last")
    save_file = checkpoint.save_file

    def full(tensors: Any, file: Path, **rest: Any) -> None:
        if "step-8" in str(file):
            file.write_bytes(b"half")
            raise OSError(28, "No space left on device")
        save_file(tensors, file, **rest)

    monkeypatch.setattr(checkpoint, "save_file", full)
    with pytest.raises(MachineError, match=r"step-8: cannot be written: No space left on device") as caught:
        tiny_train(broken, tmp_path / "run", look=LooksOn(0))
    assert caught.value.exit_code == 3
    assert sorted(path.name for path in (tmp_path / "run/checkpoints").iterdir()) == ["step-4"]
    monkeypatch.undo()
    again = fresh("prompt-tuning", "llama", keep="last")
    tiny_train(again, tmp_path / "run", look=LooksOn(2), resume=True)
    assert same(again, whole)


def test_a_disk_that_refuses_inside_safetensors_is_the_machines_fault(tmp_path: Path) -> None:
    """A real write that fails, in a process of its own whose files may not grow past a kilobyte."""
    prepared = fresh("prompt-tuning", "llama")
    checkpoint.save_best(tmp_path, prepared.tuner.tunable)
    child = os.fork()
    if child == 0:
        resource.setrlimit(resource.RLIMIT_FSIZE, (1024, 1024))
        try:
            checkpoint.save_best(tmp_path, prepared.tuner.tunable)
        except MachineError as error:
            os._exit(42 if "best.safetensors: cannot be written" in str(error) else 1)
        finally:
            os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 42
    assert [path.name for path in tmp_path.iterdir()] == ["best.safetensors"]
    checkpoint.load_best(tmp_path, prepared.tuner.tunable)


# ---- what is no checkpoint of this run ---------------------------------------------------------------------


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A run that crashed after its checkpoint of step 4."""
    with pytest.raises(Crash):
        tiny_train(fresh("prompt-tuning", "llama"), tmp_path, look=Looks(4, crash))
    return tmp_path


def resume(folder: Path, prepared: Prepared) -> None:
    tiny_train(prepared, folder, look=LooksOn(2), resume=True)


def test_a_pickle_is_refused(folder: Path) -> None:
    inside = folder / "checkpoints/step-4"
    (inside / "state.safetensors").rename(inside / "state.pt")
    with pytest.raises(InputError, match=r"step-4: state.pt is a pickle, which can run any code and is not read"):
        resume(folder, fresh("prompt-tuning", "llama"))


@pytest.mark.parametrize(
    ("method", "arch", "training", "message"),
    [
        ("lora", "llama", {}, "step-4: it holds 'tunable.prompt', which is not trained here"),
        ("full", "llama", {}, "step-4: it holds 'tunable.prompt'"),
        ({"name": "prompt-tuning", "length": 3}, "llama", {}, r"shape \[20, 32\], the model \[3, 32\]"),
        ("prompt-tuning", "llama", {"optimizer": "sgd"}, "made with the optimiser AdamW, this run has SGD"),
    ],
)
def test_a_checkpoint_of_another_run_is_refused(
    folder: Path, method: Any, arch: str, training: dict[str, Any], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        resume(folder, fresh(method, arch, **training))


def test_a_checkpoint_that_trained_more_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Crash):
        tiny_train(fresh("head", "bert"), tmp_path, look=Looks(4, crash))
    with pytest.raises(InputError, match="which is not trained here: it was made by another method"):
        resume(tmp_path, fresh({"name": "head", "backbone": "frozen"}, "bert"))


@pytest.mark.parametrize(
    "text", ["", "{", '{"progress": {"step": 4}}', '{"progress": {"place": {"epoch": 0, "index": 1}}}']
)
def test_a_broken_checkpoint_is_one_line(folder: Path, text: str) -> None:
    (folder / "checkpoints/step-4/state.json").write_text(text)
    with pytest.raises(InputError, match=r"step-4/state.json: cannot be read"):
        resume(folder, fresh("prompt-tuning", "llama"))


def test_without_a_checkpoint_resume_starts_afresh(folder: Path) -> None:
    shutil.rmtree(folder / "checkpoints")
    whole, again = fresh("prompt-tuning", "llama"), fresh("prompt-tuning", "llama")
    tiny_train(whole, folder / "whole", look=LooksOn(0))
    tiny_train(again, folder, look=LooksOn(0), resume=True)
    assert same(again, whole) and metrics(folder) == metrics(folder / "whole")


def test_half_written_checkpoints_are_cleared_away(folder: Path) -> None:
    (folder / "checkpoints/.step-8.99999.part").mkdir()
    resume(folder, fresh("prompt-tuning", "llama"))
    assert sorted(path.name for path in (folder / "checkpoints").iterdir()) == ["best.safetensors", "step-8"]
