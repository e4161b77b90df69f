"""Opening a task: from its block to checked rows in three splits."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import get_args

from tunewright.errors import InputError, did_you_mean
from tunewright.task_block import Kind, TaskBlock, TemplateBlock
from tunewright.tasks.answers import DEFAULT_TARGET, check_answers, has_lists
from tunewright.tasks.catalog import catalog_entry, catalog_names, hub_entry, task_file
from tunewright.tasks.cleaning import drop_duplicates, drop_empty, drop_leaks, drop_unlabelled, is_id
from tunewright.tasks.conversations import split_turns
from tunewright.tasks.forms import known_form
from tunewright.tasks.labels import LabelSet, found_labels
from tunewright.tasks.lookup import add_looked_up
from tunewright.tasks.mapping import map_fields
from tunewright.tasks.raw import RawSplit
from tunewright.tasks.shared_templates import with_shared
from tunewright.tasks.shots import draw_shots
from tunewright.tasks.sources import read_splits
from tunewright.tasks.splitting import cut, fill_shares
from tunewright.tasks.task import Rows, Task

SPLITS = ("train", "validation", "test")
_SOURCES = {"path", "hub", "package", "generator", "origin"}
_METRICS: dict[Kind, tuple[str, ...]] = {
    "classify": ("accuracy", "macro-f1"),
    "choose": ("accuracy",),
    "regress": ("pearson", "spearman", "mse", "mae"),
    "generate": ("rouge-1", "rouge-2", "rouge-l", "chrf"),
    "tag": ("entity-f1",),
}


def open_task(
    block: TaskBlock | str,
    *,
    shots: int | None = None,
    seed: int = 0,
    catalog: Path | None = None,
    partial: bool = False,
    data: Path | None = None,
) -> Task:
    """Open a task: a name of the catalog, the path of a YAML task file, a hub id the catalog knows, or a block.

    `shots` rows a class (in all, for other kinds than classify) are drawn from train with `seed`; the cuts of missing
    splits depend on the block's own seed only. `catalog` is the catalog's folder (none: the shipped one).
    Raises InputError naming the file, key or row that is wrong, MachineError when data cannot be fetched.
    """
    resolved = resolve(block, catalog)
    block = local_copy(resolved, data)
    kind, target = _kind_and_target(block, catalog)
    if block.evaluation_only and not partial:
        raise InputError(f"task {_name(block)}: for evaluation only, nothing can be tuned on it")
    found, shares = read_splits(block, partial=partial)
    found = {split: add_looked_up(raw, block) for split, raw in found.items()}
    if block.conversations is not None:
        found = {split: split_turns(raw, block.conversations) for split, raw in found.items()}
    notes = [note for raw in found.values() for note in raw.notes]
    fields = dict(block.fields)
    parts = {
        split: map_fields(raw, fields, {block.references or ""}, ours_first=block is not resolved)
        for split, raw in found.items()
    }
    first = next(parts[split] for split in SPLITS if split in parts)
    inputs = _inputs(first, target, block.references) or (target,)
    parts = {split: _cleaned(split, raw, kind, inputs, target, notes) for split, raw in parts.items()}
    labels = _labels(block, kind, target, first)
    references = block.references
    if references is None and kind == "generate" and any(has_lists(raw, target) for raw in parts.values()):
        references = "references"
    letters = [str(label) for label in block.labels] if kind == "choose" and block.labels else None
    parts = {split: check_answers(raw, kind, target, references, labels, letters) for split, raw in parts.items()}
    numbers = _numbers(block, kind, target, parts)
    if block.deduplicate:
        parts, dropped = drop_duplicates(parts)
        if dropped:
            notes.append(f"exact duplicates removed: {dropped}")
    empty = [split for split in SPLITS if partial and split not in parts]
    parts |= {split: parts[next(iter(parts))].take([]) for split in empty}
    origin = {} if partial else _cut_missing(parts, shares, block.seed, kind, target, notes)
    if block.deduplicate:
        parts, dropped = drop_leaks(parts, inputs)
        if dropped:
            notes.append(f"train: rows removed whose input also stands in validation or test: {dropped}")
    for split, raw in parts.items():
        if len(raw) == 0 and split not in empty:
            raise InputError(f"{raw.where}: no rows are left for {split} ({'; '.join(notes)})")
    splits = {split: Rows(parts[split].columns, _ids(parts[split], origin.get(split, split))) for split in SPLITS}
    names = labels.names if labels is not None else None
    if shots is not None:
        splits["train"] = draw_shots(splits["train"], kind, names, shots, seed, target=target)
    templates = {
        key: TemplateBlock.model_validate({"jinja": t}) if isinstance(t, str) else t
        for key, t in block.templates.items()
    }
    default = block.default_template or next(iter(templates), None)
    if default is not None and default not in templates:
        raise InputError(
            f"task {block.name}: default_template {default!r} is not there{did_you_mean(default, templates)}"
        )
    return Task(
        name=_name(block), kind=kind, fields=tuple(splits["train"].columns), target=target, references=references,
        labels=names, label_words=_label_words(block, kind, names), templates=templates, default_template=default,
        metrics=tuple(block.metrics) if block.metrics is not None else _METRICS[kind], splits=splits,
        numbers=numbers, version=block.version, about=block.about, licence=block.licence, cluster=block.cluster,
        columns={ours: theirs for ours, theirs in fields.items() if isinstance(theirs, str)}, notes=notes,
    )  # fmt: skip


def resolve(block: TaskBlock | str, catalog: Path | None = None) -> TaskBlock:
    """The whole block: a name, file or hub id looked up, the catalog's entry under the user's own keys, shared
    templates under those.
    """
    return with_shared(_resolve(block, catalog))


def _resolve(block: TaskBlock | str, catalog: Path | None) -> TaskBlock:
    if isinstance(block, str):
        if Path(block).suffix.lower() in (".yaml", ".yml"):
            block = task_file(Path(block))
        elif block in catalog_names(catalog):
            return catalog_entry(block, catalog)
        elif hub_entry(block, catalog):
            return catalog_entry(str(hub_entry(block, catalog)), catalog)
        elif Path(block).exists():
            if (form := known_form(Path(block))) is not None:
                return form
            raise InputError(
                f"task {block}: data needs its kind and fields: `task: {{path: {block}, kind: …, fields: …}}`"
            )
        elif block.count("/") == 1:
            raise InputError(
                f"task {block}: a hub data set needs its kind: `task: {{hub: {block}, kind: …, fields: …}}`"
            )
        else:
            return catalog_entry(block, catalog)  # says that there is none, with a suggestion
    if block.name is None or block.name not in catalog_names(catalog):
        if block.kind is None and block.path is not None and (form := known_form(Path(block.path).expanduser())):
            return _merged(form, block)
        return block
    return _merged(catalog_entry(block.name, catalog), block)


def local_copy(block: TaskBlock, data: Path | None = None) -> TaskBlock:
    """A catalog task of the hub, or one that no hub has, read from `data/NAME` or `$TUNEWRIGHT_DATA/NAME` if there.

    It holds train, validation and test files with the hub's column names or this project's field names.
    """
    root = data or os.environ.get("TUNEWRIGHT_DATA")
    if (
        not root
        or (block.hub or block.origin) is None
        or block.name is None
        or not (folder := Path(root) / block.name).is_dir()
    ):
        return block
    own = {key: getattr(block, key) for key in block.model_fields_set - {"hub", "origin", "splits"}} | {
        "path": str(folder)
    }
    return TaskBlock.model_construct(_fields_set=set(own), **own)


def _merged(entry: TaskBlock, block: TaskBlock) -> TaskBlock:
    """The user's keys over the catalog's. Another source has its own splits, so the catalog's names of them go."""
    own = {key: getattr(block, key) for key in block.model_fields_set}
    below = {key: getattr(entry, key) for key in entry.model_fields_set}
    if any(own.get(key) is not None for key in _SOURCES):
        below = {key: value for key, value in below.items() if key not in _SOURCES | {"splits"}}
    for key in ("fields", "templates", "label_words"):
        if own.get(key) and below.get(key):
            own[key] = {**below[key], **own[key]}
    return TaskBlock.model_construct(_fields_set={*below, *own}, **{**below, **own})


