"""recipes/scaling.yaml: one thing changes in each cell, and it changes what is drawn."""

from collections import Counter
from pathlib import Path

import pytest
from mixture_parts import task

from tunewright.mixtures.block import MixtureBlock, read_mixture
from tunewright.mixtures.held_out import held_out, tasks_in
from tunewright.mixtures.members import open_members
from tunewright.mixtures.report import asked
from tunewright.mixtures.stream import Mixture
from tunewright.mixtures.wordings import Reader
from tunewright.recipe import Recipe, load_study
from tunewright.studies.grid import trials_of
from tunewright.task_block import TaskBlock
from tunewright.tasks.catalog import catalog_entry
from tunewright.tasks.task import Task

PLAIN = {f"p{i}": f"{{{{ text }}}} {i}: {{{{ answer }}}}" for i in range(12)}
REASONS = {f"c{i}": f"{{{{ text }}}} {i} ||| {{# rationale #}} So {{{{ target }}}}" for i in range(12)}


@pytest.fixture(scope="module")
def cells() -> dict[str, Recipe]:
    path = Path(__file__).resolve().parents[2] / "recipes/scaling.yaml"
    trials = trials_of(load_study(path), str(path))
    assert [trial.label for trial in trials if trial.task == "30 tasks"] == ["lora", "full", "prompt tuning"]
    assert len(trials) == 11
    return {trial.task: trial.recipe for trial in trials}


def block(recipe: Recipe) -> MixtureBlock:
    assert recipe.mixture is not None
    return read_mixture(recipe.mixture)


def drawn(recipe: Recipe) -> tuple[Counter[str], Counter[str], Mixture]:
    """Shares of kinds and of forms, of tasks that stand for those that are named: with reasons or without."""

    def open_one(wanted: str | TaskBlock) -> Task:
        reasons = str(wanted).startswith("cot_")
        return task(str(wanted), "generate", 600, **PLAIN, **(REASONS if reasons else {}))

    found = open_members(block(recipe), Reader(), open_one)
    mixture = Mixture(found.members, found.epoch, 0)
    kinds: Counter[str] = Counter()
    forms: Counter[str] = Counter()
    for (m, w, form), share in asked(mixture).items():
        kinds[mixture.members[m].wordings[w].kind] += share  # type: ignore[assignment]
        forms[form] += share  # type: ignore[assignment]
    return kinds, forms, mixture


def test_tasks_are_nested_and_may_be_trained_on(cells: dict[str, Recipe]) -> None:
    lists = [[str(one) for one in tasks_in(block(cells[f"{n} tasks"]))] for n in (5, 15, 30)]
    assert [len(names) for names in lists] == [5, 15, 30]
    assert lists[1][:5] == lists[0] and lists[2][:15] == lists[1] and len(set(lists[2])) == 30
    assert not any(catalog_entry(name).evaluation_only for name in lists[2])
    kept_out = cells["30 tasks"].held_out
    assert kept_out is not None
    found = held_out(kept_out.clusters, [one.task for one in kept_out.asked])
    assert len(found.without(block(cells["30 tasks"])).members) == 30  # nothing of what is asked is among them


def test_each_cell_changes_what_is_drawn(cells: dict[str, Recipe]) -> None:
    """Five of thirty tasks have reasons: shares 0, half and all of theirs."""
    kinds, forms, mixture = drawn(cells["30 tasks"])
    assert kinds["chain"] == pytest.approx(5 / 30 * 0.5) and forms["few-shot"] == pytest.approx(0.5)
    assert {member.used for member in mixture.members} == {500}
    assert {len(member.wordings) for member in mixture.members} == {10, 20}
    assert set(drawn(cells["no reasons"])[0]) == {"plain"}
    assert drawn(cells["reasons always"])[0]["chain"] == pytest.approx(5 / 30)
    assert set(drawn(cells["no exemplars"])[1]) == {"zero-shot"}
    assert set(drawn(cells["exemplars always"])[1]) == {"few-shot"}
    one = drawn(cells["1 wording"])[2].members
    assert [w.template.name for w in one[0].wordings] == ["p0"]
    assert [w.template.name for w in one[2].wordings] == ["p0", "c0"]
    assert {member.used for member in drawn(cells["50 rows a task"])[2].members} == {50}
