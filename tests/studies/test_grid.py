"""A study's file to its trials."""

import pytest

from tunewright.errors import InputError
from tunewright.recipe import Study
from tunewright.studies.grid import merged, slug, trials_of

BASE = {"model": "m", "training": {"steps": 5, "learning_rate": 0.1}}


def study(**keys: object) -> Study:
    return Study.model_validate({"base": BASE, "tasks": ["bbc-news"], "methods": ["lora"], "seeds": 1, **keys})


def test_order_and_folders() -> None:
    trials = trials_of(
        study(tasks=["a", {"task": "b", "shots": 4}], methods=["full", {"name": "lora", "rank": 2}], seeds=[3, 7]), "S"
    )
    assert [(t.task, t.seed, t.label) for t in trials] == [
        ("a", 3, "full"), ("a", 3, "lora"), ("a", 7, "full"), ("a", 7, "lora"),
        ("b", 3, "full"), ("b", 3, "lora"), ("b", 7, "full"), ("b", 7, "lora"),
    ]  # fmt: skip
    assert str(trials[-1].folder) == "trials/b/lora/seed-7"
    assert trials[-1].recipe.shots == 4
    assert trials[-1].recipe.method == {"name": "lora", "rank": 2}
    assert trials[-1].recipe.training.seed == 7
    assert trials[-1].recipe.training.steps == 5


def test_a_methods_keys_win_over_the_tasks() -> None:
    [trial] = trials_of(
        study(
            tasks=[{"task": "a", "training": {"steps": 6, "batch_size": 2}}],
            methods=[{"method": "lora", "label": "LoRA!", "training": {"steps": 7}}],
        ),
        "S",
    )
    assert (trial.recipe.training.steps, trial.recipe.training.batch_size) == (7, 2)
    assert trial.recipe.training.learning_rate == 0.1
    assert (trial.label, str(trial.folder)) == ("LoRA!", "trials/a/lora/seed-0")


def test_a_method_may_name_its_tasks() -> None:
    trials = trials_of(study(tasks=["a", "b"], methods=["lora", {"method": "full", "tasks": ["b"]}]), "S")
    assert [(t.task, t.label) for t in trials] == [("a", "lora"), ("b", "lora"), ("b", "full")]


def test_equal_names_are_told_apart() -> None:
    trials = trials_of(study(methods=[{"name": "lora", "rank": 2}, {"name": "lora", "rank": 4}]), "S")
    assert [t.label for t in trials] == ["lora", "lora 2"]


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"methods": ["lorra"]}, "unknown method 'lorra' (did you mean 'lora'?)"),
        ({"methods": [{"label": "x"}]}, "S methods[0]: key 'method' is missing"),
        ({"methods": [{"name": "lora", "rnk": 3}]}, "unknown key 'rnk' (did you mean 'rank'?)"),
        ({"methods": [{"method": "lora", "tasks": "bbc"}]}, "S methods[0] tasks: 'bbc' is no task of this study"),
        ({"tasks": [{"task": "a", "shotz": 3}]}, "unknown key 'shotz' (did you mean 'shots'?)"),
    ],
)
def test_wrong_entries_are_named(keys: dict[str, object], message: str) -> None:
    with pytest.raises(InputError) as error:
        trials_of(study(**keys), "S")
    assert message in str(error.value)


def test_merged_leaves_its_inputs_alone() -> None:
    under = {"a": {"b": 1, "c": 2}, "method": {"name": "x", "length": 3}}
    assert merged(under, {"a": {"b": 9}, "method": {"name": "y"}}) == {"a": {"b": 9, "c": 2}, "method": {"name": "y"}}
    assert under == {"a": {"b": 1, "c": 2}, "method": {"name": "x", "length": 3}}


def test_slug() -> None:
    assert [slug("LoRA r=8"), slug("…"), slug("bbc-news")] == ["lora-r-8", "x", "bbc-news"]


def test_a_run_of_several_tasks_is_one_cell() -> None:
    tasks = ["a", {"tasks": ["a", {"task": "b", "shots": 2}]}, {"tasks": ["a", "c"], "label": "both", "shots": 4}]
    trials = trials_of(study(tasks=tasks, methods=["lora", {"method": "full", "tasks": ["both"]}]), "S")
    assert [(t.task, t.label) for t in trials] == [("a", "lora"), ("a + b", "lora"), ("both", "lora"), ("both", "full")]
    assert str(trials[1].folder) == "trials/a-b/lora/seed-0"
    assert [(r.task, r.shots) for r in trials[1].recipe.apart()] == [("a", None), ("b", 2)]
    assert [(r.task, r.shots) for r in trials[2].recipe.apart()] == [("a", 4), ("c", 4)]
