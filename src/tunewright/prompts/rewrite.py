"""Rewrites a template's syntax tree: prints become marks, loops count their steps, `soft()` becomes its mark."""

from dataclasses import dataclass, field

from jinja2 import TemplateSyntaxError, nodes
from jinja2.visitor import NodeTransformer

from tunewright.prompts.markers import CONCAT, MARK, TICK, TOUCH, WORDS, atom, escape
from tunewright.prompts.segments import Answer, Segment, Sep, Soft
from tunewright.prompts.softcalls import is_soft, read_soft
from tunewright.prompts.sources import Sources

_REFUSED = {
    nodes.Block: "block",
    nodes.Extends: "extends",
    nodes.Include: "include",
    nodes.Import: "import",
    nodes.FromImport: "from … import",
    nodes.CallBlock: "call",
    nodes.FilterBlock: "filter",
    nodes.ScopedEvalContextModifier: "autoescape",
}


@dataclass
class Found:
    """What a template's tree holds: keys of its marks, its slot groups in order, how its text is split."""

    fields: dict[str, str] = field(default_factory=dict)  # key of a mark: field
    atoms: dict[str, Segment] = field(default_factory=dict)
    slots: list[Soft] = field(default_factory=list)
    splits: bool = False  # `|||` is printed as template words
    joins: bool = False  # … or stands in an expression or captured text, so that printed row text may hold it


