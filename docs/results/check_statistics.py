"""Check the statistics on simulated studies: `python docs/results/check_statistics.py PAGE.md [--studies 2000]`.

Every study is drawn from a truth that is known (`tunewright.evaluation.simulated_studies`); the page says how often the
comparison is wrong. The exit code is 1 where a limit is passed.
"""

import argparse
import math
import time
from pathlib import Path

import numpy as np
from scipy import stats

from tunewright.evaluation.differences import holm, mean_interval
from tunewright.evaluation.one_run import mcnemar
from tunewright.evaluation.simulated_studies import outcomes
from tunewright.evaluation.variance import two_way
from tunewright.files import write_text
from tunewright.seeds import numpy_random

ROWS, SEEDS, SPREADS = 200, (3, 5), (0.0, 0.02, 0.05)
MOST_FALSE, LEAST_COVERED = 0.06, 0.94
SOME = 400  # studies where each costs a thousandth of a second or more
COMPARISONS, TASKS, TASK_ROWS = 10, 22, 50


def judged(first: np.ndarray, second: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The differences of studies `[n, seeds, rows]` and half the width of their intervals."""
    layout = two_way(first - second)
    variance, critical = layout.widest()
    return layout.mean, critical * np.sqrt(variance)


class Page:
    """Lines, and whether a limit was passed."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.kept = True

    def share(self, value: float, *, most: float | None = None, least: float | None = None) -> str:
        """A share as text, marked where it passes its limit."""
        right = (most is None or value <= most) and (least is None or value >= least)
        self.kept &= right
        return f"{100 * value:.1f} %" + ("" if right else " **limit passed**")


def two_methods(page: Page, studies: int) -> None:
    """False alarms, intervals that hold the truth, and what is found of a true difference."""
    page.lines += [
        "## Two methods, several seeds", "",
        f"{studies:,} studies a line, {ROWS} test rows, accuracy about 80 %. *Own* is how much rows differ in",
        "what makes them easy for one method and not for the other (0: not at all). Limits: at most 6 % called",
        "different, at least 94 % of the intervals hold the truth.", "",
        "| seeds | spread of runs | own | no difference: called different | 8 points: interval holds it | found | ± |",
        "|---|---|---|---|---|---|---|",
    ]  # fmt: skip
    for seeds in SEEDS:
        for spread in SPREADS:
            for own in (0.0, 1.0):
                (a, _), (b, _) = outcomes(studies, spread, seeds, ROWS, own)
                mean, half = judged(a, b)
                false = float((np.abs(mean) > half).mean())
                (a, true_a), (b, true_b) = outcomes(studies, spread, seeds, ROWS, own, gap=0.08)
                mean, half = judged(b, a)
                held = float((np.abs(mean - (true_b - true_a)) <= half).mean())
                page.lines.append(
                    f"| {seeds} | {100 * spread:.0f} points | {own:.0f} | {page.share(false, most=MOST_FALSE)} | "
                    f"{page.share(held, least=LEAST_COVERED)} | {100 * float((mean > half).mean()):.0f} % | "
                    f"{100 * float(half.mean()):.1f} |"
                )
    page.lines.append("")


def one_method(page: Page) -> None:
    """The interval of a single method's mean."""
    page.lines += [
        "## The interval of one method", "", f"{SOME} studies a line.", "",
        "| seeds | spread of runs | interval holds the true accuracy |", "|---|---|---|",
    ]  # fmt: skip
    for seeds in SEEDS:
        for spread in SPREADS:
            [(scores, truth)] = outcomes(SOME, spread, seeds, ROWS, 1.0, methods=1)
            found = [mean_interval(table) for table in scores]
            held = float(np.mean([one.low <= truth <= one.high for one in found]))  # type: ignore[operator]
            page.lines.append(f"| {seeds} | {100 * spread:.0f} points | {page.share(held, least=LEAST_COVERED)} |")
    page.lines.append("")


def many_comparisons(page: Page, studies: int) -> None:
    """Holm over many comparisons with one reference, none of which differs."""
    page.lines += [
        f"## {COMPARISONS} methods against one", "",
        f"{studies // 4:,} studies, 5 seeds, all methods equally good: how often is *any* called different?", "",
        "| spread of runs | each at 5 % | Holm |", "|---|---|---|",
    ]  # fmt: skip
    for spread in SPREADS:
        (first, _), *rest = outcomes(studies // 4, spread, 5, ROWS, 1.0, methods=COMPARISONS + 1)
        ps = np.empty((len(first), COMPARISONS))
        for k, (other, _) in enumerate(rest):
            layout = two_way(other - first)
            variance, critical = layout.widest()
            # As `difference` at a fixed level: the p value of t at the degrees of freedom of its critical value.
            ps[:, k] = p_values(np.abs(layout.mean) / np.sqrt(variance), critical)
        plain = float((ps < 0.05).any(axis=1).mean())
        corrected = float(np.mean([min(p for p in holm(list(row)) if p is not None) < 0.05 for row in ps]))
        page.lines.append(
            f"| {100 * spread:.0f} points | {100 * plain:.1f} % | {page.share(corrected, most=MOST_FALSE)} |"
        )
    page.lines.append("")


def p_values(t: np.ndarray, critical: np.ndarray) -> np.ndarray:
    """Two-sided p of `t` where 5 % lies at `critical`: by the degrees of freedom with that critical value."""
    freedom = np.geomspace(1, 1e6, 4000)
    wanted = np.interp(-critical, -stats.t.ppf(0.975, freedom), freedom)  # the critical value falls with it
    return np.asarray(2 * stats.t.sf(t, wanted))


def one_run_each(page: Page) -> None:
    """McNemar and the paired bootstrap: right about these two models, not about the methods behind them."""
    page.lines += [
        "## One run of each", "",
        f"{SOME * 2} studies a line: McNemar's exact test and the paired bootstrap over rows. They compare two",
        "*models* and keep their limit about these. About the *methods* they cannot speak: where runs spread, equal",
        "methods are called different far too often, and the program says so wherever there is one run of each.", "",
        "| spread of runs | called different | bootstrap interval holds the models' true difference |", "|---|---|---|",
    ]  # fmt: skip
    for spread in SPREADS:
        (a, _), (b, _) = outcomes(SOME * 2, spread, 1, ROWS, 1.0)
        tests = [mcnemar(x[0] > 0, y[0] > 0) for x, y in zip(a, b)]
        false = float(np.mean([one.p < 0.05 for one in tests]))
        shown = page.share(false, most=MOST_FALSE) if spread == 0 else f"{100 * false:.1f} %"
        held = float(np.mean([one.low <= 0 <= one.high for one in tests]))
        cell = page.share(held, least=LEAST_COVERED - 0.01) if spread == 0 else "–"
        page.lines.append(f"| {100 * spread:.0f} points | {shown} | {cell} |")
    page.lines.append("")


def batteries(page: Page) -> None:
    """A battery on which nothing was forgotten: answers change, as many for the better as for the worse."""
    random = numpy_random("simulated batteries")
    alarms = []
    for _ in range(SOME // 2):
        ps = []
        for _ in range(TASKS):
            before = random.random(TASK_ROWS) < 0.5
            turned = random.random(TASK_ROWS) < 0.1
            ps.append(mcnemar(before ^ turned, before).p)
        alarms.append(min(p for p in holm(ps) if p is not None) < 0.05)
    page.lines += [
        "## A battery on which nothing was forgotten", "",
        f"{SOME // 2} batteries of {TASKS} tasks with {TASK_ROWS} rows each, one answer in ten turned over by chance: "
        f"in {page.share(float(np.mean(alarms)), most=MOST_FALSE)} of them any task is called lost or gained (Holm).",
        "",
    ]  # fmt: skip


def main() -> int:
    """Write the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("page", type=Path)
    parser.add_argument("--studies", type=int, default=2000)
    arguments = parser.parse_args()
    started = time.process_time()
    page = Page()
    page.lines += [
        "# Are the statistics right?",
        "",
        "Made by `python docs/results/check_statistics.py docs/results/statistics.md`.",
        "",
    ]
    two_methods(page, arguments.studies)
    one_method(page)
    many_comparisons(page, arguments.studies)
    one_run_each(page)
    batteries(page)
    error = 100 * math.sqrt(0.05 * 0.95 / arguments.studies)
    page.lines += [
        f"A share of 5 % has a standard error of {error:.1f} points with {arguments.studies:,} studies. "
        f"Computed in {time.process_time() - started:.0f} s of processor time. "
        + ("All limits are kept." if page.kept else "**A limit is passed.**"),
    ]
    write_text(arguments.page, "\n".join(page.lines).rstrip() + "\n")
    return 0 if page.kept else 1


if __name__ == "__main__":
    raise SystemExit(main())