def _kind_and_target(block: TaskBlock, catalog: Path | None) -> tuple[Kind, str]:
    if block.kind is not None:
        return block.kind, block.target or DEFAULT_TARGET[block.kind]
    if block.name in catalog_names(catalog):
        return "generate", block.target or "text"  # raw text: the text is what a language model is to produce
    raise InputError(f"task {_name(block)}: no kind; one of {', '.join(get_args(Kind))} is needed")


def _name(block: TaskBlock) -> str:
    if block.name is not None:
        return block.name
    if block.path is not None:
        return Path(block.path).stem
    if block.hub is not None:
        return block.hub if isinstance(block.hub, str) else block.hub.id
    named = block.package or block.generator
    return named.name if named is not None else "task"


def _inputs(raw: RawSplit, target: str, references: str | None) -> tuple[str, ...]:
    return tuple(name for name in raw.columns if name not in (target, references) and not is_id(name))


def _cleaned(split: str, raw: RawSplit, kind: Kind, inputs: Sequence[str], target: str, notes: list[str]) -> RawSplit:
    raw, empty = drop_empty(raw, inputs, target if kind == "generate" else None)
    if empty:
        notes.append(f"{split}: empty rows skipped: {empty}")
    raw, unlabelled = drop_unlabelled(raw, target, kind)
    if unlabelled:
        notes.append(f"{split}: rows without a label skipped: {unlabelled}")
    return raw


