"""What README says is true: its recipes are valid, its commands run, its tables and files are there."""

import json
import re
import shlex
from pathlib import Path

import pytest
import yaml
from tiny import tiny_folder, tiny_rows
from toy_corpus import many

from tunewright.cli.main import main
from tunewright.methods.registry import METHODS
from tunewright.pretraining.ppt.recipe import load_prompt_recipe
from tunewright.pretraining.raw.recipe import load_pretraining
from tunewright.recipe import Recipe, Study, load_recipe, load_study
from tunewright.search.recipe import load_label_word_search, load_template_search
from tunewright.sensitivity.recipe import load_sensitivity
from tunewright.settings import validate
from tunewright.studies.grid import trials_of
from tunewright.task_block import TaskBlock

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").rglob("*.md"))]


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)


def commands() -> list[list[str]]:
    """The `tunewright` commands of README, in shell blocks and in the text."""
    lines = [line for block in blocks("sh") for line in block.splitlines()]
    lines += re.findall(r"`(\.venv/bin/tunewright [^`]+)`", README)
    found = [shlex.split(line, comments=True) for line in lines]
    return [words[1:] for words in found if words and words[0].endswith("tunewright")]


def test_yaml_blocks_are_valid() -> None:
    kinds = []
    for text in blocks("yaml"):
        value = yaml.safe_load(text)
        if "methods" in value:
            assert len(trials_of(validate(Study, value, "README"), "README")) == 15
            kinds.append("study")
        elif "model" in value:
            validate(Recipe, value, "README")
            kinds.append("recipe")
        else:
            validate(TaskBlock, value["task"], "README")
            kinds.append("task")
    assert kinds == ["recipe", "task", "recipe", "study"]


def test_the_recipe_explained_is_the_recipe_in_the_folder() -> None:
    assert yaml.safe_load(blocks("yaml")[0]) == yaml.safe_load(
        (ROOT / "recipes/bbc-prompt-tuning.yaml").read_text(encoding="utf-8")
    )


def test_the_endpoint_explained_is_valid() -> None:
    text = (ROOT / "docs" / "hard-prompts.md").read_text(encoding="utf-8")
    (block,) = [block for block in re.findall(r"```yaml\n(.*?)```", text, re.DOTALL) if "endpoint:" in block]
    recipe = validate(Recipe, yaml.safe_load(block), "hard-prompts.md")
    assert recipe.model_name == "my-model at http://localhost:8000/v1"


def test_all_recipes_are_valid() -> None:
    for path in sorted((ROOT / "recipes").glob("*.yaml")):
        keys = yaml.safe_load(path.read_text(encoding="utf-8"))
        if "methods" in keys:
            assert trials_of(load_study(path), str(path))
        elif "form" in keys:
            load_prompt_recipe(path)
        elif "objective" in keys:
            load_pretraining(path)
        elif "sensitivity" in keys:
            load_sensitivity(path)
        elif "search" in keys:
            words = "words" in keys["search"]
            (load_label_word_search if words else load_template_search)(path)
        else:
            load_recipe(path)


GUIDES = [
    ROOT / "docs" / f"{name}.md"
    for name in ("soft-prompts", "pretraining", "hard-prompts", "clusters", "weights", "self-training")
]