class Rewriter(NodeTransformer):
    """One pass over one template's tree; `found` tells what was seen. Raises TemplateSyntaxError with the line."""

    def __init__(self, sources: Sources, prefix: str, special: bool) -> None:
        """`special`: `soft(…)`, `{{ answer }}`, `{{ sep }}` have their meaning (not in imported templates)."""
        self.found = Found()
        self._sources = sources
        self._prefix = prefix
        self._special = special
        self._captured = 0
        self._in_target = False

    # What is printed

    def visit_Output(self, node: nodes.Output) -> nodes.Output:
        """Every print: words stay, values are marked."""
        printed: list[nodes.Expr] = []
        for child in node.nodes:
            printed.extend(self._print(child))
        node.nodes = printed
        return node

    def _print(self, child: nodes.Expr) -> list[nodes.Expr]:
        line = child.lineno
        if isinstance(child, nodes.TemplateData):
            self._see_words(child.data, bool(self._captured))
            return [self._words(child.data, line)]
        if isinstance(child, nodes.Const):
            self._see_words(str(child.value), True)
            return [self._words("" if child.value is None and self._special else str(child.value), line)]
        if isinstance(child, nodes.Concat):
            return [part for inner in child.nodes for part in self._print(inner)]
        if isinstance(child, nodes.CondExpr):
            yes = self._print_one(child.expr1)
            no = self._print_one(child.expr2) if child.expr2 is not None else self._words("", line)
            return [nodes.CondExpr(self.visit(child.test), yes, no, lineno=line)]
        if self._special and isinstance(child, nodes.Name) and child.name in ("answer", "sep") and not self._in_target:
            mark: Segment = Answer() if child.name == "answer" else Sep()
            return [self._atom(child.name, mark, line)]
        if self._special and is_soft(child):
            return [self._soft(child)]
        fields = self._sources.of(child)
        value = self.visit(child)
        if not fields:
            return [_filter(value, WORDS, [], line)]
        # The key is short: it is written out with every print.
        key = next((key for key, name in self.found.fields.items() if name == fields[0]), str(len(self.found.fields)))
        self.found.fields[key] = fields[0]
        return [_filter(value, MARK, [nodes.Const(key, lineno=line)], line)]

    def _print_one(self, child: nodes.Expr) -> nodes.Expr:
        parts = self._print(child)
        return parts[0] if len(parts) == 1 else nodes.Concat(parts, lineno=child.lineno)

    def _words(self, text: str, line: int) -> nodes.Expr:
        return nodes.TemplateData(escape(text), lineno=line)

    def _see_words(self, text: str, inside: bool) -> None:
        if "|||" in text:
            self.found.splits = True
            self.found.joins |= inside
            self._in_target |= not self._captured

    def _atom(self, key: str, segment: Segment, line: int) -> nodes.Expr:
        self.found.atoms[key] = segment
        return nodes.TemplateData(atom(key), lineno=line)

    def _soft(self, call: nodes.Expr) -> nodes.Expr:
        assert isinstance(call, nodes.Call)
        if self._in_target:
            raise TemplateSyntaxError("soft() stands in the target, after `|||`", call.lineno)
        unnamed = f"{self._prefix}/{sum(slot.slot.startswith(self._prefix + '/') for slot in self.found.slots) + 1}"
        soft = read_soft(call, unnamed)
        self.found.slots.append(soft)
        return self._atom(f"soft{len(self.found.slots)}", soft, call.lineno)

    # What must be counted

    def visit_For(self, node: nodes.For) -> nodes.For:
        """A loop counts each turn, and each look at its test."""
        cost = nodes.Const(1 + (_literal_length(node.body) >> 7))
        self.generic_visit(node)
        node.body.insert(0, nodes.ExprStmt(_filter(nodes.Const(True), TICK, [cost], node.lineno), lineno=node.lineno))
        if node.test is not None:  # a loop whose test is never true has no body to count in
            tick = _filter(nodes.Const(True), TICK, [nodes.Const(1)], node.lineno)
            node.test = nodes.And(tick, node.test, lineno=node.lineno)
        return node

    def visit_Macro(self, node: nodes.Macro) -> nodes.Macro:
        """A macro counts each call."""
        cost = nodes.Const(1 + (_literal_length(node.body) >> 7))
        self._captured += 1
        self.generic_visit(node)
        self._captured -= 1
        node.body.insert(0, nodes.ExprStmt(_filter(nodes.Const(True), TICK, [cost], node.lineno), lineno=node.lineno))
        return node

    def visit_AssignBlock(self, node: nodes.AssignBlock) -> nodes.AssignBlock:
        """Captured text: a `|||` in it may come out in the middle of an expression."""
        self._captured += 1
        self.generic_visit(node)
        self._captured -= 1
        return node

    def visit_If(self, node: nodes.If) -> nodes.If:
        """Each branch begins where the `if` stands: before or after `|||`."""
        before = self._in_target
        node.test = self.visit(node.test)
        after = False
        for branch in (node.body, node.elif_, node.else_):  # each branch starts where the `if` stands
            self._in_target = before
            branch[:] = [self.visit(child) for child in branch]
            after |= self._in_target
        self._in_target = after
        return node

    def visit_Concat(self, node: nodes.Concat) -> nodes.Expr:
        """`a ~ b` is checked before it is joined."""
        self.generic_visit(node)
        return _filter(nodes.List(node.nodes, lineno=node.lineno), CONCAT, [], node.lineno)

    def visit_Compare(self, node: nodes.Compare) -> nodes.Compare:
        """Comparing costs what the two sides are long."""
        self.generic_visit(node)
        node.expr = _touched(node.expr)
        for operand in node.ops:
            operand.expr = _touched(operand.expr)
        return node

    def visit_Getitem(self, node: nodes.Getitem) -> nodes.Getitem:
        """A slice costs what it is cut from."""
        self.generic_visit(node)
        if isinstance(node.arg, nodes.Slice):
            node.node = _touched(node.node)
        return node

    def visit_List(self, node: nodes.List) -> nodes.Expr:
        """A list costs all it holds, so that none can be built that is endless when printed."""
        self.generic_visit(node)
        return _touched(node)

    def visit_Dict(self, node: nodes.Dict) -> nodes.Expr:
        """As a list."""
        self.generic_visit(node)
        return _touched(node)

    def visit_Tuple(self, node: nodes.Tuple) -> nodes.Expr:
        """As a list."""
        self.generic_visit(node)
        return _touched(node) if node.ctx == "load" else node

    # What is refused

    def visit_Const(self, node: nodes.Const) -> nodes.Const:
        """A `|||` in an expression may come out in the middle of row text."""
        if isinstance(node.value, str) and "|||" in node.value:
            self.found.joins = True
        return node

    def visit_Call(self, node: nodes.Call) -> nodes.Call:
        """`soft()` anywhere but alone in its braces is an error."""
        if self._special and is_soft(node):
            raise TemplateSyntaxError("soft() stands alone in its braces: {{ soft(20) }}", node.lineno)
        self.generic_visit(node)
        return node


def check_tags(tree: nodes.Template) -> None:
    """Refuse tags that need other templates or hide what is printed; raises TemplateSyntaxError."""
    for kind, tag in _REFUSED.items():
        node = tree.find(kind)
        if node is not None:
            raise TemplateSyntaxError(f"the tag {{% {tag} %}} is not allowed in a prompt template", node.lineno)
    for loop in tree.find_all(nodes.For):
        if loop.recursive:  # its inner output does not pass through a print, so it would lose its marks
            raise TemplateSyntaxError("recursive loops are not allowed in a prompt template; use a macro", loop.lineno)


def _filter(value: nodes.Expr, name: str, args: list[nodes.Expr], line: int) -> nodes.Expr:
    """`value | name(args)`: a filter is called straight, a function only through the sandbox's checks."""
    return nodes.Filter(value, name, args, [], None, None, lineno=line)


def _touched(value: nodes.Expr) -> nodes.Expr:
    return value if isinstance(value, nodes.Const) else _filter(value, TOUCH, [], value.lineno)


def _literal_length(body: list[nodes.Node]) -> int:
    """Characters of template words in a loop's body: joining them costs time although no call is made."""
    return sum(
        len(data.data)
        for node in body
        for data in (node, *node.find_all(nodes.TemplateData))
        if isinstance(data, nodes.TemplateData)
    )
