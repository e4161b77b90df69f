"""Settings in YAML, checked by pydantic models: whatever is wrong is one line that names the file and the key."""

from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError

from tunewright.errors import InputError, did_you_mean

Block = TypeVar("Block", bound=BaseModel)


class Strict(BaseModel):
    """A block of the recipe: unknown keys are errors."""

    model_config = ConfigDict(extra="forbid")


# The key that only one command's files have; a file without any of them is a recipe of `tune`.
COMMAND_OF = {
    "methods": "compare",
    "form": "pretrain-prompt",
    "objective": "pretrain",
    "search": "search",
    "sensitivity": "sensitivity",
}


MOST_VALUES = 1_000_000  # of one YAML file


class PlainLoader(yaml.SafeLoader):
    """Plain values. What `<<` copies is counted before it is copied: merges of merges multiply."""

    def __init__(self, stream: Any) -> None:
        super().__init__(stream)
        self._copied = 0

    def flatten_mapping(self, node: yaml.MappingNode) -> None:
        """Raises ConstructorError where the merges of the file copy too much."""
        for key, value in node.value:
            if key.tag != "tag:yaml.org,2002:merge":
                continue
            for part in value.value if isinstance(value, yaml.SequenceNode) else [value]:
                if isinstance(part, yaml.MappingNode):
                    self.flatten_mapping(part)
                    self._copied += len(part.value)
            if self._copied > MOST_VALUES:
                told = f"its merges (<<) copy more than {MOST_VALUES} values"
                raise yaml.constructor.ConstructorError(None, None, told, key.start_mark)
        super().flatten_mapping(node)


def load_keys(path: Path, overrides: list[str] | None, command: str = "tune") -> dict[str, Any]:
    """The keys of a command's file, overrides applied. InputError says whose file it is where it is another's."""
    tree = load_yaml(path)
    if not isinstance(tree, dict):
        raise InputError(f"{path}: a recipe is a mapping of keys, found {type(tree).__name__}")
    told = next((key for key in COMMAND_OF if key in tree), None)
    if told is not None and COMMAND_OF[told] != command:
        raise InputError(f"{path}: a file for `tunewright {COMMAND_OF[told]}` (it has the key {told!r})")
    apply_overrides(tree, overrides or [])
    return tree


def load_yaml(path: Path) -> Any:
    """The YAML value in `path`; InputError names the file and the line of what is wrong."""
    try:
        text = path.read_text(encoding="utf-8")
    except (FileNotFoundError, IsADirectoryError):
        raise InputError(f"{path}: no such file") from None
    except UnicodeDecodeError:
        raise InputError(f"{path}: not UTF-8 text") from None
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}") from None
    try:
        value = yaml.load(text, PlainLoader)  # noqa: S506 (a safe loader)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f" line {mark.line + 1}" if mark else ""
        raise InputError(f"{path}:{where} invalid YAML: {getattr(error, 'problem', None) or error}") from None
    except ValueError as error:  # a date that is none, a number of thousands of digits
        raise InputError(f"{path}: invalid YAML: {str(error).partition('; use sys.')[0]}") from None
    except RecursionError:
        raise InputError(f"{path}: nested too deeply") from None
    if value is None:
        raise InputError(f"{path}: the file is empty")
    check_size(value, str(path))
    return value


def check_size(value: Any, where: str) -> None:
    """Raise InputError where YAML's anchors (`&a`, `*a`) write out to too much, or to something without end."""
    sizes: dict[int, int | None] = {}  # None: not done yet, so that it stands inside itself

    def size(part: Any) -> int:
        if not isinstance(part, dict | list):
            return 1
        if id(part) not in sizes:
            sizes[id(part)] = None
            inner = part.values() if isinstance(part, dict) else part
            sizes[id(part)] = 1 + sum(size(item) for item in inner)
        found = sizes[id(part)]
        if found is None:
            raise InputError(f"{where}: something in it holds itself (*anchor)")
        return found

    try:
        if (found := size(value)) > MOST_VALUES:
            raise InputError(f"{where}: with its *anchors written out it has {found} values (at most {MOST_VALUES})")
    except RecursionError:
        raise InputError(f"{where}: nested too deeply") from None


