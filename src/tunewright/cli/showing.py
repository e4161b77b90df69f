"""Results on standard output: tables and text for people, JSON for machines."""

import json
import math
import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from rich.console import Console

from tunewright.console import output

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.table import Table

_PIPE_WIDTH = 10_000


def show(content: "RenderableType" = "") -> None:
    """Print a result for a person; text is printed as it stands, without markup.

    Where no terminal sets a width, tables are as wide as their content.
    """
    if isinstance(content, str):
        output.print(content, markup=False)
    elif output.is_terminal:
        output.print(content, soft_wrap=False)
    else:
        Console(highlight=False, width=_PIPE_WIDTH).print(content)


def show_json(value: Any) -> None:
    """Print one JSON value."""
    sys.stdout.write(json.dumps(finite(value), indent=1, ensure_ascii=False) + "\n")


def finite(value: Any) -> Any:
    """`value` with None for NaN and infinite numbers, which JSON does not have."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {key: finite(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [finite(part) for part in value]
    return value


def plain_table(*columns: str) -> "Table":
    """An empty table in the one style of this command line; columns after the first are right-aligned."""
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for number, name in enumerate(columns):
        table.add_column(name, justify="right" if number else "left")
    return table


def show_title(text: str) -> None:
    """A line above a table."""
    output.print(text, style="bold", markup=False)


def list_table(*columns: str) -> "Table":
    """An empty table of texts, left-aligned; all but the first column are wrapped where they must be."""
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for name in columns:
        table.add_column(name, no_wrap=name == columns[0], overflow="fold")
    return table


def estimate(metric: str, value: Mapping[str, Any] | None) -> str:
    """`91.2 [88.0–94.1]`, a dash where there is no value."""
    from tunewright.reports.formats import NOTHING, estimate_text

    return NOTHING if value is None or value["value"] is None else estimate_text(metric, value)


def cost_line(cost: Mapping[str, Any]) -> str:
    """Trained parameters, size, time, speed and memory in one line."""
    from tunewright.reports import formats

    trained, total = cost["trained_parameters"], cost["total_parameters"]
    share = formats.share(trained, total) if trained else ""
    parts = [f"trained {formats.count(trained)} parameters" + (f" ({share})" if share else "")]
    parts.append(f"{formats.size(cost['artifact_bytes'])} to ship")
    if trained:
        parts.append(formats.seconds(cost["train_seconds"]))
        parts.append(f"{formats.rate(cost['examples_per_second'])} examples/s")
    if cost["peak_memory_bytes"] is not None:
        parts.append(f"peak memory {formats.size(cost['peak_memory_bytes'])}")
    if cost["prompt_tokens_added"]:
        parts.append(f"{cost['prompt_tokens_added']} tokens added to each request")
    if asked := cost.get("asked"):
        parts.append(asked_line(asked))
    return ", ".join(parts)


def asked_line(asked: Mapping[str, Any]) -> str:
    """What a model behind an API was asked (`Endpoint.used`)."""
    from tunewright.reports import formats

    read, written = (formats.count(asked[key]) for key in ("prompt_tokens", "completion_tokens"))
    kept = f"{asked['from_cache']} of {asked['answers']} answers from the cache"
    return f"{asked['requests']} requests ({kept}; {read} tokens read, {written} written)"
