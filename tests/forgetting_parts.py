"""A battery of tiny tasks in files."""

import json
from functools import cache
from pathlib import Path
from tempfile import mkdtemp

from tiny import TEMPLATES, tiny_rows

TEXT = "the rain and the snow and the wind. the team and the goal. the bank and the price of the dog. "


@cache
def entries():
    """Two tasks and a text, as a battery lists them."""
    folder = Path(mkdtemp(prefix="battery-"))
    found = []
    for kind, name in (("choose", "other-choose"), ("classify", "other-classify")):
        file = folder / f"{name}.jsonl"
        file.write_text("".join(json.dumps(row) + "\n" for row in tiny_rows(kind)), encoding="utf-8")
        fields = {key: key for key in tiny_rows(kind)[0]}
        found.append(
            {"name": name, "path": str(file), "kind": kind, "fields": fields, "templates": {"plain": TEMPLATES[kind]}}
        )
    text = folder / "text.jsonl"
    rows = [{"text": f"{i} {TEXT * 4}"} for i in range(40)]
    text.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    found.append(
        {"name": "text", "path": str(text), "kind": "generate", "fields": {"text": "text"}, "target": "text",
         "templates": {"plain": "{{ answer }}"}}
    )  # fmt: skip
    return tuple(found)


def battery(**keys):
    return {"tasks": list(entries()), "rows": 4, "blocks": 3, "block_tokens": 16, **keys}
