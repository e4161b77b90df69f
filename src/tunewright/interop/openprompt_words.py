"""OpenPrompt's verbalizer files (Ding et al. 2022): the label words of each class, in the order of the classes.

`.txt`, `.csv`: a class a line, its words between commas, an empty line before another set. `.json`, `.jsonl`: one set
or a list of sets, each a mapping of classes to words or a list. `{"meta": "choice1"}` and its kin stand for a field.
"""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from tunewright.errors import InputError
from tunewright.interop.openprompt_jinja import Fields, jinja_of
from tunewright.interop.openprompt_parse import pieces_of, text_of

GLUED = "<!>"  # before a word that has no space before it
ENDINGS = (".json", ".jsonl", ".csv")


@dataclass
class Words:
    """A set of label words. `classes` are the names, where they are known; `glued`: no space stands before them.

    `shared` are words of several classes, which are left out of all of them, for they tell nothing.
    """

    words: list[list[str]]
    classes: list[str] | None = None
    glued: bool = False
    written: bool = False  # the words are Jinja text that reads the row
    shared: dict[str, list[str]] = field(default_factory=dict)
    sets: int = 1

    def block(self) -> dict[str, Any]:
        """The keys of a template that hold them: `label_words` by class, or `answer_choices` in order.

        Raises InputError where our templates have no place for them.
        """
        if self.written:
            if any(len(words) > 1 for words in self.words):
                raise InputError("several words a class that read the row's fields have no form here")
            return {"answer_choices": " ||| ".join(words[0] for words in self.words)}
        if self.classes is not None:
            return {"label_words": dict(zip(self.classes, self.words))}
        if any(len(words) > 1 for words in self.words):
            raise InputError("several words a class: name the classes in their order (`--label NAME` for each)")
        return {"answer_choices": [words[0] for words in self.words]}


def is_words_file(path: Path) -> bool:
    """Whether a file holds label words rather than templates: by its ending, or lines without `{"mask"}`."""
    return path.suffix in ENDINGS or (path.suffix == ".txt" and path.stem.endswith("verbalizer"))


def read_words(
    path: Path, choice: int = 1, labels: Sequence[str] = (), fields: Mapping[str, str] | None = None
) -> Words:
    """The `choice`-th set of a file (from 1), for the classes `labels` where they are given.

    Raises InputError for a file that holds none, a class without words, words with and without `<!>`.
    """
    text = text_of(path, "label words")
    if path.stem.startswith("ptr_"):
        raise InputError(f"{path}: a word for each of several masks (PTR); one answer a template here, as one text")
    try:
        sets = _of_json(text) if path.suffix in (".json", ".jsonl") else _of_lines(text)
        if not sets:
            raise InputError("no label words in it")
        if not 1 <= choice <= len(sets):
            raise InputError(f"set {choice} wanted, it holds {len(sets)}")
        found = replace(sets[choice - 1], sets=len(sets))
        found = _plain(_named(found, labels), Fields(dict(fields or {})))
        found.block()  # is there a place for them?
        return found
    except InputError as error:
        raise InputError(f"{path}: {error}") from None


def _of_lines(text: str) -> list[Words]:
    sets: list[Words] = []
    lines: list[list[str]] = []
    for line in [*text.replace("\r\n", "\n").split("\n"), ""]:
        if line.strip():
            # A group has commas of its own; such a line is one word.
            lines.append([line.strip()] if "{" in line else [word.strip() for word in line.split(",")])
        elif lines:
            sets.append(Words(lines))
            lines = []
    return sets


def _of_json(text: str) -> list[Words]:
    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        for name, count in Counter(key for key, _ in pairs).items():
            if count > 1:
                raise InputError(f"the class {name!r} stands there twice")
        return dict(pairs)

    try:
        tree = json.loads(text, object_pairs_hook=once)
    except json.JSONDecodeError as error:
        raise InputError(f"line {error.lineno}: no JSON: {error.msg}") from None
    except RecursionError:
        raise InputError("nested too deeply") from None
    several = isinstance(tree, list) and tree and all(isinstance(item, dict) for item in tree)
    several = several or (isinstance(tree, list) and tree and all(_is_set(item) for item in tree))
    return [_one_set(item) for item in (tree if several else [tree] if tree else [])]


