"""Shorter names for the bytecode of a board: those that its MicroPython has anyway.

Every name that bytecode uses lies on the heap once, with its text and an entry in a table that doubles, unless
MicroPython's own tables, which lie in flash, have it: `log`, `gather`, `ticks_add`. So each name that only our sources
know becomes one of MICROPYTHON that none of them uses, the same one in every file; when those are used up, a short one.
One name stands for one name, so nothing can mean something else than before, and `Naming.long` reads a traceback.

A name stays where somebody else may know it: MicroPython (`SHARED`), a file that goes to the device as source, code
that looks it up by its text (then it is a string of ours as well), whoever reads the class of an error. Modules keep
theirs, and so do constants of viper files, which mpy-cross takes out.
"""

import ast
import re
from collections.abc import Iterable, Iterator

if __package__:
    from .micropython_names import MICROPYTHON, SHARED
else:  # beside a script
    from micropython_names import MICROPYTHON, SHARED  # type: ignore[import-not-found,no-redef]


_FRAME = re.compile(r"""^(\s*File "\w+", line \d+, in )(\w+)$""", re.MULTILINE)


class Naming:
    """Of one application: `device` are (module, source) of all its files, in the order in which their names matter;
    `kept` are sources that are not renamed and meet it on the device; `by_text` modules whose names are looked up."""

    def __init__(self, device: Iterable[tuple[str, str]], kept: Iterable[str], by_text: Iterable[str] = ()) -> None:
        defined: set[str] = set()
        used: list[str] = []
        foreign: set[str] = set(SHARED)
        for source in kept:
            foreign |= _identifiers(ast.parse(source))
        trees = [(module, ast.parse(source)) for module, source in device]
        foreign |= _by_keyword(tree for _, tree in trees)
        own = {module for module, _ in trees} | {"core", "sensors"}
        for module, tree in trees:
            foreign |= {module} | _modules(tree, own) | _texts(tree) | _told(tree)
            found = _defined(tree)
            if module in by_text:
                foreign |= found
            defined |= found
            used += sorted(_identifiers(tree))
        renamed = [name for name in dict.fromkeys(used) if name in defined - foreign - MICROPYTHON and name[:2] != "__"]
        free = _free(set(used) | foreign)
        self.short = {name: next(free) for name in renamed}
        self.long = {short: name for name, short in self.short.items()}

    def renamed(self, source: str) -> str:
        """The source with the short names."""
        return ast.unparse(_Renamer(self.short).visit(ast.parse(source)))

    def read(self, log: str) -> str:
        """What a device said, its tracebacks with the long names. Other files than ours have a path, and their own."""
        return _FRAME.sub(lambda frame: frame[1] + self.long.get(frame[2], frame[2]), log)


class _Renamer(ast.NodeTransformer):
    """Every field that holds a name: of a function or class, an argument, an attribute, a variable."""

    def __init__(self, short: dict[str, str]) -> None:
        self._short = short

    def generic_visit(self, node: ast.AST) -> ast.AST:
        for field, value in ast.iter_fields(node):
            if field in ("name", "asname", "id", "attr", "arg") and isinstance(value, str):
                setattr(node, field, self._short.get(value, value))
            elif field == "names" and isinstance(node, ast.Global | ast.Nonlocal):
                node.names = [self._short.get(name, name) for name in node.names]
        return super().generic_visit(node)


def _identifiers(tree: ast.AST) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(tree):
        for field, value in ast.iter_fields(node):
            if field in ("name", "asname", "id", "attr", "arg", "module") and isinstance(value, str):
                found.update(value.split("."))
            elif field == "names" and isinstance(node, ast.Global | ast.Nonlocal):
                found.update(node.names)
    return found


def _defined(tree: ast.Module) -> set[str]:
    """Names that this source gives to something that others can reach, arguments included, which have keywords."""
    found: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            found.add(node.name)
        elif isinstance(node, ast.arg):
            found.add(node.arg)
        elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
            found.add(node.attr)
        elif isinstance(node, ast.alias) and node.asname:
            found.add(node.asname)
        elif isinstance(node, ast.Global):
            found.update(node.names)
    for owner in ast.walk(tree):
        if isinstance(owner, ast.Module | ast.ClassDef):
            for statement in owner.body:
                found |= {one.id for one in _stored(statement)}
    return found - _constants(tree)


def _stored(statement: ast.stmt) -> Iterator[ast.Name]:
    if not isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        for node in ast.walk(statement):
            if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
                yield node


def _constants(tree: ast.Module) -> set[str]:
    """Of `_NAME = const(5)`, which no bytecode holds."""
    return {
        name.id
        for node in tree.body
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Call)
        for name in _stored(node)
        if isinstance(node.value.func, ast.Name) and node.value.func.id == "const"
    }


def _texts(tree: ast.AST) -> set[str]:
    """Strings that may be looked up as names, each part of a dotted one."""
    return {
        part
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
        for part in node.value.split(".")
        if part.isidentifier()
    }


def _by_keyword(trees: Iterable[ast.AST]) -> set[str]:
    """Keywords given to a function that takes any, as texts."""
    calls, takers = [], set()
    for tree in trees:
        for node in ast.walk(tree):
            if isinstance(node, ast.Call):
                calls.append(node)
            elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.args.kwarg:
                takers.add(node.name)
    return {
        keyword.arg
        for call in calls
        if getattr(call.func, "attr", getattr(call.func, "id", "")) in takers
        for keyword in call.keywords
        if keyword.arg
    }


def _modules(tree: ast.AST, own: set[str]) -> set[str]:
    """What is imported as a module, as far as a statement tells, and what is taken from one that is not ours."""
    found: set[str] = set()
    others: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found.update(part for alias in node.names for part in alias.name.split("."))
            others.update(alias.asname or alias.name for alias in node.names if alias.name.split(".")[-1] not in own)
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.update(node.module.split("."))
            if not node.level and node.module.split(".")[-1] not in own:
                found.update(alias.name for alias in node.names)
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id in others:
            found.add(node.attr)
    return found


def _told(tree: ast.AST) -> set[str]:
    """Errors, whose class is printed."""
    return {node.name for node in ast.walk(tree) if isinstance(node, ast.ClassDef) and node.bases}


def _free(taken: set[str]) -> Iterator[str]:
    yield from sorted(MICROPYTHON - taken)
    number = 0
    while True:
        name = "z%x" % number
        if name not in taken:
            yield name
        number += 1
