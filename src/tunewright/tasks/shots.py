"""k-shot draws: so many rows of each class, seeded, balanced."""

from collections.abc import Sequence

from tunewright.errors import InputError
from tunewright.seeds import python_random
from tunewright.task_block import Kind
from tunewright.tasks.task import Rows


def draw_shots(
    rows: Rows,
    kind: Kind,
    labels: Sequence[str] | None,
    k: int,
    seed: int,
    *,
    target: str = "label",
    split: str = "train",
) -> Rows:
    """`k` rows of each label for classify, `k` rows in all for other kinds, in shuffled order.

    The draw of a smaller k is a part of the draw of a larger one with the same seed.
    `target` is the field with the label, `split` the name used in errors.
    Raises InputError naming the class that has fewer than k rows.
    """
    groups: dict[str, list[int]]
    if kind == "classify" and labels is not None:
        groups = {label: [] for label in labels}
        for index, label in enumerate(rows.columns[target]):
            groups[label].append(index)
    else:
        groups = {"": list(range(len(rows)))}
    drawn = []
    for label, indices in groups.items():
        if len(indices) < k:
            whose = f"class {label!r} has" if label else "there are"
            raise InputError(f"shots: {k} rows wanted, {whose} {len(indices)} in {split}")
        python_random("shots", seed, label).shuffle(indices)
        drawn.extend(indices[:k])
    python_random("shots order", seed, k).shuffle(drawn)
    return rows.take(drawn)
