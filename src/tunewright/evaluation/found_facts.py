"""Names and numbers in a text, found by rules without a model. English; docs/faithfulness.md has the limits."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from functools import cache, lru_cache
from importlib.resources import files
from typing import Literal

import yaml

Kind = Literal["name", "number"]
_MONTHS = (
    "January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November",
    "December",
)  # fmt: skip
_ONES = (
    "zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve",
    "thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen",
)  # fmt: skip
_TENS = ("twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety")
_WORTH = {word: i for i, word in enumerate(_ONES)} | {word: 20 + 10 * i for i, word in enumerate(_TENS)}
_SCALES = {"hundred": 100, "thousand": 1000, "million": 1_000_000}
_SMALL = "|".join([*_TENS, *sorted(_ONES, key=len, reverse=True)])
_SCALE = "|".join(_SCALES)
_MONTH = "|".join(_MONTHS)
_NUMBER = re.compile(
    rf"(?P<date>\b(?P<day>\d{{1,2}})(?:st|nd|rd|th)?\s+(?:of\s+)?(?P<month>{_MONTH})\b"
    rf"|\b(?P<month2>{_MONTH})\s+(?P<day2>\d{{1,2}})(?:st|nd|rd|th)?\b(?!:))"
    r"|(?P<time>\b(?P<hour>\d{1,2})(?::(?P<minute>\d{2}))?\s?(?P<half>[ap](?:m\b|\.m\.))"
    r"|\b(?P<hour2>\d{1,2}):(?P<minute2>\d{2})\b)"
    r"|(?P<ordinal>\b(?P<nth>\d+)(?:st|nd|rd|th)\b)"
    r"|(?P<code>\b(?:[^\W\d_]+-?\d[\w-]*\b|\d+[^\W\d_]\w*\b))"
    r"|(?P<figure>\d+(?:,\d{3})+(?:\.\d+)?|\d+(?:\.\d+)?)"
    rf"|(?P<written>\b(?:a(?= (?:{_SCALE})\b)|{_SMALL})\b"
    rf"(?:[- ](?:(?:{_SMALL})\b|(?:{_SCALE})\b(?: and(?= (?:{_SMALL})\b))?))*)",
    re.IGNORECASE,
)
_WORD = re.compile(r"#?[^\W\d_][\w]*(?:[-'’][^\W_]+)*#?", re.UNICODE)
_LABEL = re.compile(r"^[ \t]*(?P<label>#?[^\W\d_a-z][\w.'’ #-]{0,40}?):[ \t]+\S", re.MULTILINE)


@cache
def _listed(kind: str) -> frozenset[str]:
    """A list of english.yaml."""
    text = (files(__package__) / "english.yaml").read_text(encoding="utf-8")
    return frozenset(yaml.safe_load(text)[kind])


@dataclass(frozen=True)
class Fact:
    """A name or number where it stands in a text. `key`: what it is compared by (of a name its words, lower case)."""

    kind: Kind
    text: str
    key: tuple[str, ...]
    start: int
    end: int


@dataclass(frozen=True)
class _Word:
    text: str
    start: int
    end: int
    opens: bool  # a sentence

    @property
    def bare(self) -> str:
        """Without `'s`."""
        return re.sub(r"['’](s|S)?$", "", self.text)

    @property
    def capital(self) -> bool:
        return (
            self.text.lstrip("#")[:1].isupper() and self.bare not in ("I", "OK") and not re.match(r"I['’]", self.text)
        )


def find_facts(text: str, source: str = "") -> list[Fact]:
    """The names and numbers of `text` in order. `source`: the text it is about, which tells names from first words."""
    numbers = _numbers(text)
    spans = [(fact.start, fact.end) for fact in numbers]
    words = [word for word in _words(text) if not any(word.start < end and start < word.end for start, end in spans)]
    found = [*numbers, *_names(text, words, _context(source), _lower_words(text))]
    return sorted(found, key=lambda fact: fact.start)


def speakers(text: str) -> list[str]:
    """The labels of lines `Name: text`, in order of appearance; every word of a label begins with a capital."""
    labels = [" ".join(found["label"].split()) for found in _LABEL.finditer(text)]
    named = [one for one in labels if len(one.split()) <= 4 and all(w.lstrip("#")[:1].isupper() for w in one.split())]
    return list(dict.fromkeys(named))


def words_of(text: str) -> list[str]:
    """The words of a text, lower case, without `'s`; figures are words too."""
    return [_bare(found).casefold() for found in re.findall(r"[\w#][\w#'’-]*", text)]


def stands_in(key: Sequence[str], words: Sequence[str]) -> bool:
    """Whether the words of a name stand in a text one behind the other."""
    n = len(key)
    return any(tuple(words[i : i + n]) == tuple(key) for i in range(len(words) - n + 1))


def label_words(label: str) -> list[str]:
    """The words of a label that name somebody, lower case: not `Agent` or `Mr`, unless nothing else is there."""
    words = [word.casefold() for word in label.split()]
    return [word for word in words if word.strip(".") not in _listed("titles")] or words


def _bare(word: str) -> str:
    return re.sub(r"['’](s|S)?$", "", word)


def _words(text: str) -> list[_Word]:
    return [_Word(found[0], found.start(), found.end(), _opens(text, found.start())) for found in _WORD.finditer(text)]


def _opens(text: str, at: int) -> bool:
    """Whether a sentence begins here: at the start, on a new line, behind a mark that ends one."""
    before = text[:at].rstrip(" \t\"'“‘(«*-–•")
    if re.search(r"\b(?:Mr|Mrs|Ms|Dr|Prof|St)\.$", before):
        return False
    return not before or before[-1] in ".!?:…\n"


@lru_cache(maxsize=4096)
def _context(source: str) -> tuple[frozenset[str], frozenset[str]]:
    """Words that the source has with a capital where none is due (or in a speaker's label), and those in lower case."""
    capital = {word.bare.casefold() for word in _words(source) if word.capital and not word.opens}
    for label in speakers(source):
        capital |= set(label_words(label))
    return frozenset(capital), _lower_words(source)


def _lower_words(text: str) -> frozenset[str]:
    return frozenset(word.bare for word in _words(text) if word.text[:1].islower())


def _names(
    text: str, words: Sequence[_Word], context: tuple[frozenset[str], frozenset[str]], own_lower: frozenset[str]
) -> list[Fact]:
    found, at = [], 0
    while at < len(words):
        run = _run(text, words, at)
        if not run:
            at += 1
            continue
        following = words[at + len(run)] if at + len(run) < len(words) else None
        at += len(run)
        kept = _without_ordinary(run, following, context, own_lower)
        if kept:
            start, end = kept[0].start, kept[-1].start + len(kept[-1].bare)
            found.append(Fact("name", text[start:end], tuple(word.bare.casefold() for word in kept), start, end))
    return found


def _run(text: str, words: Sequence[_Word], at: int) -> list[_Word]:
    """Capitalised words one behind the other, with nothing but blanks between them."""
    run: list[_Word] = []
    for word in words[at:]:
        if not word.capital or (run and (text[run[-1].end : word.start].strip(" ") or run[-1].bare != run[-1].text)):
            break
        run.append(word)
    return run


def _without_ordinary(
    run: list[_Word],
    following: _Word | None,
    context: tuple[frozenset[str], frozenset[str]],
    own_lower: frozenset[str],
) -> list[_Word]:
    """The run without a first word that has its capital from the sentence alone, and without titles."""
    capital, lower = context
    first = run[0]
    word = first.bare.casefold()
    if word in _listed("titles") or (word in _listed("ordinary") and word not in capital):
        return _without_ordinary(run[1:], following, context, own_lower) if len(run) > 1 else []
    if not first.opens or word in capital:
        return run
    if word in lower or word in own_lower:
        return run[1:]
    if len(run) > 1 or first.bare != first.text:
        return run
    said = following.text.casefold() if following is not None else ""
    acts = said in _listed("follows") or (said.endswith("ed") and len(said) > 3)
    return run if acts and word not in _listed("roles") else []


def _numbers(text: str) -> list[Fact]:
    found = []
    for match in _NUMBER.finditer(text):
        key = _key(match)
        if key is not None:
            found.append(Fact("number", match[0], (key,), match.start(), match.end()))
    return found


def _key(match: re.Match[str]) -> str | None:
    """What a number is compared by: dates as `30 june`, times as `15:15`, others as plain figures."""
    if match["date"]:
        return f"{int(match['day'] or match['day2'])} {(match['month'] or match['month2']).lower()}"
    if match["time"]:
        hour, minute = int(match["hour"] or match["hour2"]), match["minute"] or match["minute2"] or "00"
        if half := (match["half"] or "").lower():
            hour = hour % 12 + 12 * half.startswith("p")
        return f"{hour}:{minute}"
    if match["ordinal"]:
        return str(int(match["nth"]))
    if match["code"]:
        return match["code"].casefold()
    if match["figure"]:
        return f"{Decimal(match['figure'].replace(',', '')).normalize():f}"
    return _written(match["written"].lower())


def _written(text: str) -> str | None:
    """`twenty-five` is 25, `a hundred` 100; `one` alone is a pronoun as often as a number, and none here."""
    total, part = 0, 0
    for word in re.split(r"[- ]", text):
        if word in _SCALES:
            part = max(part, 1) * _SCALES[word]
            total, part = (total + part, 0) if word != "hundred" else (total, part)
        elif word not in ("a", "and"):
            part += _WORTH[word]
    return None if text == "one" else str(total + part)


def keys(facts: Iterable[Fact], kind: Kind) -> set[tuple[str, ...]]:
    """The different facts of a kind; of names one within another only the longer one."""
    found = {fact.key for fact in facts if fact.kind == kind}
    if kind == "number":
        return found
    return {key for key in found if not any(key != other and stands_in(key, other) for other in found)}
