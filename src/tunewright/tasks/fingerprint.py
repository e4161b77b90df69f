"""A fingerprint of data: the same rows in the same order give the same letters."""

import hashlib
import json

from tunewright.tasks.arrow_rows import StoredSplits
from tunewright.tasks.task import Rows, Task


def fingerprint(data: Task | Rows) -> str:
    """SHA-256 (hex) over the rows' JSON in order; of a task: over train, validation and test.

    Of a task whose rows lie in files it was taken when they were written.
    """
    if isinstance(data, Task) and isinstance(data.splits, StoredSplits):
        return data.splits.sha256
    digest = hashlib.sha256()
    # Made once: `dumps` makes an encoder at each call.
    encode = json.JSONEncoder(ensure_ascii=False, sort_keys=True, default=str).encode
    splits = [("", data)] if isinstance(data, Rows) else [(name, data.splits[name]) for name in sorted(data.splits)]
    for name, rows in splits:
        digest.update(f"{name}\n".encode())
        for row in rows:
            digest.update(encode(row).encode("utf-8", "surrogatepass") + b"\n")
    return digest.hexdigest()
