"""Source of a module as a board needs it: the same work in less memory. `build.py` compiles what this returns.

Dropped are blocks for type checkers, which MicroPython would compile and load; integer constants, written where they
are used, unless another file names them; and in the core, which only counts refusals, the words of those.
"""

import ast
import re
from collections.abc import Iterable

WORDLESS = ("cbor", "cose", "light", "statement")  # whoever catches their refusals looks at the class alone
KEPT = ("notices", "codes")  # looked up by name


class Names:
    """Which names of all modules may not go away, or may change."""

    def __init__(self, sources: Iterable[str]) -> None:
        self.used: set[str] = set()
        self.changed: set[str] = set()
        for source in sources:
            for node in ast.walk(ast.parse(source)):
                if isinstance(node, ast.Attribute):
                    self.used.add(node.attr)
                    if isinstance(node.ctx, ast.Store):
                        self.changed.add(node.attr)
                elif isinstance(node, ast.ImportFrom):
                    self.used.update(alias.name for alias in node.names)
                elif isinstance(node, ast.Global):
                    self.changed.update(node.names)


class _Shrinker(ast.NodeTransformer):
    def __init__(self, constants: dict[str, int], wordless: bool) -> None:
        self._constants = constants
        self._wordless = wordless

    def visit_If(self, node: ast.If) -> ast.AST | list[ast.stmt]:
        if isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING":
            rest = ast.Module(node.orelse, [])
            self.generic_visit(rest)
            return rest.body
        return self.generic_visit(node)

    def visit_Name(self, node: ast.Name) -> ast.AST:
        if isinstance(node.ctx, ast.Load) and node.id in self._constants:
            return ast.copy_location(ast.Constant(self._constants[node.id]), node)
        return node

    def visit_AnnAssign(self, node: ast.AnnAssign) -> ast.AST | None:
        if node.value is None:
            return None
        return self.generic_visit(ast.copy_location(ast.Assign([node.target], node.value), node))

    def visit_arg(self, node: ast.arg) -> ast.AST:
        node.annotation = None
        return node

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
        node.returns = None
        return self.generic_visit(node)

    def visit_Raise(self, node: ast.Raise) -> ast.AST:
        error = node.exc
        if self._wordless and isinstance(error, ast.Call) and all(isinstance(one, ast.Constant) for one in error.args):
            node.exc = error.func
        return self.generic_visit(node)


def shrunk(source: str, name: str, names: Names) -> str:
    """The source of module `name`, shorter."""
    tree = ast.parse(source)
    constants: dict[str, int] = {}
    for node in tree.body:
        if (found := _constant(node)) and found[0] not in names.changed:
            constants[found[0]] = found[1]
    body = []
    for node in tree.body:
        found = _constant(node)
        if (
            isinstance(node, ast.Assign)
            and isinstance(node.targets[0], ast.Name)
            and node.targets[0].id == "TYPE_CHECKING"
        ):
            continue
        if found and found[0] in constants and found[0] not in names.used and name not in KEPT:
            continue
        body.append(node)
    tree.body = body
    return ast.unparse(_Shrinker(constants, name in WORDLESS).visit(tree))


def _constant(node: ast.stmt) -> tuple[str, int] | None:
    """(name, value) of `NAME = 5` at the top of a module."""
    if not isinstance(node, ast.Assign) or len(node.targets) != 1 or not isinstance(node.targets[0], ast.Name):
        return None
    target = node.targets[0].id
    try:
        value = eval(ast.unparse(node.value), {"__builtins__": {}})  # noqa: S307 - our own sources
    except Exception:
        return None
    return (target, value) if re.fullmatch("_?[A-Z][A-Z0-9_]*", target) and type(value) is int else None
