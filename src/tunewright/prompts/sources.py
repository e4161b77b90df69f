"""Which fields of the row an expression of a template can print, read from the syntax tree.

The answer errs towards the row: a name that is bound several times has the fields of all its bindings, and what
a list was given by `append` counts too. So a row's text is never taken for the template's own words.
"""

from collections.abc import Callable, Iterator

from jinja2 import nodes

_COUNTERS = frozenset(("index", "index0", "revindex", "revindex0", "first", "last", "length", "depth", "depth0"))


def names_in(node: nodes.Node) -> Iterator[str]:
    """The names an expression reads, in the order they are written; a loop's counters are left out."""
    if isinstance(node, nodes.Name):
        if node.ctx == "load":
            yield node.name
        return
    if isinstance(node, nodes.NSRef):
        return
    if isinstance(node, nodes.Getattr) and isinstance(node.node, nodes.Name):  # noqa: SIM102
        if node.node.name == "loop" and node.attr in _COUNTERS:
            return
    for child in node.iter_child_nodes():
        yield from names_in(child)


class Sources:
    """The bindings of a template: what each name may hold."""

    def __init__(self, tree: nodes.Template, free: set[str], fields_of: Callable[[str], tuple[str, ...]]) -> None:
        """`free` are the names taken from the row; `fields_of(name)` are the fields such a name stands for."""
        self._free = free
        self._fields_of = fields_of
        self._bound: dict[str, list[nodes.Node]] = {}
        self._known: dict[str, list[str]] = {}
        self._bind_all(tree)

    @property
    def bound(self) -> frozenset[str]:
        """The names the template itself gives a value somewhere."""
        return frozenset(self._bound)

    def of(self, node: nodes.Node) -> list[str]:
        """The fields the expression may print, the first one written first."""
        found: dict[str, None] = {}
        for name in names_in(node):
            for field in self._of_name(name):
                found[field] = None
        return list(found)

    def _of_name(self, name: str) -> list[str]:
        if name not in self._known:
            found: dict[str, None] = {}
            for part in self._reach(name):
                if part in self._free:
                    found.update(dict.fromkeys(self._fields_of(part)))
            self._known[name] = list(found)
        return self._known[name]

    def _reach(self, name: str) -> list[str]:
        """`name` and every name whose value may have flowed into it."""
        seen: dict[str, None] = {}
        waiting = [name]
        while waiting:
            part = waiting.pop(0)
            if part in seen:
                continue
            seen[part] = None
            for node in self._bound.get(part, ()):
                waiting.extend(names_in(node))
        return list(seen)

    def _bind(self, target: nodes.Node, value: nodes.Node) -> None:
        if isinstance(target, nodes.Name | nodes.NSRef):
            self._bound.setdefault(target.name, []).append(value)
        else:
            for child in target.iter_child_nodes():
                self._bind(child, value)

    def _bind_all(self, tree: nodes.Template) -> None:
        for assign in tree.find_all(nodes.Assign):
            self._bind(assign.target, assign.node)
        for block in tree.find_all(nodes.AssignBlock):
            for child in block.iter_child_nodes(exclude=("target",)):
                self._bind(block.target, child)
        for loop in tree.find_all(nodes.For):
            self._bind(loop.target, loop.iter)
            self._bound.setdefault("loop", []).append(loop.iter)
        for scope in tree.find_all(nodes.With):
            for target, value in zip(scope.targets, scope.values):
                self._bind(target, value)
        for macro in tree.find_all(nodes.Macro):
            self._bind_macro(macro, tree)
        for call in tree.find_all(nodes.Call):
            self._bind_method(call)

    def _bind_macro(self, macro: nodes.Macro, tree: nodes.Template) -> None:
        for child in macro.body:
            self._bound.setdefault(macro.name, []).append(child)
        params: list[nodes.Node] = [*macro.args, nodes.Name("varargs", "param"), nodes.Name("kwargs", "param")]
        values: list[nodes.Node] = list(macro.defaults)
        calls = list(tree.find_all(nodes.Call))
        named = {id(call.node) for call in calls}
        aliased = any(
            name.name == macro.name and name.ctx == "load" and id(name) not in named
            for name in tree.find_all(nodes.Name)
        )
        for call in calls:
            # A macro passed around under another name may be called from anywhere.
            if aliased or (isinstance(call.node, nodes.Name) and call.node.name == macro.name):
                values.extend(child for child in call.iter_child_nodes(exclude=("node",)))
        for param in params:
            for value in values:
                self._bind(param, value)

    def _bind_method(self, call: nodes.Call) -> None:
        given = list(call.iter_child_nodes(exclude=("node",)))
        root: nodes.Node = call.node
        if isinstance(root, nodes.Name):
            return
        while isinstance(root, nodes.Getattr | nodes.Getitem):
            root = root.node
        if isinstance(root, nodes.Name) and given:
            # `x.append(value)`: x, and whatever x is another name of, may now hold the value.
            for name in self._reach(root.name):
                self._bound.setdefault(name, []).extend(given)
