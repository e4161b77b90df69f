"""Names of methods, and what is said of a wrong name or setting."""

import subprocess
import sys

import pytest

from tunewright.backbones.base import Family
from tunewright.errors import InputError
from tunewright.methods.registry import METHODS, make_method, method_class


@pytest.mark.parametrize("name", METHODS)
def test_every_name_is_its_class(name: str) -> None:
    assert method_class(name).name == name
    assert method_class(name).about and method_class(name).trains


@pytest.mark.parametrize(
    ("block", "family", "rate"),
    [
        ({"name": "prompt-tuning"}, "causal", 0.03),
        ({"name": "prompt-tuning"}, "masked", 0.1),
        ({"name": "prompt-tuning", "preset": "lester2021"}, "masked", 0.3),
        ({"name": "p-tuning"}, "causal", 0.001),
        ({"name": "p-tuning"}, "masked", 0.003),
        ({"name": "prefix-tuning"}, "masked", 0.03),
        ({"name": "lora"}, "masked", 0.003),
    ],
)
def test_learning_rates_are_those_of_the_models_family(block: dict[str, object], family: Family, rate: float) -> None:
    defaults = make_method(block).defaults_for(family)
    assert defaults is not None and defaults.learning_rate == rate


def test_the_registry_loads_no_torch() -> None:
    code = "import sys, tunewright.methods.registry; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize(
    ("block", "message"),
    [
        ({"name": "promt-tuning"}, "unknown method 'promt-tuning' .did you mean 'prompt-tuning'"),
        ({"name": "lora", "rang": 4}, "method lora: unknown key 'rang' .did you mean 'rank'"),
        ({"name": "lora", "rank": 0}, "method lora: rank: input should be greater than 0, found 0"),
        ({"name": "head", "dropout": 1.5}, "method head: dropout: input should be less than 1, found 1.5"),
        ({"name": "none", "length": 2}, "method none: unknown key 'length'"),
        ({"name": "prompt-tuning", "init": {"promt": "x"}}, r"unknown key 'init\.promt' .did you mean 'prompt'"),
        ({"name": "prompt-tuning", "init": {"task": "x"}}, r"key 'init\.prompt' is missing"),
        ({"name": "prefix-tuning", "init": {}}, r"key 'init\.prompt' is missing"),
        ({"name": "prompt-tuning", "init": "labels"}, "init: input should be 'random-uniform', .* found 'labels'"),
    ],
)
def test_wrong_blocks_are_one_line(block: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        make_method(block)