def _labels(block: TaskBlock, kind: Kind, target: str, train: RawSplit) -> LabelSet | None:
    if kind not in ("classify", "tag"):
        if (block.labels and kind != "choose") or block.label_names:
            raise InputError(f"task {_name(block)}: labels are for the kinds classify and tag, not {kind}")
        return None
    labels = block.labels
    if labels is None:
        cells = train.columns.get(target, [])
        if kind == "tag":
            cells = [tag for tags in cells if isinstance(tags, list) for tag in tags]
        labels = list(found_labels(cells, block.label_names, train.class_names.get(target)))
        if len(labels) < 2 and target in train.columns:
            raise InputError(
                f"{train.where}: {target!r} has one label only ({', '.join(map(str, labels))}); two or more wanted"
            )
    if kind == "tag":
        _check_tags([str(label) for label in labels], _name(block))
    return LabelSet(labels, block.label_names)


def _check_tags(labels: list[str], name: str) -> None:
    """Raise InputError for tags that are no entities as IOB2 has them (IOBES's `S-LOC`, parts of speech)."""
    for label in labels:
        if label != "O" and not label.startswith(("B-", "I-")):
            raise InputError(
                f"task {name}: label {label!r}: tags of entities are wanted as IOB2 has them (B-PERSON, I-PERSON, O)"
            )


def _numbers(block: TaskBlock, kind: Kind, target: str, parts: dict[str, RawSplit]) -> tuple[str, ...]:
    """The numbers as words. Raises InputError naming a row whose target none of them is near to."""
    if block.numbers is None:
        return ()
    if kind != "regress":
        raise InputError(f"task {_name(block)}: numbers are for the kind regress, not {kind}")
    low, high, half = block.numbers.low, block.numbers.high, block.numbers.step / 2
    for raw in parts.values():
        for i, value in enumerate(raw.columns[target]):
            if not low - half <= value <= high + half:
                raise InputError(f"{raw.place(i)}: {target} is {value:g}, and numbers go from {low:g} to {high:g}")
    return block.numbers.words()


def _label_words(block: TaskBlock, kind: Kind, labels: tuple[str, ...] | None) -> dict[str, tuple[str, ...]]:
    """Each label's words; a label without any is its own word."""
    given = block.label_words or {}
    if kind != "classify" or labels is None:
        if given:
            raise InputError(f"task {_name(block)}: label_words are for the kind classify, not {kind}")
        return {}
    for label in given:
        if label not in labels:
            raise InputError(
                f"task {_name(block)}: label_words: {label!r} is not one of the labels{did_you_mean(label, labels)}"
            )
    words = {label: given.get(label, label) for label in labels}
    return {label: (word,) if isinstance(word, str) else tuple(word) for label, word in words.items()}


def _cut_missing(
    parts: dict[str, RawSplit], shares: dict[str, float], seed: int, kind: Kind, target: str, notes: list[str]
) -> dict[str, str]:
    """Cut the splits that are not in `parts` from train (changing `parts`); {new split: where its rows came from}."""
    missing = [split for split in ("test", "validation") if split not in parts]
    if not missing and "train" not in shares:
        return {}
    train = parts["train"]
    wanted = fill_shares(missing, shares)
    dealt = cut(len(train), wanted, seed, train.columns[target] if kind == "classify" else None)
    for split, indices in dealt.items():
        parts[split] = train.take(indices)
        if split != "train":
            notes.append(f"{split}: cut from train, {wanted[split] * 100:.4g} % ({len(indices)} rows, seed {seed})")
    return dict.fromkeys(dealt, "train")


def _ids(raw: RawSplit, split: str) -> list[str]:
    return [f"{split}-{number}" for number in raw.numbers]
