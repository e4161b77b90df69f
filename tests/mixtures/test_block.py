"""The files of mixtures: what they may say, files in files, the shipped ones."""

import re
from pathlib import Path

import pytest
import yaml

from tunewright.errors import InputError
from tunewright.mixtures.block import DEFAULTS, FormatsBlock, MemberTaskBlock, MixtureBlock, mixture_names, read_mixture
from tunewright.recipe import Recipe, Study
from tunewright.settings import validate
from tunewright.studies.grid import trials_of
from tunewright.tasks.catalog import catalog_entry, catalog_names


def write(folder: Path, name: str, tree: object) -> str:
    (folder / name).write_text(yaml.safe_dump(tree), encoding="utf-8")
    return str(folder / name)


def names(block: MixtureBlock) -> list[str]:
    found = []
    for member in block.members:
        if isinstance(member, MixtureBlock):
            found += names(member)
        else:
            found.append(str(member.task) if isinstance(member, MemberTaskBlock) else member)
    return found


def test_a_file_in_a_file_is_looked_for_beside_it_and_what_is_said_outside_counts(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    write(tmp_path / "in", "b.yaml", {"cap": 5, "formats": {"few_shot": 0.1, "chain": 0.2}, "members": ["rte", "cb"]})
    outer = {"members": [{"mixture": "in/b.yaml", "weight": 2, "formats": {"few_shot": 0.9}},
                         {"mixture": "cot", "name": "reasons", "cap": 7, "weight": 1}]}  # fmt: skip
    block = read_mixture(write(tmp_path, "a.yaml", outer))
    first, second = block.members
    assert isinstance(first, MixtureBlock) and isinstance(second, MixtureBlock)
    assert (block.name, first.name, first.cap, first.weight) == ("a", "b", 5, 2)
    assert (first.formats.few_shot, first.formats.chain, first.members) == (0.9, 0.2, ["rte", "cb"])
    assert (second.name, second.cap, len(second.members)) == ("reasons", 7, 7)


def test_formats_are_inherited_key_by_key() -> None:
    found = FormatsBlock(few_shot=0.0).under(FormatsBlock(few_shot=1.0, options=0.25)).under(DEFAULTS)
    assert found == FormatsBlock(few_shot=0.0, exemplars=(1, 5), options=0.25, inverted=0.3, chain=0.5, turns=1.0)


@pytest.mark.parametrize(
    ("tree", "message"),
    [
        ({"member": ["a"]}, r"M: unknown key 'member' \(did you mean 'members'\?\)"),
        ({}, r"M: members \(a list of tasks and groups\), or mixture \(NAME or FILE\) wanted"),
        ({"members": ["a"], "mixture": "cot"}, "M: members .* wanted"),
        ({"members": [{"task": "a", "weight": 1}, "b"]}, "M: a weight for every member of a group, or for none"),
        ({"members": [{"task": "a", "weight": 0}]}, r"M: members\.0\.weight: input should be greater than 0, found 0"),
        ({"members": ["a"], "temperature": 0}, "M: temperature: input should be greater than 0, found 0"),
        ({"members": ["a"], "formats": {"few_shot": 1.5}}, r"M: formats\.few_shot: .* less than or equal to 1"),
        ({"members": ["a"], "formats": {"exemplars": [3, 2]}}, r"M: formats: exemplars: \[fewest, most\] wanted"),
        ({"members": [{"task": "a", "template": "x"}]}, r"M: unknown key 'members\.0\.template'"),
        ({"members": ["a"], "missing": "ask"}, "M: missing: input should be 'error' or 'skip', found 'ask'"),
    ],
)
def test_what_is_wrong_is_one_line(tree: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        validate(MixtureBlock, tree, "M")


def test_files_that_cannot_be(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no mixture 'muffins' \(did you mean 'muffin'\?\); a file ends in \.yaml"):
        read_mixture("muffins")
    with pytest.raises(InputError, match=r"gone\.yaml: no such file"):
        read_mixture(str(tmp_path / "gone.yaml"))
    write(tmp_path, "b.yaml", {"members": [{"mixture": "a.yaml"}]})
    with pytest.raises(InputError, match=r"a\.yaml: this mixture holds itself"):
        read_mixture(write(tmp_path, "a.yaml", {"members": [{"mixture": "b.yaml"}]}))


def test_the_shipped_ones_hold_catalog_tasks_that_may_be_trained_on() -> None:
    assert mixture_names() == ["cot", "dialogue", "flan-2022", "flan-like", "muffin", "niv2", "t0-sf"]
    for name in mixture_names():
        block = read_mixture(name)
        found = names(block)
        assert block.about and block.missing == "skip" and len(found) == len(set(found)), name
        for task in found:
            assert task in catalog_names() and not catalog_entry(task).evaluation_only, (name, task)
    published = {m.name: (m.weight, m.cap) for m in read_mixture("flan-2022").members if isinstance(m, MixtureBlock)}
    assert published == {
        "muffin": (0.40, 30_000), "t0-sf": (0.32, 20_000), "niv2": (0.20, 5_000), "cot": (0.05, 100_000),
        "dialogue": (0.03, 20_000),
    }  # fmt: skip
    clusters = {m.name: m for m in read_mixture("flan-like").members if isinstance(m, MixtureBlock)}
    assert len(clusters) == 26 and {m.cap for m in clusters.values()} == {3000}
    assert all(catalog_entry(task).cluster == name for name, m in clusters.items() for task in names(m))


def test_the_page_on_mixtures_says_what_is_valid() -> None:
    root = Path(__file__).resolve().parents[2]
    blocks = re.findall(r"```yaml\n(.*?)```", (root / "docs/mixtures.md").read_text(encoding="utf-8"), re.DOTALL)
    recipe, mixture, kept_out, study = map(yaml.safe_load, blocks)
    assert validate(Recipe, {**recipe, **kept_out}, "mixtures.md").held_out is not None
    assert len(trials_of(validate(Study, {**study, "base": recipe}, "mixtures.md"), "mixtures.md")) == 3
    assert validate(Recipe, recipe, "mixtures.md").mixture in mixture_names()
    whole = validate(MixtureBlock, mixture, "mixtures.md")
    assert whole.formats.under(DEFAULTS) == DEFAULTS and len(whole.members) == 4
