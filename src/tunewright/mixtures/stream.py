"""The examples of a mixture: the k-th one of an epoch is computed from (seed, epoch, k), never looked up."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from tunewright.errors import InputError
from tunewright.mixtures.members import Member
from tunewright.mixtures.options import draw_style, with_options
from tunewright.mixtures.permutation import permuted
from tunewright.mixtures.rates import shares
from tunewright.prompts.demonstrations import answered, question, row_words
from tunewright.prompts.detached import without_slots
from tunewright.prompts.segments import Demonstration, Prompt
from tunewright.seeds import hashed, seed_of, uniform
from tunewright.tasks.task import Rows

SEPARATOR = "\n\n"  # between exemplars
_SPARE = 5  # rows looked at beyond the wanted exemplars: some are skipped, or ask what the row asks


@dataclass(frozen=True)
class Draws:
    """Some examples, an array [n] each: their numbers (epoch × length + k), members, rows of these, wordings,
    exemplars (0: zero-shot), and whether the options are listed.
    """

    number: np.ndarray
    member: np.ndarray
    row: np.ndarray
    wording: np.ndarray
    shots: np.ndarray
    options: np.ndarray

    def __len__(self) -> int:
        return len(self.number)


class Mixture:
    """Open tasks as one endless stream of examples.

    An epoch has `length` examples, and each member its share of them to the last example (largest remainder): place
    the members' examples one behind the other, and let a keyed permutation say which stands at k. A member's j-th
    example since the start is row j of its own keyed permutations, one after the other: no row a second time before
    all in use were drawn once. Wording and form are drawn from (seed, epoch, k) by their probabilities. Nothing is
    kept of what was drawn, so any worker may make any example, in any order.
    """

    def __init__(self, members: Sequence[Member], length: int, seed: int) -> None:
        """Raises InputError for a member that no example of an epoch falls to."""
        self.members, self.length, self.seed = list(members), length, seed
        self.counts = np.array(shares(length, [member.share for member in members]))
        if 0 in self.counts:
            name = members[int(np.argmin(self.counts))].name
            raise InputError(f"mixture: an epoch of {length} examples has none of {name!r}; raise `epoch` or its share")
        self.edges = np.cumsum(self.counts)
        self._keys = np.array([seed_of("member", seed, member.name) for member in members], np.uint64)
        self._sizes = np.array([len(member.rows) for member in members])
        self._pools = np.array([len(member.pool) for member in members])
        self._used = np.array([member.used for member in members])
        wide = max(len(member.wordings) for member in members)
        self._until = np.ones((len(members), wide))  # [members, wordings] cumulated shares
        self._forms = np.zeros((2, len(members), wide))  # probability of few-shot, of options
        for m, member in enumerate(members):
            count = len(member.wordings)
            self._until[m, : count - 1] = np.cumsum([w.share for w in member.wordings])[:-1]
            self._forms[:, m, :count] = [[w.few_shot for w in member.wordings], [w.options for w in member.wordings]]
            if len(member.pool) < 2:  # none but the row itself
                self._forms[0, m] = 0.0
        self._exemplars = np.array([member.exemplars for member in members])

    def __len__(self) -> int:
        return self.length

    def few_shot(self, member: int, wording: int) -> float:
        """The probability of exemplars in this wording of this member."""
        return float(self._forms[0, member, wording])

    def draws(self, numbers: Sequence[int] | np.ndarray) -> Draws:
        """What stands at these numbers (epoch × length + k)."""
        number = np.asarray(numbers, np.int64)
        epoch, k = np.divmod(number, self.length)
        place = permuted(k, self.length, hashed(self._key("order"), epoch))
        member = np.searchsorted(self.edges, place, side="right")
        count = self.counts[member]
        since = epoch * count + place - (self.edges[member] - count)  # its examples since the start
        turn, at = np.divmod(since, self._used[member])
        row = permuted(at, self._used[member], hashed(self._keys[member], turn + 1))
        part = self._used[member] < self._sizes[member]
        if part.any():
            row[part] = permuted(row[part], self._sizes[member[part]], hashed(self._keys[member[part]], 0))
        wording = (uniform(self._key("wording"), number)[:, None] >= self._until[member]).sum(1)
        few, listed = self._forms[:, member, wording]
        low, high = self._exemplars[member].T
        wanted = low + (uniform(self._key("exemplars"), number) * (high - low + 1)).astype(np.int64)
        shots = np.where(uniform(self._key("few-shot"), number) < few, wanted, 0)
        return Draws(number, member, row, wording, shots, uniform(self._key("options"), number) < listed)

    def prompts(self, draws: Draws) -> list[Prompt | None]:
        """The examples as prompts without slots; None where a template skips the row.

        Raises InputError naming the member and the row for what a template cannot make of it.
        """
        return [self._prompt(draws, i, looked_at) for i, looked_at in enumerate(self._looked_at(draws))]

    def names(self, draws: Draws) -> list[str]:
        """What messages call the examples."""
        return [f"{self.members[m].name}, row {self.members[m].rows.ids[r]}" for m, r in zip(draws.member, draws.row)]

    def _looked_at(self, draws: Draws) -> list[np.ndarray]:
        """For each example the rows of the pool that are tried as exemplars, in order; none for a zero-shot one."""
        pools = self._pools[draws.member]
        count = np.where(draws.shots > 0, np.minimum(pools, draws.shots + _SPARE), 0)
        until = np.cumsum(count)
        of = np.repeat(np.arange(len(draws)), count)
        keys = hashed(self._key("which exemplars"), draws.number.astype(np.uint64))
        return np.split(permuted(np.arange(len(of)) - (until - count)[of], pools[of], keys[of]), until[:-1])

    def _prompt(self, draws: Draws, i: int, looked_at: np.ndarray) -> Prompt | None:
        number, row, shots = int(draws.number[i]), int(draws.row[i]), int(draws.shots[i])
        member = self.members[draws.member[i]]
        wording = member.wordings[draws.wording[i]]
        style = draw_style(self.seed, number) if draws.options[i] else None

        def rendered(rows: Rows, index: int) -> Prompt | None:
            name = rows.ids[index]
            try:
                prompt = wording.template.render(rows[index], seed=seed_of(self.seed, name) % 2**32)
            except InputError as error:
                raise InputError(f"{member.name}, row {name}: {error}") from None
            if prompt is None:
                return None
            prompt = without_slots(prompt)
            return prompt if style is None else with_options(prompt, style, self.seed, number, name)

        prompt = rendered(member.rows, row)
        if prompt is None or not shots:
            return prompt
        shown = self._exemplars_of(member, prompt, row, shots, looked_at, rendered)
        return replace(prompt, demonstrations=shown, separator=SEPARATOR)

    def _exemplars_of(
        self,
        member: Member,
        prompt: Prompt,
        row: int,
        count: int,
        looked_at: np.ndarray,
        rendered: Callable[[Rows, int], Prompt | None],
    ) -> tuple[Demonstration, ...]:
        """Training rows in the prompt's own wording and form, never the row itself or one that asks the same."""
        pool = member.pool
        own, whole = row_words(prompt.segments), question(prompt.segments)
        found: list[Demonstration] = []
        for index in looked_at.tolist():
            if len(found) == count:
                break
            if pool is member.rows and index == row:
                continue
            other = rendered(pool, index)
            if other is None or question(other.segments) == whole or (own and row_words(other.segments) == own):
                continue
            found.append(Demonstration(pool.ids[index], answered(other), rank=len(found)))
        return tuple(found)

    def _key(self, what: str) -> np.uint64:
        return np.uint64(seed_of(what, self.seed))