def set_key(tree: dict[str, Any], dotted: str, value: Any) -> None:
    """Set `a.b.c` in nested dicts; a string on the way becomes `{name: STRING}` (`method: lora`)."""
    *parents, last = dotted.split(".")
    for key in parents:
        below = tree.get(key)
        if isinstance(below, str):
            below = {"name": below}
        if below is None:
            below = {}
        if not isinstance(below, dict):
            raise InputError(f"--set {dotted}: {key!r} is {type(below).__name__}, not a block")
        tree[key] = below
        tree = below
    tree[last] = value


def apply_overrides(tree: dict[str, Any], overrides: list[str]) -> None:
    """Apply `--set a.b=VALUE` texts in order; VALUE is read as YAML."""
    for text in overrides:
        key, equals, value = text.partition("=")
        if not equals or not key:
            raise InputError(f"--set {text!r}: KEY=VALUE wanted, e.g. --set method.length=100")
        try:
            set_key(tree, key.strip(), yaml.safe_load(value))
        except yaml.YAMLError:
            raise InputError(f"--set {text!r}: the value is not valid YAML") from None


def validate(model: type[Block], value: Any, where: str) -> Block:
    """`value` checked against a pydantic model; InputError is one line that names the key."""
    if not isinstance(value, dict):
        raise InputError(f"{where}: a mapping of keys wanted, found {type(value).__name__}")
    try:
        return model.model_validate(value)
    except ValidationError as error:
        raise InputError(f"{where}: {_first_problem(model, error)}") from None


def _first_problem(model: type[BaseModel], error: ValidationError) -> str:
    problems = _likely(error.errors())
    # A union reports each branch: the deepest problem that is not just another branch's type is what the user meant.
    # Of several there, a misspelt key tells more than the key that it leaves missing.
    first = max(
        problems,
        key=lambda p: (
            p["type"] == "value_error" or not _is_branch(p["loc"][-1:]),
            len(p["loc"]),
            p["type"] == "extra_forbidden",
        ),
    )
    keys = [str(part) for part in first["loc"] if not _is_branch_name(part)]
    key = ".".join(keys)
    if first["type"] == "extra_forbidden":
        return f"unknown key {key!r}{did_you_mean(keys[-1], _keys_at(model, keys[:-1]))}"
    if first["type"] == "missing":
        return f"key {key!r} is missing"
    found = repr(first.get("input"))
    found = found if len(found) <= 60 else found[:57] + "…"
    message = first["msg"].removeprefix("Value error, ")
    return f"{key + ': ' if key else ''}{message[0].lower() + message[1:]}" + (
        "" if first["type"] == "value_error" else f", found {found}"
    )


def _likely(problems: list[Any]) -> list[Any]:
    """Without those of a union's blocks that have other keys than the ones given."""
    misfits: dict[tuple[Any, ...], dict[Any, int]] = {}  # place of the union: {block: keys that are unknown or missing}
    inside: list[list[tuple[Any, ...]]] = []  # the places each problem lies in
    for problem in problems:
        loc = problem["loc"]
        inside.append([loc[:i] for i, part in enumerate(loc) if _is_block(str(part))])
        for place in inside[-1]:
            blocks = misfits.setdefault(place, {})
            block = loc[len(place)]
            blocks[block] = blocks.get(block, 0) + (problem["type"] in ("extra_forbidden", "missing"))
    return [
        problem
        for problem, places in zip(problems, inside)
        if all(misfits[place][problem["loc"][len(place)]] == min(misfits[place].values()) for place in places)
    ]


def _is_block(part: str) -> bool:
    return part.rstrip("]").endswith("Block") and not part.startswith("list[")


def _is_branch(end: tuple[Any, ...]) -> bool:
    return bool(end) and _is_branch_name(end[0])


def _is_branch_name(part: Any) -> bool:
    """Pydantic puts the name of a union's branch into the location; users never wrote it."""
    text = str(part)
    return text in {"str", "float", "int", "bool"} or text.endswith(("Block", "Start")) or "[" in text


def _keys_at(model: type[BaseModel], keys: list[str]) -> list[str]:
    models = [model]
    for key in keys:
        if key.isdigit():  # a place in a list
            continue
        found = [one.model_fields[key].annotation for one in models if key in one.model_fields]
        models = [inner for annotation in found for inner in _models_in(annotation)]
    return list(dict.fromkeys(key for one in models for key in one.model_fields))


def _models_in(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [found for part in getattr(annotation, "__args__", ()) for found in _models_in(part)]
