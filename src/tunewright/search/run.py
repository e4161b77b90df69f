"""`tunewright search template`: from a search's file to a folder with the winners."""

import shutil
from pathlib import Path
from typing import Any

from tunewright.backbones.base import Backbone
from tunewright.console import say
from tunewright.endpoints.faults import Ended
from tunewright.errors import InputError
from tunewright.evaluation.intervals import interval_of_mean
from tunewright.files import write_json
from tunewright.runs.at_endpoint import AtEndpoint, Ready
from tunewright.runs.environment import environment
from tunewright.runs.folder import RunFolder
from tunewright.search.board import board
from tunewright.search.gather import Entry, gather, open_streams
from tunewright.search.journal import Journal
from tunewright.search.prepare import deciding_rows, prepare_search
from tunewright.search.rank import race, work
from tunewright.search.recipe import LabelWordSearch, TemplateSearch
from tunewright.search.results import Found, write_found
from tunewright.search.scorer import Scorer, mean, metric_name
from tunewright.training.loop import Interrupted


def claim(
    search: TemplateSearch | LabelWordSearch, prepared: Ready, folder: Path, resume: bool, overwrite: bool
) -> Journal:
    """Make the folder this search's own; the results it holds already."""
    RunFolder(folder).claim(search, resume=resume, overwrite=overwrite)
    for note in prepared.task.notes:
        say(f"{prepared.task.name}: {note}")
    if not (folder / "environment.json").is_file():
        write_json(folder / "environment.json", environment(prepared.task))
    return Journal(folder / "candidates.jsonl")


def search_templates(
    search: TemplateSearch,
    folder: Path,
    *,
    resume: bool = False,
    overwrite: bool = False,
    backbone: Backbone | None = None,
) -> Found:
    """Gather candidates, rank them on training and validation rows, write the best ones.

    Raises InputError, MachineError, or Interrupted (what was scored is kept).
    """
    prepared = prepare_search(search, backbone)
    block = search.search
    scorer = Scorer(prepared, deciding_rows(prepared, search))
    if not prepared.templates[0].slots:
        scorer.look(prepared.templates[0])
    streams, fresh = open_streams(prepared, block), not folder.exists()
    journal = claim(search, prepared, folder, resume, overwrite)
    try:
        try:
            gathered = gather(prepared, streams, block.candidates, scorer, folder / "generated.jsonl")
        except Ended:  # what was asked is kept, and asked no more
            raise
        except InputError:  # a generator that this recipe cannot have says so when it begins
            if fresh:
                shutil.rmtree(folder)
            raise
        entries = gathered.entries
        with board("scored", work(len(entries), len(scorer.rows), block.keep)) as shown:
            order = race(entries, scorer, block.keep, journal, shown)
    except KeyboardInterrupt:
        lines = len(journal.lines)
        raise Interrupted(f"interrupted; {lines} results are kept, --resume goes on: {folder}") from None
    refused = [*gathered.refused, *((e.candidate.how, e.candidate.jinja, e.refused) for e in entries if e.refused)]
    metric = metric_name(prepared.task.kind)
    facts = {
        "search": "template",
        "model": prepared.recipe.model_name,
        "task": prepared.task.name,
        "by": block.by,
        "rows": len(scorer.rows),
        "candidates": len(entries),
        "equal": gathered.equal,
        "refused": [{"how": how, "jinja": jinja, "reason": reason} for how, jinja, reason in refused],
    }
    if isinstance(prepared, AtEndpoint):
        facts["asked"] = prepared.tuner.used()
    found = Found(folder, metric, [_place(entry, rank, metric) for rank, entry in enumerate(order)], facts)
    about = f"searched for {prepared.task.name} with {facts['model']}; ranked by {metric} on {block.by}"
    write_found(found, [entry.block for entry in order[: block.keep]], about)
    return found


def _place(entry: Entry, rank: int, metric: str) -> dict[str, Any]:
    scores = [score.score for score in entry.scores]
    bounds = (0.0, 1.0) if metric == "accuracy" else (-float("inf"), 0.0)
    place: dict[str, Any] = {"rank": rank + 1, "score": interval_of_mean(scores, bounds).to_json()}
    place |= {"rows": len(scores), "likelihood": mean([score.likelihood for score in entry.scores])}
    return place | {
        "how": entry.candidate.how,
        "generator_score": entry.candidate.score,
        **entry.block.model_dump(exclude_defaults=True),
    }
