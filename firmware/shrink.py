"""Source of a module as a board needs it: the same work in less memory. `build.py` compiles what this returns.

Dropped are blocks for type checkers, which MicroPython would compile and load, annotations, and integer constants,
which are written where they are used, in other modules as well; and in the core, which only counts refusals, the words
of those.
"""

import ast
import re
from collections.abc import Callable, Iterable

WORDLESS = ("cbor", "cose", "light", "statement")  # whoever catches their refusals looks at the class alone
KEPT = ("notices",)  # looked up by name
SMALL_BITS = 30  # no board needs memory for such an integer

Constants = dict[str, int]


class Names:
    """What the modules of one application know of each other; `device` are (module, source), `kept` sources that go to
    the device as they are. Names that are set from outside are nobody's constants."""

    def __init__(self, device: Iterable[tuple[str, str]], kept: Iterable[str] = ()) -> None:
        trees = [(module, ast.parse(source)) for module, source in device]
        others = [ast.parse(source) for source in kept]
        self.changed: set[str] = set()
        for tree in [tree for _, tree in trees] + others:
            for node in ast.walk(tree):
                if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
                    self.changed.add(node.attr)
                elif isinstance(node, ast.Global):
                    self.changed.update(node.names)
        self.constants: dict[str, Constants] = {}
        for _ in range(2):  # some are made of those of other modules
            self.constants = {module: self.of(tree) for module, tree in trees}
        self.used: set[str] = set()  # names of other modules, where no constant stands for them
        for tree in [_Inliner(self.seen(tree)).visit(tree) for _, tree in trees] + others:
            for node in ast.walk(tree):
                if isinstance(node, ast.Attribute):
                    self.used.add(node.attr)
                elif isinstance(node, ast.ImportFrom):
                    self.used.update(alias.name for alias in node.names)

    def of(self, tree: ast.Module) -> Constants:
        """The constants of a module, which may be made of others."""
        found: Constants = {}
        inliner = _Inliner(self.seen(tree))
        for node in tree.body:
            constant = _constant(node, inliner)
            if constant and constant[0] not in self.changed:
                inliner.constants[constant[0]] = found[constant[0]] = constant[1]
        return found

    def seen(self, tree: ast.Module) -> Constants:
        """Constants of other modules as this one names them: `codes.OK`, or `U32_MAX` if it imports that."""
        found: Constants = {}
        for node in ast.walk(tree):
            if isinstance(node, ast.Import):
                for alias in node.names:
                    found |= self._below(alias.asname or alias.name, alias.name)
            elif isinstance(node, ast.ImportFrom):
                for alias in node.names:
                    name = alias.asname or alias.name
                    found |= self._below(name, alias.name)
                    value = self.constants.get((node.module or "").rpartition(".")[2], {}).get(alias.name)
                    if value is not None and _is_small(value):
                        found[name] = value
        return found

    def _below(self, name: str, module: str) -> Constants:
        below = self.constants.get(module.rpartition(".")[2], {})
        return {f"{name}.{constant}": value for constant, value in below.items() if _is_small(value)}


class _Inliner(ast.NodeTransformer):
    """Integers in the place of their names. An import of one goes, and is an assignment where the name is wanted from
    there: `is_wanted(name)`."""

    def __init__(self, constants: Constants, is_wanted: Callable[[str], bool] = lambda name: False) -> None:
        self.constants = constants
        self._is_wanted = is_wanted

    def visit_Name(self, node: ast.Name) -> ast.AST:
        if isinstance(node.ctx, ast.Load) and node.id in self.constants:
            return ast.copy_location(ast.Constant(self.constants[node.id]), node)
        return node

    def visit_Attribute(self, node: ast.Attribute) -> ast.AST:
        name = ast.unparse(node)
        if isinstance(node.ctx, ast.Load) and name in self.constants:
            return ast.copy_location(ast.Constant(self.constants[name]), node)
        return self.generic_visit(node)

    def visit_ImportFrom(self, node: ast.ImportFrom) -> list[ast.stmt]:
        gone = [name for alias in node.names if (name := alias.asname or alias.name) in self.constants]
        node.names = [alias for alias in node.names if (alias.asname or alias.name) not in gone]
        wanted = [name for name in gone if self._is_wanted(name)]
        assigned = [ast.parse(f"{name} = {self.constants[name]}").body[0] for name in wanted]
        return [*([node] if node.names else []), *assigned]


class _Shrinker(ast.NodeTransformer):
    def __init__(self, wordless: bool) -> None:
        self._wordless = wordless

    def visit_If(self, node: ast.If) -> ast.AST | list[ast.stmt]:
        if isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING":
            rest = ast.Module(node.orelse, [])
            self.generic_visit(rest)
            return rest.body
        return self.generic_visit(node)

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
    tree = _Shrinker(name in WORDLESS).visit(ast.parse(source))
    is_device = name in names.constants and name not in KEPT
    wanted = names.used.__contains__ if is_device else bool
    tree = _Inliner(names.seen(tree) | names.of(tree), wanted).visit(tree)
    if is_device:
        read = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load)}
        tree.body = [node for node in tree.body if _name(node) in names.used | read | {""}]
    return ast.unparse(tree)


def _is_small(value: int) -> bool:
    return -(1 << SMALL_BITS) <= value < 1 << SMALL_BITS


def _name(node: ast.stmt) -> str:
    """The name in `NAME = 5` at the top of a module, or of another literal."""
    if not isinstance(node, ast.Assign) or len(node.targets) != 1 or not isinstance(node.targets[0], ast.Name):
        return ""
    name = node.targets[0].id
    literal = not any(isinstance(one, ast.Call | ast.Attribute | ast.Name) for one in ast.walk(node.value))
    return name if literal and re.fullmatch("_?[A-Z][A-Z0-9_]*", name) else ""


def _constant(node: ast.stmt, inliner: _Inliner) -> tuple[str, int] | None:
    """(name, value) of `NAME = 5`."""
    if not isinstance(node, ast.Assign):
        return None
    plain = ast.Assign(node.targets, inliner.visit(ast.parse(ast.unparse(node.value), mode="eval").body))
    if not (name := _name(plain)):
        return None
    value = eval(ast.unparse(plain.value), {"__builtins__": {}})  # noqa: S307 - our own sources
    return (name, value) if type(value) is int else None
