"""From a mixture's file to its open tasks, each with its share of all examples."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

from tunewright.errors import InputError, MachineError
from tunewright.mixtures.block import DEFAULTS, FormatsBlock, MemberTaskBlock, MixtureBlock
from tunewright.mixtures.rates import proportions
from tunewright.mixtures.wordings import Reader, Wording, wordings
from tunewright.task_block import TaskBlock
from tunewright.tasks.open import resolve
from tunewright.tasks.stored import open_stored
from tunewright.tasks.task import Rows, Task

OpenTask = Callable[[str | TaskBlock], Task]


@dataclass(frozen=True)
class Member:
    """One task of a mixture. `name`: the groups it stands in and its own, `nli/rte`; `share`: of all examples.

    `rows` are drawn from, so many of them as `used`; `pool` are the training rows, whence the exemplars.
    """

    name: str
    task: Task
    share: float
    wordings: tuple[Wording, ...]
    exemplars: tuple[int, int]
    rows: Rows
    pool: Rows
    used: int

    def on(self, split: str) -> "Member":
        """The same with another split's rows, all of them."""
        rows = self.task.split(split)
        return replace(self, rows=rows, used=len(rows))


@dataclass
class _Group:
    """A group with what is left of it. `size`: its rows, capped."""

    members: list[tuple[float, Member]]  # (share within the group, member)
    size: float


@dataclass
class Members:
    """The members, the examples of an epoch, and what was left out and why."""

    members: list[Member]
    epoch: int
    notes: list[str] = field(default_factory=list)


def open_members(
    block: MixtureBlock,
    reader: Reader,
    open_one: OpenTask = open_stored,
    known: Callable[[str | TaskBlock], object] = resolve,
) -> Members:
    """Open every task of a mixture.

    Raises InputError for a task that `known` has not, and InputError or MachineError for one whose rows cannot be had,
    unless the file says `missing: skip`.
    """
    opened: dict[str, Task | str] = {}
    notes: list[str] = []
    gone: dict[str, str] = {}  # the tasks that are not here, and why

    def task_of(wanted: str | TaskBlock) -> Task | str:
        key = wanted if isinstance(wanted, str) else wanted.model_dump_json(exclude_unset=True)
        if key not in opened:
            try:
                opened[key] = open_one(wanted)
            except (InputError, MachineError) as error:
                known(wanted)  # a name that is written wrong is not a task that is missing
                if block.missing != "skip":
                    raise
                name = wanted if isinstance(wanted, str) else wanted.name or wanted.path or "a task"
                opened[key] = str(error)
                gone[name] = str(error)
        return opened[key]

    def group(one: MixtureBlock, path: str, formats: FormatsBlock, rows: int | None) -> _Group:
        formats, rows = one.formats.under(formats), one.rows or rows
        groups: list[_Group] = []
        weights: list[float | None] = []
        for number, member in enumerate(one.members):
            if isinstance(member, MixtureBlock):
                inner = group(member, f"{path}{member.name or number + 1}/", formats, rows)
                if not inner.members:
                    notes.append(f"left out, none of its tasks is here: {path}{member.name or number + 1}")
                    continue
            else:
                entry = MemberTaskBlock(task=member) if isinstance(member, str) else member
                task = task_of(entry.task)
                if isinstance(task, str):
                    continue
                train, most = task.split("train"), entry.rows or rows
                made = entry.formats.under(formats)
                mine = tuple(wordings(task, entry.templates, made, reader))
                assert made.exemplars is not None
                used = min(len(train), most or len(train))
                only = Member(path + task.name, task, 1.0, mine, made.exemplars, train, train, used)
                inner = _Group([(1.0, only)], used)
            groups.append(inner)
            weights.append(None if isinstance(member, str) else member.weight)
        if not groups:
            return _Group([], 0)
        parts = proportions([inner.size for inner in groups], weights, one.cap, one.temperature)
        found = [(part * share, member) for part, inner in zip(parts, groups) for share, member in inner.members]
        return _Group(found, sum(min(inner.size, one.cap or inner.size) for inner in groups))

    whole = group(block, "", DEFAULTS, None)
    if gone:
        name, why = next(iter(gone.items()))
        notes.insert(0, f"{len(gone)} tasks left out, their rows cannot be had: {', '.join(gone)} ({name}: {why})")
    if not whole.members:
        raise InputError(f"mixture {block.name or ''}: none of its tasks is here; {notes[0] if notes else ''}")
    members = [replace(member, share=share) for share, member in whole.members]
    _check_names(members)
    return Members(members, block.epoch or max(1, round(whole.size)), notes)


def _check_names(members: Sequence[Member]) -> None:
    seen: set[str] = set()
    for member in members:
        if member.name in seen:
            raise InputError(f"mixture: two members are called {member.name!r}; name their groups apart, or the tasks")
        seen.add(member.name)
