"""What a mixture must not hold: the tasks of some clusters, some tasks, and whatever shares rows with these."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from tunewright.errors import InputError
from tunewright.mixtures.block import MemberTaskBlock, MixtureBlock
from tunewright.task_block import CollectionBlock, TaskBlock
from tunewright.tasks.catalog import catalog_entry, catalog_names
from tunewright.tasks.open import open_task, resolve
from tunewright.tasks.origin import Origin, origin_of
from tunewright.tasks.task import Rows, Task


@dataclass(frozen=True)
class LeftOut:
    """A member that is not trained on, and why; of a collection, so many training `rows` (None: the whole member)."""

    task: str
    why: str
    rows: int | None = None


@dataclass
class HeldOut:
    """Clusters and tasks that nothing may be learnt of. `left_out`: what was found of them in a mixture."""

    clusters: frozenset[str]
    tasks: Mapping[str, Origin]  # by name
    left_out: list[LeftOut] = field(default_factory=list)

    def why(self, origin: Origin) -> str | None:
        """Why a task of this origin is left out; None where it may stay."""
        if origin.clusters & self.clusters:
            return f"cluster {', '.join(sorted(origin.clusters & self.clusters))}"
        shared = [name for name, other in self.tasks.items() if origin.shares(other)]
        return f"shares rows with {', '.join(shared)}" if shared else None

    def without(self, block: MixtureBlock) -> MixtureBlock:
        """The mixture without the members that are held out, and without groups that have none left.

        Raises InputError where nothing is left, or for a task that is not known.
        """
        left = self._without(block, "")
        if left is None:
            raise InputError(f"held_out: nothing of the mixture {block.name or ''} is left to be tuned on")
        return left

    def _without(self, block: MixtureBlock, path: str) -> MixtureBlock | None:
        members: list[str | MemberTaskBlock | MixtureBlock] = []
        for number, member in enumerate(block.members, 1):
            if isinstance(member, MixtureBlock):
                name = member.name or str(number)
                if (inner := self._without(member, f"{path}{name}/")) is not None:
                    members.append(inner.model_copy(update={"name": name}))
                continue
            known = resolve(member.task if isinstance(member, MemberTaskBlock) else member)
            if (why := self.why(origin_of(known))) is None:
                members.append(member)
            else:
                self.left_out.append(LeftOut(path + name_of(known), why))
        return block.model_copy(update={"members": members}) if members else None

    def open_task(self, wanted: str | TaskBlock) -> Task:
        """Open a member; of a collection of data sets, without the rows of those that are held out.

        Raises InputError or MachineError as opening does, and InputError where no training row is left.
        """
        task, block = open_task(wanted), resolve(wanted)
        if block.collection is None or block.collection.field not in task.fields:
            return task
        verdicts: dict[str, str | None] = {}
        gone: Counter[str] = Counter()
        splits: dict[str, Rows] = {}
        for split, rows in task.splits.items():
            stays = []
            for i, value in enumerate(map(str, rows.columns[block.collection.field])):
                if value not in verdicts:
                    verdicts[value] = self.why(_origin_in(block.collection, value))
                if verdicts[value] is None:
                    stays.append(i)
                else:
                    gone[value] += split == "train"
            splits[split] = rows if len(stays) == len(rows) else rows.take(stays)
        if not gone:
            return task
        if not len(splits["train"]):
            raise InputError(f"task {task.name}: all its training rows are held out")
        told = ", ".join(f"{value} ({verdicts[value]})" for value in sorted(gone))
        self.left_out.append(LeftOut(task.name, told, sum(gone.values())))
        return replace(task, splits=splits)


def held_out(clusters: Sequence[str], tasks: Sequence[str | TaskBlock]) -> HeldOut:
    """Raises InputError for a task that is not known."""
    blocks = [resolve(task) for task in tasks]
    return HeldOut(frozenset(clusters), {name_of(block): origin_of(block) for block in blocks})


def name_of(block: TaskBlock) -> str:
    """What a task that is held out is called in messages."""
    hub = block.hub if block.hub is None or isinstance(block.hub, str) else block.hub.id
    return block.name or block.path or hub or "a task"


def tasks_in(block: MixtureBlock) -> Iterator[str | TaskBlock]:
    """The tasks that a mixture lists, those of its groups included."""
    for member in block.members:
        if isinstance(member, MixtureBlock):
            yield from tasks_in(member)
        else:
            yield member.task if isinstance(member, MemberTaskBlock) else member


def catalog_clusters() -> dict[str, list[str]]:
    """The catalog's tasks by cluster, both sorted."""
    found: dict[str, list[str]] = {}
    for name in catalog_names():
        if (cluster := catalog_entry(name).cluster) is not None:
            found.setdefault(cluster, []).append(name)
    return dict(sorted(found.items()))


def _origin_in(collection: CollectionBlock, value: str) -> Origin:
    """The origin of the rows that a collection calls `value`."""
    block = TaskBlock(
        name=value, sources=collection.sources.get(value, [value]), also_clusters=collection.clusters.get(value, [])
    )
    return origin_of(block)
