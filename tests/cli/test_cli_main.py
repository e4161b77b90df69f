"""Help, version, exit codes, and what becomes of errors nobody foresaw."""

import errno
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from cli_files import Run, classify_recipe, write_recipe

import tunewright
from tunewright.cli import main as main_module

COMMANDS = (
    "tune", "compare", "evaluate", "predict", "label", "export", "import", "pretrain", "pretrain-prompt", "inspect",
    "cluster", "check", "init", "list", "show", "schema",
)  # fmt: skip
HEAVY = ("torch", "transformers", "datasets", "sklearn", "scipy", "plotly", "numpy", "pyarrow", "peft")


def script(*arguments: str | Path, **options: object) -> subprocess.CompletedProcess[str]:
    code = "from tunewright.cli.main import run; run()"
    return subprocess.run(
        [sys.executable, "-c", code, *map(str, arguments)], capture_output=True, text=True, timeout=120, **options
    )


def test_help_names_every_command_and_the_exit_codes(cli: Run) -> None:
    done = cli("--help")
    assert done.code == 0 and done.err == ""
    for command in COMMANDS:
        assert f"\n  {command} " in done.out
    for words in ("0 done", "2 the", "3 the", "130", "interrupted"):
        assert words in done.out
    assert cli().out == done.out


@pytest.mark.parametrize("command", COMMANDS)
def test_help_of_each_command(command: str, cli: Run) -> None:
    done = cli(command, "--help")
    assert done.code == 0 and "Exit codes: 0 done" in done.out


def test_help_imports_nothing_heavy() -> None:
    code = (
        "import sys; from tunewright.cli.main import main; main(['tune', '--help']); "
        f"print('loaded', [name for name in {HEAVY!r} if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "loaded []"


def test_help_is_quick() -> None:
    times = []
    for _ in range(3):
        start = time.perf_counter()
        assert script("--help").returncode == 0
        times.append(time.perf_counter() - start)
    assert min(times) < 2.0  # 0.4 s on an idle machine; other tests run beside this one


def test_version(cli: Run) -> None:
    assert cli("--version").out == f"tunewright {tunewright.__version__}\n"


def test_wrong_use_of_options_is_2(cli: Run) -> None:
    assert cli("tune").err == "error: Missing argument 'RECIPE'. (see --help)\n"
    wrong = cli("tuna")
    assert wrong.code == 2 and "Did you mean 'tune'" in wrong.err
    assert cli("tune", "r.yaml", "--nope").code == 2
    assert cli("evaluate", "run", "--split", "train").code == 2


def test_an_error_as_json_stands_on_standard_output(cli: Run, tmp_path: Path) -> None:
    done = cli("tune", tmp_path / "nope.yaml", "--json")
    assert done.code == 2
    assert done.json == {"error": f"{tmp_path}/nope.yaml: no such file", "exit_code": 2}
    assert done.err.startswith("error: ")


def failing(error: BaseException) -> object:
    def raise_it(path: Path, overrides: list[str] | None = None) -> None:
        raise error

    return raise_it


@pytest.mark.parametrize(
    ("error", "code", "said"),
    [
        (KeyboardInterrupt(), 130, "interrupted"),
        (MemoryError(), 3, "batch_tokens"),
        (OSError(errno.ENOSPC, "No space left on device", "out/x"), 3, "out/x: the disk is full"),
        (ZeroDivisionError("oh"), 1, "please report it"),
    ],
)
def test_errors_from_below(
    error: BaseException, code: int, said: str, cli: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("tunewright.recipe.load_recipe", failing(error))
    done = cli("tune", tmp_path / "r.yaml")
    assert done.code == code
    assert said in done.err.splitlines()[-1]
    assert ("Traceback" in done.err) == (code == 1)


def test_markup_in_a_message_is_text(cli: Run, tmp_path: Path) -> None:
    assert "[bold]x[/].yaml: no such file" in cli("tune", "[bold]x[/].yaml").err


def test_a_reader_that_leaves_is_no_error() -> None:
    code = "from tunewright.cli.main import run; run()"
    command = [sys.executable, "-c", code, "list", "templates", "--json"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None and process.stderr is not None
        process.stdout.close()
        assert process.stderr.read() == b""
        assert process.wait(60) == 0


def test_colours_only_on_a_terminal(cli: Run) -> None:
    assert "\x1b" not in cli("tune", "nope.yaml").err
    assert "\x1b" not in cli("list", "models").out


def test_interrupted_run_is_130_and_can_go_on(llama: Path, tmp_path: Path) -> None:
    tree = classify_recipe(tmp_path, llama)
    tree["training"] |= {"steps": 100_000}
    recipe = write_recipe(tmp_path, tree)
    code = "from tunewright.cli.main import run; run()"
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    with subprocess.Popen(
        [sys.executable, "-c", code, "tune", str(recipe)], stderr=subprocess.PIPE, text=True, env=environment
    ) as process:
        log = tmp_path / "out" / "metrics.jsonl"
        for _ in range(600):
            if log.is_file() and log.read_text().count("\n") > 5:
                break
            time.sleep(0.1)
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=60)
    assert process.returncode == 130, err
    assert "--resume" in err.splitlines()[-1] and "Traceback" not in err


def test_waiting_threads_sleep_unless_told_otherwise(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(main_module, "main", lambda arguments: 0)
    for given, wanted in ((None, "PASSIVE"), ("ACTIVE", "ACTIVE")):
        monkeypatch.setenv("OMP_WAIT_POLICY", "")  # so that it is put back after the test
        monkeypatch.delenv("OMP_WAIT_POLICY")
        if given:
            monkeypatch.setenv("OMP_WAIT_POLICY", given)
        with pytest.raises(SystemExit):
            main_module.run()
        assert os.environ["OMP_WAIT_POLICY"] == wanted
