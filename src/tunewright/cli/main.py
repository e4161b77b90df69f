"""The command line: its commands, and what becomes of errors. Nothing heavy is imported before a command runs."""

import errno
import json
import os
import sys
from typing import Annotated, NoReturn

import typer
from rich.markup import escape

import tunewright
from tunewright.cli import (
    check,
    cluster,
    compare,
    evaluate,
    export,
    forget,
    import_,
    init,
    inspect,
    label,
    listing,
    predict,
    pretrain,
    pretrain_prompt,
    schema,
    search,
    sensitivity,
    tasks,
    tune,
)
from tunewright.console import console
from tunewright.errors import TunewrightError
from tunewright.process import settle

INTERRUPTED = 130
EPILOG = (
    "Exit codes: 0 done; 2 the input is wrong (recipe, data, options); 3 the surroundings fail (disk, memory, "
    "network, a missing package); 130 interrupted; 1 a fault of tunewright itself."
)
_REPORT = "this is a fault of tunewright: please report it with the lines above"

app = typer.Typer(
    name="tunewright",
    help="Tune language models every known way from one recipe, and compare the ways fairly.",
    epilog=EPILOG,
    rich_markup_mode=None,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"tunewright {tunewright.__version__}")
        raise typer.Exit()


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", help="Print the version and exit.", callback=_version, is_eager=True)
    ] = False,
) -> None:
    pass


for _name, _command in (
    ("tune", tune.tune),
    ("compare", compare.compare),
    ("evaluate", evaluate.evaluate),
    ("forget", forget.forget),
    ("predict", predict.predict),
    ("label", label.label),
    ("export", export.export),
    ("import", import_.import_),
    ("pretrain", pretrain.pretrain),
    ("pretrain-prompt", pretrain_prompt.pretrain_prompt),
    ("search", search.search),
    ("sensitivity", sensitivity.sensitivity),
    ("inspect", inspect.inspect),
    ("cluster", cluster.cluster),
    ("check", check.check),
    ("init", init.init),
    ("list", listing.list_),
    ("show", listing.show_),
    ("schema", schema.schema),
):
    app.command(_name, epilog=EPILOG)(_command)
app.add_typer(tasks.app, name="tasks", epilog=EPILOG)


def run() -> NoReturn:
    """The entry point of the `tunewright` script."""
    settle()
    sys.exit(main(sys.argv[1:]))


def main(arguments: list[str]) -> int:
    """Run one command and give its exit code; every error the user can cause is one line on standard error.

    With --json the error also stands on standard output as {"error", "exit_code"}.
    """
    machine = "--json" in arguments
    try:
        code = app(arguments or ["--help"], prog_name="tunewright", standalone_mode=False)
        sys.stdout.flush()
        if code == INTERRUPTED:
            return _failed("interrupted", INTERRUPTED, machine)
        return code if isinstance(code, int) else 0
    except TunewrightError as error:
        return _failed(str(error), error.exit_code, machine)
    except BrokenPipeError:
        return _unread()
    except SystemExit as error:  # what the command library and rich make of a broken pipe
        if isinstance(error.__context__, BrokenPipeError):
            return _unread()
        raise
    except typer.Abort:
        return _failed("interrupted", INTERRUPTED, machine)
    except MemoryError:
        advice = "not enough memory; try a smaller training.batch_tokens, evaluation.batch_tokens or model"
        return _failed(advice, 3, machine)
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            where = f"{error.filename}: " if error.filename else ""
            return _failed(f"{where}the disk is full", 3, machine)
        return _fault(error, machine)
    except Exception as error:
        # The command library's own errors (a wrong option) have these; it keeps their class to itself.
        message, code = getattr(error, "format_message", None), getattr(error, "exit_code", None)
        if message is not None and code is not None:
            return _failed(message(), code, machine, hint=" (see --help)")
        return _fault(error, machine)


def _unread() -> int:
    """Whoever read our output has had enough of it: no error, and nothing is left to be said at exit."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 0


def _failed(message: str, code: int, machine: bool, hint: str = "") -> int:
    line = " ".join(message.split("\n"))
    start = "" if code == INTERRUPTED else "[bold red]error:[/] "
    console.print(f"{start}{escape(line)}{hint}", soft_wrap=True)
    if machine:
        print(json.dumps({"error": line, "exit_code": code}, ensure_ascii=False))
    return code


def _fault(error: Exception, machine: bool) -> int:
    import traceback

    traceback.print_exception(error)
    return _failed(f"{type(error).__name__}: {error} ({_REPORT})", 1, machine)