@pytest.fixture
def small(tmp_path: Path) -> dict[str, list[str]]:
    """Overrides that make any recipe of a command a matter of seconds, without a network."""
    data = tmp_path / "tickets.jsonl"
    data.write_text("".join(json.dumps(row) + "\n" for row in tiny_rows("classify")), encoding="utf-8")
    task = {
        "path": str(data), "kind": "classify", "fields": {"text": "text", "label": "label"},
        "templates": {"plain": "{{ text }}\nTopic: {{ answer }}"},
    }  # fmt: skip
    model = {family: str(tiny_folder(tmp_path / family, family)) for family in ("causal", "masked")}
    corpus = json.dumps({"sources": [{"path": str(many(tmp_path / "corpus.jsonl", 60))}], "holdout": 0.3})
    tune = {
        "model": model["causal"], "task": json.dumps(task), "shots": 2, "training.steps": 5,
        "evaluation.baselines": False,
    }  # fmt: skip
    short = {"corpus": corpus, "training.steps": 2, "training.batch_size": 4}
    keys: dict[str, dict[str, object]] = {
        "tune": tune,
        "compare": {"base.model": model["masked"], "tasks": json.dumps([{"task": task}]), "seeds": 1,
                    "base.training": "{steps: 2, max_tokens: 48}", "base.evaluation": "{baselines: false}"},
        "pretrain": {"corpus": corpus, "training.batch_size": 4, "training.max_tokens": 24, "evaluation.blocks": 4},
        "pretrain-prompt": {**short, "model": model["causal"], "method.length": 3, "evaluation.rows": 6,
                            "evaluation.validation_rows": 4},
        "search": {"model": model["causal"], "task": json.dumps(task), "shots": 2},
        "sensitivity": {"model": model["causal"], "shots": 2, "training.max_tokens": 100, "evaluation.rows": 6,
                        "sensitivity.soft.training": '{"steps": 2, "batch_size": 2}',
                        "task": json.dumps(task | {"templates": {n: "{{ text }}" + n for n in (":", "?")}})},
    }  # fmt: skip
    return {
        command: [word for key, value in pairs.items() for word in ("--set", f"{key}={value}")]
        for command, pairs in keys.items()
    }


def guide_commands() -> list[list[str]]:
    """The commands in the shell blocks of the guides."""
    texts = [guide.read_text(encoding="utf-8") for guide in GUIDES]
    blocks = [block for text in texts for block in re.findall(r"```sh\n(.*?)```", text, re.DOTALL)]
    return [shlex.split(line, comments=True) for block in blocks for line in block.splitlines()]


