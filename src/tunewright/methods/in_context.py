"""In-context learning: training rows with their answers stand before each question; nothing is trained."""

from typing import ClassVar

from pydantic import Field

from tunewright.backbones.base import Backbone
from tunewright.methods.base import Setting, Tunable
from tunewright.methods.none import NoTuning
from tunewright.prompts.demonstrations import Choose, Demonstrations, Order
from tunewright.prompts.layout import SlotLayout


class InContext(NoTuning):
    """Brown et al. 2020, §2; nearest as in Liu et al. 2022, one of each class in turn as in Gao et al. 2021, §6."""

    name: ClassVar[str] = "in-context"
    about: ClassVar[str] = "the model as it is, shown training rows with their answers before each question"
    trains: ClassVar[str] = "nothing"

    examples: int = Field(8, ge=1, description="how many stand before each question; training.max_tokens may drop some")
    choose: Choose = Field("fixed", description="the same for all rows, drawn for each row, or the most alike")
    balanced: bool = Field(True, description="of each class as many as can be (classify)")
    order: Order | None = Field(None, description="none: similar-last for nearest, else random")
    separator: str = Field("\n\n", description="stands behind each example; in a chat each is an earlier turn instead")

    def demonstrations(self) -> Demonstrations:
        """As the settings say."""
        order = self.order or ("similar-last" if self.choose == "nearest" else "random")
        return Demonstrations(self.examples, self.choose, self.balanced, order, self.separator)

    def tune(self, backbone: Backbone, layout: SlotLayout, setting: Setting) -> Tunable:
        """Freeze everything; what is new stands in the prompts."""
        tunable = super().tune(backbone, layout, setting)
        tunable.already_tuned = True
        return tunable
