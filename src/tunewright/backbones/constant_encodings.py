"""What an encoder makes of a row never changes where it is frozen and the row has no slot in it: made once and kept."""

import torch
from torch import Tensor, nn

from tunewright.backbones.base import Backbone
from tunewright.backbones.batch import Batch
from tunewright.backbones.prefix_store import PrefixStore


class ConstantEncodings:
    """States [T, d] of each encoder row seen so far, by its ids.

    Each row is read alone, so that its numbers do not depend on a batch and a resumed run ends with the same weights.
    `in_training`: also while training (rows that come again, a model without dropout), else only in looks.
    """

    def __init__(self, backbone: Backbone, store: PrefixStore | None = None, *, in_training: bool = False) -> None:
        self.backbone = backbone
        self.store = store or PrefixStore()
        self.in_training = in_training

    def states(self, batch: Batch) -> Tensor | None:
        """[R, T, d], zeros at the padding (on the right); None where a row has a slot, or dropout may fall."""
        if bool((batch.soft >= 0).any()) or (self.backbone.reader.training and not self.in_training):
            return None
        kept = [self._row(ids[:length]) for ids, length in zip(batch.ids, batch.mask.sum(1).tolist())]
        return torch.stack([nn.functional.pad(row, (0, 0, 0, batch.ids.shape[1] - len(row))) for row in kept])

    @torch.no_grad()
    def _row(self, ids: Tensor) -> Tensor:
        key = ids.cpu().numpy().tobytes()
        found = self.store.kept.get(key)
        if found is None:
            one = ids.unsqueeze(0)  # [1, T]
            x = self.backbone.embed(one, torch.full_like(one, -1), None)
            found = self.store.put(key, self.backbone.reader(inputs_embeds=x).last_hidden_state[0])
        return found


def can_keep_encodings(backbone: Backbone) -> bool:
    """Whether nothing that is trained reaches an encoder's states but slots: an encoder-decoder, its encoder frozen."""
    return backbone.family == "seq2seq" and not any(p.requires_grad for p in backbone.reader.parameters())


def has_dropout(module: nn.Module) -> bool:
    """Whether some part of it drops numbers while training."""
    for part in module.modules():
        rates = {name: value for name, value in vars(part).items() if "drop" in name}
        if isinstance(part, nn.Dropout):
            rates["p"] = part.p
        if any(isinstance(rate, float) and rate > 0 for rate in rates.values()):
            return True
    return False