def test_the_guides_commands_run(small: dict[str, list[str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On tiny models; `runs/mine` and `runs/other` are runs of the recipe that README explains."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    work = tmp_path / "work"
    work.mkdir()
    (work / "recipes").symlink_to(ROOT / "recipes")
    (work / "new-rows.jsonl").write_text(
        "".join(json.dumps({"text": f"the {word} was good"}) + "\n" for word in ("film", "dog", "sea", "day")),
        encoding="utf-8",
    )
    two = tmp_path / "two.jsonl"
    lines = (tmp_path / "tickets.jsonl").read_text(encoding="utf-8").splitlines(keepends=True)
    two.write_text("".join(line for line in lines if "weather" not in json.loads(line)["label"]), encoding="utf-8")
    tickets = tmp_path / "tickets.yaml"
    tickets.write_text(yaml.safe_dump(json.loads(small["tune"][3].partition("=")[2]) | {"name": "tickets"}))
    monkeypatch.chdir(work)
    soft = [*small["tune"], "--set", "method.placement=very-front"]
    for name in ("mine", "other"):
        assert main(["tune", "recipes/bbc-prompt-tuning.yaml", *soft, "--output", f"runs/{name}"]) == 0
    merged = ["--set", "method=dora", "--set", "training.learning_rate=0.001", "--output", "runs/sst2-dora"]
    assert main(["tune", "recipes/bbc-prompt-tuning.yaml", *small["tune"], *merged]) == 0
    seen = set()
    for program, command, *words in guide_commands():
        assert program == "tunewright"
        seen.add(command)
        more = small.get(command, [])
        if command == "tune":  # the labeller knows two labels
            more = [*more, "--set", f"task.path={two}"]
        if words[0].endswith("ppt-single-sentence.yaml"):  # a labeller of two steps says the same of every sentence
            more = [*more, "--set", "form=unified", "--set", "labeller=null", "--set", "training.max_tokens=112"]
        if command == "search":
            more = [*more, "--set", "template=plain"]
        if words[0].endswith("few-shot-curve.yaml"):
            more = [*more, "--set", "methods=[head, none]", "--set", "shots=[1, 2]"]
        elif words[0].endswith("self-training.yaml"):
            more = [*more, "--set", "base.shots=2"]
        if command == "cluster":
            words[0] = str(tickets) if words[0] == "bbc-news" else words[0]
            words = [str(tmp_path / "masked") if word == "minilm-l6" else word for word in words]
            words = ["3-4" if word == "3-8" else word for word in words]  # four rows
        if command == "pretrain":
            made = {"minilm-mlm": ["model=" + str(tmp_path / "masked"), "training.steps=2"],
                    "chitchat-lm": ["model=" + str(tmp_path / "causal"), "training.steps=2", "evaluation.also=[]"],
                    "mini-t5": ["objective=span-corruption", "training.steps=2", "architecture.vocabulary=260",
                                "architecture.d_model=16", "architecture.num_layers=1",
                                "architecture.word_vectors=null"]}  # fmt: skip
            more = [*more, *(word for key in made[Path(words[0]).stem] for word in ("--set", key))]
        assert main([command, *words, *more]) == 0, (command, words)
    assert seen == {
        "tune",
        "export",
        "inspect",
        "label",
        "pretrain",
        "pretrain-prompt",
        "search",
        "sensitivity",
        "cluster",
        "compare",
    }
    for made in ("models/sst2-dora/model.safetensors", "studies/few-shot-curve/report.html",
                 "studies/self-training/report.html", "mine-peft/adapter_config.json", "prompts.html", "labelled.jsonl", "runs/ppt-single-sentence/tuned",
                 "runs/search-sst2/templates.yaml", "runs/search-words-sst2/leaderboard.json",
                 "runs/sensitivity-snli/report.html", "clusters/tuned/report.html"):  # fmt: skip
        assert (work / made).exists(), made
    assert (tmp_path / "cache/tunewright/models/mini-t5/model.safetensors").exists()


def test_the_commands_run(small: dict[str, list[str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []
    tune = small["tune"]
    for words in commands():
        command = words[0]
        seen.append(command)
        monkeypatch.chdir(ROOT)
        output = tmp_path / "runs" / "x"
        if command == "check":
            assert main([*words, *tune]) == 0
        elif command == "tune":
            assert main([*words, *tune, "--set", "training.checkpoint_every=10", "--output", str(output)]) == 0
            assert (output / "after.json").is_file()
            monkeypatch.chdir(tmp_path)
        elif command == "init":
            file = str(tmp_path / "tickets.jsonl")
            assert main(["init", file, "--output", str(tmp_path / "new.yaml")]) == 0
            load_recipe(tmp_path / "new.yaml")
        elif command == "compare":
            study = {
                "base": {"model": tune[1].partition("=")[2], "shots": 2, "training": {"steps": 2},
                         "evaluation": {"baselines": False}},
                "tasks": [{"task": json.loads(tune[3].partition("=")[2])}], "methods": ["lora"], "seeds": 1,
                "output": str(tmp_path / "study"),
            }  # fmt: skip
            (tmp_path / "study.yaml").write_text(yaml.safe_dump(study), encoding="utf-8")
            assert main(["compare", str(tmp_path / "study.yaml")]) == 0
            assert (tmp_path / "study" / "report.html").is_file()
        else:
            raise AssertionError(f"README has a command that this test does not know: {command}")
    assert set(seen) == {"check", "tune", "init", "compare"}


def test_every_method_stands_in_the_table() -> None:
    assert set(re.findall(r"^\| `([a-z0-9-]+)` \|", README, re.MULTILINE)) == set(METHODS)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#\s]+)", page.read_text(encoding="utf-8")):
        if not target.startswith(("http://", "https://")):
            assert (page.parent / target).exists(), target
