"""Three documents that can be read at a glance: who does what; in the third a sentence is too short to be used."""

import json
from pathlib import Path

CAT = (
    "The cat sat on the mat. The cat saw a grey mouse. The mouse ran under the bed. The cat lay down to wait. "
    "The mouse never came out again."
)
DOG = (
    "A dog found an old bone. It hid the bone at once. A fox watched from the hill. The fox dug up the bone. "
    "The dog barked the whole night."
)
SHIP = """One ship left the old harbour.
Its crew sang all the way.
Storm!
High waves broke the tall mast.
The captain lost his best hat.
Every sailor reached land that evening."""
TOY = (CAT, DOG, SHIP)
SHORT = "Too short. This one has five words. So it is left out."

_WHO = ("the dog", "the cat", "a very bad day", "the film", "the story", "rain and snow")
_DOES = ("ran over the field", "sat on the mat", "was good and warm", "was bad and dull")


def many(path: Path, count: int, sentences: int = 6) -> Path:
    """A JSONL file of documents without two equal sentences, one a line."""
    rows = []
    for d in range(count):
        lines = [f"{_WHO[(d + s) % 6]} {_DOES[(d * s) % 4]} {d} {s}." for s in range(sentences)]
        rows.append(json.dumps({"text": "\n".join(lines)}) + "\n")
    path.write_text("".join(rows), encoding="utf-8")
    return path
