"""What a mixture's file may say, and where it is found."""

from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from tunewright.errors import InputError, did_you_mean
from tunewright.settings import Strict, load_yaml, validate
from tunewright.task_block import TaskBlock

Share = Annotated[float, Field(ge=0, le=1)]


class FormatsBlock(Strict):
    """In which forms a row is shown: shares of the examples that can have the form. None: as the group above says."""

    few_shot: Share | None = Field(None, description="with solved training rows before the question (0.5)")
    exemplars: tuple[int, int] | None = Field(None, description="the fewest and the most of them (1, 5)")
    options: Share | None = Field(
        None, description="the choices listed, where the template does not list them itself (0.5)"
    )
    inverted: Share | None = Field(None, description="turned round by an `inverted-…` template (0.3)")
    chain: Share | None = Field(None, description="answered with its reasons, where the row has them (0.5)")
    turns: Share | None = Field(None, description="a conversation whole, all the assistant's turns trained (1)")

    @model_validator(mode="after")
    def _range(self) -> "FormatsBlock":
        if self.exemplars is not None and not 1 <= self.exemplars[0] <= self.exemplars[1]:
            raise ValueError("exemplars: [fewest, most] wanted, 1 or more, e.g. [1, 5]")
        return self

    def under(self, other: "FormatsBlock") -> "FormatsBlock":
        """These, and the other's where nothing is said."""
        return self.model_copy(
            update={name: getattr(other, name) for name in type(self).model_fields if getattr(self, name) is None}
        )


DEFAULTS = FormatsBlock(few_shot=0.5, exemplars=(1, 5), options=0.5, inverted=0.3, chain=0.5, turns=1.0)


class MemberTaskBlock(Strict):
    """A task of a mixture."""

    task: str | TaskBlock
    weight: float | None = Field(None, gt=0, description="its share beside the other members of its group")
    templates: list[str] | dict[str, Annotated[float, Field(gt=0)]] | None = Field(
        None, description="which of its templates, or {NAME: weight}; none: all, by the shares of `formats`"
    )
    rows: int | None = Field(None, gt=0, description="use at most so many of its training rows, drawn by the seed")
    formats: FormatsBlock = Field(default_factory=FormatsBlock)


class MixtureBlock(Strict):
    """A group of tasks and of other groups, and how often each is drawn."""

    name: str | None = None
    about: str | None = None
    weight: float | None = Field(None, gt=0, description="of a group inside another: its share there")
    mixture: str | None = Field(None, description="the members of another mixture: a shipped name or a file")
    members: list["str | MemberTaskBlock | MixtureBlock"] = Field(default_factory=list)
    cap: float | None = Field(
        None, gt=0, description="a member counts as so many rows at most (examples-proportional mixing with a maximum)"
    )
    temperature: float = Field(
        1.0, gt=0, description="members count as min(rows, cap) to the power of 1/temperature; the higher, the evener"
    )
    rows: int | None = Field(None, gt=0, description="use at most so many training rows of each task")
    wordings: int | None = Field(
        None, gt=0, description="use at most so many wordings of each kind (plain, inverted, chain) of each task, its "
        "default template first"
    )  # fmt: skip
    formats: FormatsBlock = Field(default_factory=FormatsBlock)
    epoch: int | None = Field(None, gt=0, description="examples an epoch; none: the rows of all tasks, capped")
    missing: Literal["error", "skip"] | None = Field(
        None, description="skip: tasks whose rows cannot be had here are left out, and named"
    )

    @model_validator(mode="after")
    def _some_members(self) -> "MixtureBlock":
        if bool(self.members) == (self.mixture is not None):
            raise ValueError("members (a list of tasks and groups), or mixture (NAME or FILE) wanted")
        named = [member.weight is not None for member in self.members if not isinstance(member, str)]
        bare = len(named) < len(self.members)
        if any(named) and (bare or not all(named)):
            raise ValueError("a weight for every member of a group, or for none (they count by their rows then)")
        return self


def mixture_names() -> list[str]:
    """The names of the shipped mixtures, sorted."""
    return sorted(path.stem for path in _folder().glob("*.yaml"))


def read_mixture(wanted: str | Mapping[str, Any], beside: Path | None = None) -> MixtureBlock:
    """The mixture of a file, the shipped one of a name, or what such a file would say; every `mixture:` in it read too.

    `beside`: the folder that files are looked for in first. Raises InputError naming file and key.
    """
    if isinstance(wanted, str):
        return _read(wanted, beside, ())
    return _whole(validate(MixtureBlock, dict(wanted), "mixture"), beside or Path(), ())


def _read(wanted: str, beside: Path | None, above: tuple[str, ...]) -> MixtureBlock:
    path = Path(wanted).expanduser()
    if path.suffix.lower() in (".yaml", ".yml"):
        if beside is not None and (beside / path).is_file():
            path = beside / path
    elif wanted in mixture_names():
        path = _folder() / f"{wanted}.yaml"
    else:
        raise InputError(f"no mixture {wanted!r}{did_you_mean(wanted, mixture_names())}; a file ends in .yaml")
    if (place := str(path.resolve())) in above:
        raise InputError(f"{path}: this mixture holds itself")
    block = validate(MixtureBlock, load_yaml(path), str(path))
    return _whole(block.model_copy(update={"name": block.name or path.stem}), path.parent, (*above, place))


def _whole(block: MixtureBlock, beside: Path, above: tuple[str, ...]) -> MixtureBlock:
    if block.mixture is not None:
        found = _read(block.mixture, beside, above)
        own = {key: getattr(block, key) for key in block.model_fields_set if key not in ("mixture", "formats")}
        formats = block.formats.under(found.formats)
        found = found.model_copy(update={**own, "formats": formats, "name": block.name or found.name})
        return found
    members = [_whole(one, beside, above) if isinstance(one, MixtureBlock) else one for one in block.members]
    return block.model_copy(update={"members": members})


def task_count(block: MixtureBlock) -> int:
    """How many tasks a mixture lists, those of its groups included."""
    return sum(task_count(member) if isinstance(member, MixtureBlock) else 1 for member in block.members)


def _folder() -> Path:
    return Path(str(files("tunewright") / "mixtures" / "ready"))
