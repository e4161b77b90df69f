"""Data sets of the Hugging Face hub, through the `datasets` library; a data set's own code is never run."""

import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from itertools import islice
from typing import Any

from tunewright.console import say
from tunewright.errors import InputError, MachineError
from tunewright.task_block import HubSource
from tunewright.tasks.folders import Splits
from tunewright.tasks.raw import ColumnBuilder, Pool, RawSplit


def read_hub(source: HubSource) -> Splits:
    """The splits of a hub data set; numbers of a class label become the names the hub knows.

    Raises InputError for an id, configuration or revision the hub does not have, MachineError without a network.
    """
    found, what = open_hub(source)
    return {
        name: lambda name=name, split=split: _read_split(split, f"{what} {name}", source)  # type: ignore[misc]
        for name, split in found.items()
    }


def open_hub(source: HubSource) -> tuple[Mapping[str, Any], str]:
    """The splits of a hub data set as the library gives them, and what messages call it. Raises as `read_hub`."""
    import datasets
    from datasets.exceptions import DatasetsError
    from huggingface_hub.errors import HfHubHTTPError

    what = f"hub data set {source.id!r}" + (f" ({source.config})" if source.config else "")
    say(f"opening {what}")
    # Its five retries would be told as ten lines of warnings before our one line.
    logging.getLogger("huggingface_hub").setLevel(logging.ERROR)
    try:
        found = datasets.load_dataset(source.id, source.config, revision=source.revision, streaming=source.streaming)
    except (DatasetsError, ValueError, RuntimeError, FileNotFoundError) as error:
        # Not on the hub, an unknown configuration, a data set that wants its own code run, no data files.
        raise InputError(f"{what}: {_first_line(error)}") from None
    except (OSError, HfHubHTTPError, ImportError) as error:
        raise MachineError(f"{what}: cannot be had: {_first_line(error)}; `path:` takes a copy on disk") from None
    return found, what


@contextmanager
def hub_reading(where: str) -> Iterator[None]:
    """Turn what fails while rows are read (the network, mostly) into one clear line."""
    try:
        yield
    except OSError as error:
        raise MachineError(f"{where}: cannot be read: {_first_line(error)}") from None


@contextmanager
def without_network() -> Iterator[None]:
    """Inside, only what the library's cache holds is found: an unreachable hub costs half a minute at each try."""
    import datasets
    from huggingface_hub import constants

    before = datasets.config.HF_HUB_OFFLINE, constants.HF_HUB_OFFLINE
    datasets.config.HF_HUB_OFFLINE = constants.HF_HUB_OFFLINE = True
    try:
        yield
    finally:
        datasets.config.HF_HUB_OFFLINE, constants.HF_HUB_OFFLINE = before


def _read_split(split: Any, where: str, source: HubSource) -> RawSplit:
    with hub_reading(where):
        if source.streaming:
            builder = ColumnBuilder()
            for number, row in enumerate(islice(split, source.rows), 1):
                builder.add(row, number)
            raw = builder.build(where)
        else:
            pool = Pool()
            rows = split[: source.rows] if source.rows else split[:]
            columns = {name: [pool.one(value) for value in column] for name, column in rows.items()}
            raw = RawSplit(columns, where, range(1, 1 + len(next(iter(columns.values()), []))))
    if len(raw) == 0:
        raise InputError(f"{where}: no rows")
    names = _class_names(split.features or {})
    columns = dict(raw.columns)
    for column, known in names.items():
        columns[column] = [_named(value, known) for value in columns[column]]
    # -1 is the hub's sign for a row without a label.
    return RawSplit(columns, where, raw.numbers, class_names=names, no_label=-1)


def _class_names(features: Mapping[str, Any]) -> dict[str, tuple[str, ...]]:
    """The names of each column that is a class label, or a list of them."""
    found = {}
    for column, feature in features.items():
        inner = getattr(feature, "feature", feature)
        names = getattr(inner, "names", None)
        if names:
            found[column] = tuple(names)
    return found


def _named(value: Any, names: tuple[str, ...]) -> Any:
    if isinstance(value, list):
        return [_named(part, names) for part in value]
    if isinstance(value, int) and 0 <= value < len(names):
        return names[value]
    return value


def _first_line(error: BaseException) -> str:
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__
