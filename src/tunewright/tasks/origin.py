"""Where a task's rows come from: what tells that two tasks share rows, whatever they are called."""

from dataclasses import dataclass
from pathlib import Path

from tunewright.task_block import TaskBlock
from tunewright.tasks.catalog import catalog_entry, catalog_names
from tunewright.tasks.open import local_copy


@dataclass(frozen=True)
class Origin:
    """A task's `names` (its own, those of its sources, of their hub sets), the `paths` of its rows, its `clusters`."""

    names: frozenset[str]
    paths: frozenset[Path]
    clusters: frozenset[str]

    def shares(self, other: "Origin") -> bool:
        """Whether some of the rows may be the same: a name in common, or a path that is the other's or inside it."""
        if self.names & other.names:
            return True
        return any(a.is_relative_to(b) or b.is_relative_to(a) for a in self.paths for b in other.paths)


def origin_of(block: TaskBlock) -> Origin:
    """The origin of a resolved block, with that of the catalog's tasks among its `sources`, and of theirs."""
    return _origin(block, frozenset())


def _origin(block: TaskBlock, above: frozenset[str]) -> Origin:
    names = {name for name in (block.name, *block.sources) if name}
    clusters = {cluster for cluster in (block.cluster, *block.also_clusters) if cluster}
    if block.hub is not None:
        hub = (block.hub, None) if isinstance(block.hub, str) else (block.hub.id, block.hub.config)
        names.add(f"hub {hub[0]} {hub[1] or ''}".strip())
    if block.package is not None:
        names.add(f"package {block.package.name} {block.package.path}")
    here = local_copy(block)
    paths = {Path(here.path).expanduser().resolve()} if here.path else set[Path]()
    known = set(catalog_names())
    for source in block.sources:
        if source in known and source not in above:
            other = _origin(catalog_entry(source), above | {source})
            names, paths, clusters = names | other.names, paths | other.paths, clusters | other.clusters
    return Origin(frozenset(names), frozenset(paths), frozenset(clusters))
