"""The examples of a mixture, encoded: what the loop reads in the place of one task's rows."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

from tunewright.backbones.base import Backbone
from tunewright.backbones.examples import Example, Purpose
from tunewright.mixtures.stream import Draws, Mixture
from tunewright.prompts.layout import SlotLayout
from tunewright.prompts.segments import Prompt


@dataclass
class MixtureRows:
    """A mixture as the model reads it. A row's number is epoch × length + k, so that it says by itself what it is.

    An example whose answer passes `max_tokens` is left out: of many tasks, some row always has one.

    `counts`: examples `read`, `skipped`, `too long`, `shortened`; exemplars and earlier turns that `stand` and were
    `dropped`, in how many examples (`short of`).
    """

    mixture: Mixture
    backbone: Backbone
    layout: SlotLayout
    max_tokens: int
    change: Callable[[Prompt], Prompt]
    counts: Counter[str] = field(default_factory=Counter)
    _member: dict[int, int] = field(default_factory=dict)  # of the examples that were encoded last

    def __len__(self) -> int:
        return len(self.mixture)

    def order(self, epoch: int) -> Sequence[int]:
        """The numbers of an epoch: the mixture itself is in a random order."""
        return range(epoch * len(self), (epoch + 1) * len(self))

    def task_of(self, number: int) -> int:
        """The member that an example is of."""
        if number not in self._member:
            self._member = {number: int(self.mixture.draws([number]).member[0])}
        return self._member[number]

    def examples(self, numbers: Sequence[int], epoch: int, purpose: Purpose, room: int = 0) -> list[Example | None]:
        """The examples in order (None: skipped); `epoch` is in their numbers already."""
        draws = self.mixture.draws(numbers)
        self._member = dict(zip(draws.number.tolist(), draws.member.tolist()))
        prompts = self.prompts(draws)
        wanted = [(i, prompt) for i, prompt in enumerate(prompts) if prompt is not None]
        names = self.mixture.names(draws)

        long: list[int] = []
        made = iter(
            self.backbone.encode_many(
                [prompt for _, prompt in wanted], self.layout, purpose, max_tokens=self.max_tokens, room=room,
                names=[names[i] for i, _ in wanted], too_long=long,
            )
        )  # fmt: skip
        left_out = set(long)
        found: list[Example | None] = [None] * len(prompts)
        for place, (i, _) in enumerate(wanted):
            if place in left_out:
                continue
            example = next(made)
            example.drawn = int(draws.number[i])
            found[i] = example
            self.counts["shortened"] += example.shortened
            self.counts["stand"] += example.demonstrations
            self.counts["dropped"] += example.dropped
            self.counts["short of"] += example.dropped > 0
        self.counts["too long"] += len(long)
        self.counts["read"] += len(prompts)
        self.counts["skipped"] += len(prompts) - len(wanted)
        return found

    def prompts(self, draws: Draws) -> list[Prompt | None]:
        """Draws as prompts with the method's slots."""
        prompts = [prompt and self.change(prompt) for prompt in self.mixture.prompts(draws)]
        if not self.layout.rows:
            return prompts
        return [prompt and _last_answer_only(prompt) for prompt in prompts]


def _last_answer_only(prompt: Prompt) -> Prompt:
    """Slots stand behind the earlier turns, so that nothing that is tuned can reach those answers."""
    shown = tuple(replace(one, trained=False) for one in prompt.demonstrations)
    return replace(prompt, demonstrations=shown)