def _is_set(value: Any) -> bool:
    """A list of lists: a set inside a list of sets."""
    return isinstance(value, list) and bool(value) and all(isinstance(item, list) for item in value)


def _one_set(tree: Any) -> Words:
    if not isinstance(tree, dict | list):
        raise InputError(f"a mapping of classes or a list wanted, found {type(tree).__name__}")
    values = list(tree.values()) if isinstance(tree, dict) else tree
    words = [[value] if isinstance(value, str) else value for value in values]
    for group in words:
        if not isinstance(group, list) or not all(isinstance(word, str) for word in group):
            raise InputError(f"words of a class wanted, found {group!r:.60}")
    return Words([[word.strip() for word in group] for group in words], list(tree) if isinstance(tree, dict) else None)


def _named(found: Words, labels: Sequence[str]) -> Words:
    """With the class names given; a file's own ones are put into their order."""
    if len(found.words) < 2 and "{" not in str(found.words):
        raise InputError(f"one class only ({', '.join(found.words[0])!r:.40}); a class a line wanted")
    if not labels:
        return found
    if found.classes is not None:
        if set(labels) != set(found.classes):
            raise InputError(f"classes {', '.join(found.classes)!r:.80}, but --label names {', '.join(labels)!r:.80}")
        by_name = dict(zip(found.classes, found.words))
        return replace(found, classes=list(labels), words=[by_name[label] for label in labels])
    if len(labels) != len(found.words):
        raise InputError(f"{len(found.words)} classes, but --label names {len(labels)}")
    return replace(found, classes=list(labels))


def _plain(found: Words, fields: Fields) -> Words:
    """Without `<!>`, without words of several classes, fields as Jinja."""
    words = [list(dict.fromkeys(word for word in group if word)) for group in found.words]
    flat = [word for group in words for word in group]
    glued = [word.startswith(GLUED) for word in flat]
    if any(glued) and not all(glued):
        raise InputError(f"words with and without {GLUED}: the space before an answer belongs to a template")
    words = [[word.removeprefix(GLUED) for word in group] for group in words]
    if "{" in "".join(flat):
        return replace(found, words=_written(words, fields), written=_reads(words), glued=any(glued))
    names = found.classes or [f"class {i}" for i in range(1, len(words) + 1)]
    owners: dict[str, list[str]] = {}
    for name, group in zip(names, words):
        for word in group:
            owners.setdefault(word, []).append(name)
    shared = {word: classes for word, classes in owners.items() if len(classes) > 1}
    kept = [[word for word in group if word not in shared] for group in words]
    for name, group, before in zip(names, kept, words):
        if not before:
            raise InputError(f"{name!r} has no words")
        if not group:
            told = f"{before[0]!r} stands for {', '.join(shared[before[0]])[:80]} too"
            raise InputError(f"no word is left that stands for {name!r} alone: {told}")
    return replace(found, words=kept, shared=shared, glued=any(glued))


def _reads(words: list[list[str]]) -> bool:
    return any(piece.kind in ("placeholder", "meta") for group in words for word in group for piece in pieces_of(word))


def _written(words: list[list[str]], fields: Fields) -> list[list[str]]:
    """Words in the syntax of templates: `{"text": "No"}` is a word, `{"meta": "choice1"}` a field."""
    reads = _reads(words)
    found = []
    for group in words:
        texts = []
        for word in group:
            pieces = pieces_of(word)
            for piece in pieces:
                if piece.kind not in ("text", "placeholder", "meta"):
                    raise InputError(f"{word!r:.60}: a label word cannot hold {piece.kind}")
            text = jinja_of(pieces, fields) if reads else " ".join(piece.value for piece in pieces)
            texts.append(text.strip())
        found.append(texts)
    return found
