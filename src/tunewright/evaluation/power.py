"""What a comparison can see at all: the smallest true difference it finds in four studies of five."""

from tunewright.evaluation.variance import equivalent_df

# Of 100 rows, on how many one of two equally good models is right and the other wrong: 20 is common.
DISAGREEMENT = 0.2


def detectable(seeds: int, rows: int, spread: float, disagreement: float = DISAGREEMENT) -> float:
    """The true difference of two accuracies that a 5 % test finds with 80 % power, as a fraction.

    `spread` is the standard deviation of one method's true score over training runs, as a fraction; it is not known
    with one seed and then counts as 0. `disagreement` is the share of rows on which the methods lastingly differ.
    """
    from scipy import optimize, stats

    if seeds < 1 or rows < 2 or spread < 0:
        raise ValueError(f"seeds ≥ 1, rows ≥ 2, spread ≥ 0 wanted, found {seeds}, {rows}, {spread}")
    runs_part = 2 * spread**2 / seeds if seeds > 1 else 0.0
    rows_part = disagreement / rows
    total = runs_part + rows_part
    of_rows = float(stats.t.ppf(0.975, rows - 1))
    of_runs = float(stats.t.ppf(0.975, seeds - 1)) if seeds > 1 else of_rows
    critical = (runs_part * of_runs + rows_part * of_rows) / total
    df = equivalent_df(critical, seeds, rows)
    shift = optimize.brentq(lambda x: float(stats.nct.sf(critical, df, x)) - 0.8, 0.0, 10 * critical)
    return float(shift) * float(total) ** 0.5


def power_note(seeds: int, rows: int, spread: float) -> str:
    """The same in words, in points (hundredths)."""
    points = 100 * detectable(seeds, rows, spread)
    if seeds == 1:
        return (
            f"With 1 seed and {rows} test rows, differences of {points:.1f} points or more between two trained models "
            "are found in 80 % of studies; how far runs spread is unknown and comes on top."
        )
    return (
        f"With {seeds} seeds, {rows} test rows and runs that spread by {100 * spread:.1f} points, true differences of "
        f"{points:.1f} points or more are found in 80 % of studies; smaller ones are mostly missed."
    )
