"""Shares of members: by their rows with a cap, by temperature, by weights, nested."""

from typing import Any

import pytest
from mixture_parts import members, task

from tunewright.errors import InputError
from tunewright.mixtures.block import MixtureBlock
from tunewright.mixtures.members import open_members
from tunewright.mixtures.rates import proportions
from tunewright.mixtures.wordings import Reader
from tunewright.settings import validate


def shares(block: dict[str, Any], *sizes: int) -> dict[str, float]:
    found = members(block, *(task(name, rows=size) for name, size in zip("abcd", sizes)))
    return {member.name: round(member.share, 4) for member in found.members}


def test_examples_proportional_mixing_with_a_maximum() -> None:
    """FLAN's: of 100, 3,000 and 50,000 rows under a cap of 3,000 the last two count alike."""
    found = proportions([100, 3000, 50_000], [None] * 3, 3000, 1.0)
    assert found == pytest.approx([100 / 6100, 3000 / 6100, 3000 / 6100])
    assert proportions([100, 300], [None] * 2, None, 1.0) == [0.25, 0.75]


def test_temperature() -> None:
    """T5's: the square roots of 100 and 900 at a temperature of 2; evener the higher it is."""
    assert proportions([100, 900], [None] * 2, None, 2.0) == [0.25, 0.75]
    assert proportions([100, 2500], [None] * 2, 900, 2.0) == [0.25, 0.75]
    assert proportions([1, 10**6], [None] * 2, None, 1e6) == pytest.approx([0.5, 0.5], abs=1e-4)


def test_weights_stand_whatever_the_sizes() -> None:
    assert proportions([1, 10**6], [3.0, 1.0], 10, 5.0) == [0.75, 0.25]


def test_groups_within_groups() -> None:
    """g counts as its 30 + 40 rows, capped to 50 beside a's 50: half, and within it 3 to 4."""
    inner = {"name": "g", "members": ["b", "c"]}
    assert shares({"cap": 50, "members": ["a", inner]}, 50, 30, 40) == {"a": 0.5, "g/b": 0.2143, "g/c": 0.2857}
    inner = {"name": "g", "cap": 30, "members": ["b", "c"]}  # b and c count alike, g as 60
    assert shares({"members": ["a", inner]}, 30, 30, 90) == {"a": 0.3333, "g/b": 0.3333, "g/c": 0.3333}
    inner = {"name": "g", "weight": 3, "members": [{"task": "b", "weight": 1}, {"task": "c", "weight": 4}]}
    block = {"members": [{"task": "a", "weight": 1}, inner]}
    assert shares(block, 30, 30, 90) == {"a": 0.25, "g/b": 0.15, "g/c": 0.6}


def test_at_most_so_many_rows_are_used_and_an_epoch_is_as_long_as_what_counts() -> None:
    found = members({"rows": 10, "members": ["a", {"task": "b", "rows": 20}]}, task("a", rows=50), task("b", rows=50))
    assert [(m.used, round(m.share, 3)) for m in found.members] == [(10, 0.333), (20, 0.667)]
    assert found.epoch == 30
    assert members({"cap": 8, "members": ["a", "b"]}, task("a"), task("b")).epoch == 16
    assert members({"epoch": 99, "members": ["a"]}, task("a")).epoch == 99


def test_what_is_not_here_is_an_error_or_left_out_and_told() -> None:
    block = {"members": ["a", "gone", {"name": "g", "members": ["gone"]}]}
    with pytest.raises(InputError, match="no task 'gone'"):
        members(block, task("a"))
    found = members({**block, "missing": "skip"}, task("a"))
    assert [(m.name, m.share) for m in found.members] == [("a", 1.0)]
    assert found.notes == [
        "1 tasks left out, their rows cannot be had: gone (gone: no task 'gone')",
        "left out, none of its tasks is here: g",
    ]
    with pytest.raises(InputError, match="mixture : none of its tasks is here; 1 tasks left out"):
        members({"missing": "skip", "members": ["gone"]})


def test_a_misspelt_task_is_not_a_missing_one() -> None:
    block = validate(MixtureBlock, {"missing": "skip", "members": ["sst2", "rtee"]}, "M")
    with pytest.raises(InputError, match=r"no task 'rtee' in the catalog \(did you mean 'rte'\?\)"):
        open_members(block, Reader(), lambda wanted: task(str(wanted)))


def test_two_members_of_one_name_are_refused() -> None:
    with pytest.raises(InputError, match="two members are called 'a'; name their groups apart"):
        members({"members": ["a", "a"]}, task("a"))
    found = members({"members": ["a", {"name": "g", "members": ["a"]}]}, task("a"))
    assert [m.name for m in found.members] == ["a", "g/a"]
