"""`soft(…)` in a template: constants read from the syntax tree, so that the slots are known without rendering."""

import re

from jinja2 import TemplateSyntaxError, nodes

from tunewright.errors import did_you_mean
from tunewright.prompts.segments import Soft

LONGEST_SLOT = 10_000


def is_soft(node: nodes.Node) -> bool:
    """True for a call of `soft`."""
    return isinstance(node, nodes.Call) and isinstance(node.node, nodes.Name) and node.node.name == "soft"


def read_soft(call: nodes.Call, unnamed: str) -> Soft:
    """The slot group a `soft(…)` stands for; raises TemplateSyntaxError for anything but right constants."""

    def wrong(text: str) -> TemplateSyntaxError:
        return TemplateSyntaxError(text, call.lineno)

    options: dict[str, object] = {}
    for keyword in call.kwargs:
        if keyword.key not in ("slot", "side"):
            raise wrong(f"soft() has no option {keyword.key!r}{did_you_mean(keyword.key, ('slot', 'side'))}")
        options[keyword.key] = keyword.value.value if isinstance(keyword.value, nodes.Const) else None
    if len(call.args) != 1 or call.dyn_args or call.dyn_kwargs or not isinstance(call.args[0], nodes.Const):
        raise wrong("soft() takes one constant: a number of slots or the words to start from")
    what = call.args[0].value
    slot, side = options.get("slot", unnamed), options.get("side", "encoder")
    if not isinstance(slot, str) or not re.fullmatch(r"[^\s{}]+", slot):
        raise wrong('soft(slot=…) takes a constant name without spaces, e.g. slot="joint"')
    if side != "encoder" and side != "decoder":
        raise wrong('soft(side=…) is "encoder" or "decoder"')
    if isinstance(what, str) and what.strip():
        return Soft(slot, None, what, side)
    if isinstance(what, bool) or not isinstance(what, int) or not 1 <= what <= LONGEST_SLOT:
        raise wrong(f"soft() takes 1 to {LONGEST_SLOT} slots or words to start from, found {what!r}")
    return Soft(slot, what, None, side)
