"""Slots after the fields, where all before them is constant and read once, beside PEFT's slots in front."""

from typing import Any

from measuring import LOSS_TOLERANCE, Bench, agree, say, turns
from tables import Goal, spread, table

EPOCHS, BATCH = 3, 8
FILLED, WITH_FILLING = 6.5, 5.0
TITLE = "Slots after the fields, constant prefixes kept"


def measure(bench: Bench) -> dict[str, Any]:
    """Three epochs of ours and of PEFT's, and once of ours without the cache, whose losses must be the same."""
    rows = bench.sized(16, 24, 64)
    spec = {**bench.subject(), "rows": rows, "steps": EPOCHS * rows // BATCH}
    mine, theirs = {**spec, "method": "after-fields"}, {**spec, "method": "prompt-tuning"}
    bench.measure("sides:start", "after-fields", **mine)
    bench.measure("sides:start", "in-front", **theirs)
    mine, theirs = ({**one, "precision": bench.best} for one in (mine, theirs))
    found: dict[str, Any] = {"rows": rows, "precision": bench.best}
    found["uncached"] = bench.measure("sides:ours", "after-fields", cached=False, **mine)
    found["pairs"] = turns(
        bench.pairs,
        lambda turn: bench.measure("sides:ours", "after-fields", turn, cached=True, **mine),
        lambda turn: bench.measure("sides:peer", "in-front", turn, **theirs),
    )
    found["difference"] = max(
        agree("cached and whole rows: the losses", pair["ours"]["losses"], found["uncached"]["losses"],
              LOSS_TOLERANCE[bench.best])
        for pair in found["pairs"]
    )  # fmt: skip
    for number in range(bench.pairs):
        say(
            f"cached pair {number + 1}: {_filled(found)[number]:.2f}× filled, {_whole(found)[number]:.2f}× with filling"
        )
    return found


def _later(run: dict[str, Any], rows: int) -> float:
    """Rows a second behind the first epoch, when all prefixes are kept."""
    epoch = rows // BATCH
    return (len(run["ends"]) - epoch) * BATCH / (run["ends"][-1] - run["ends"][epoch - 1])


def _all(run: dict[str, Any]) -> float:
    """Rows a second of all epochs, from the call to the last step."""
    return len(run["ends"]) * BATCH / run["ends"][-1]


def _filled(found: dict[str, Any]) -> list[float]:
    return [_later(p["ours"], found["rows"]) / _later(p["peer"], found["rows"]) for p in found["pairs"]]


def _whole(found: dict[str, Any]) -> list[float]:
    return [_all(p["ours"]) / _all(p["peer"]) for p in found["pairs"]]


def page(found: dict[str, Any]) -> list[str]:
    """Epochs 2 and 3, and all three."""
    pairs, rows = found["pairs"], found["rows"]
    cells = []
    for label, speed, over in (
        (f"epochs 2 and 3, examples/s ({found['precision']})", lambda run: _later(run, rows), _filled(found)),
        ("all three epochs with filling, examples/s", _all, _whole(found)),
    ):
        ours, theirs = (spread([speed(pair[side]) for pair in pairs], 2) for side in ("ours", "peer"))
        cells.append([label, ours, f"{speed(found['uncached']):.2f}", theirs, spread(over, 2)])
    return [
        f"## {TITLE}",
        "",
        f"{rows} rows, {EPOCHS} epochs of {rows // BATCH} steps of {BATCH}. Ours: 20 slots between the text and the "
        "question; keys and values of the text are made once for each row. PEFT can put slots in front only, so that "
        "it reads every row whole: the same rows and as many slots, but another place for them, and other losses. That "
        "the cache changes nothing is asserted against our own loop without it (largest relative difference of a "
        f"step's loss {found['difference']:.0e}).",
        "",
        *table(["Measured", "Tunewright", "Tunewright without the cache", "PEFT + Trainer", "Ratio"], cells),
    ]


def goals(found: dict[str, Any] | None) -> list[Goal]:
    """Once filled, and with filling."""
    return [
        Goal(f"{TITLE}: ≥ {FILLED:g}× PEFT + Trainer, cache filled", _filled(found) if found else None, FILLED),
        Goal(f"{TITLE}: ≥ {WITH_FILLING:g}× over three epochs", _whole(found) if found else None, WITH_FILLING),
    ]
