"""JSON as the types of models.py: exact, a member too many is skipped, so that a newer server is understood."""

import types
from functools import cache
from typing import Any, TypeVar, Union, get_args, get_origin, get_type_hints

from .problem import bad_answer

Model = TypeVar("Model")
_PLAIN = (int, str, bool)


def typed(kind: type[Model], value: Any) -> Model:
    """`value` as a NamedTuple. Raises ProblemError."""
    return _made(kind, value, kind.__name__)  # type: ignore[no-any-return]


def _made(kind: Any, value: Any, at: str) -> Any:
    if kind in _PLAIN:
        if type(value) is not kind:
            raise bad_answer(f"{at} is no {kind.__name__}")
        return value
    origin, inner = get_origin(kind), get_args(kind)
    if origin in (Union, types.UnionType):
        (one,) = [each for each in inner if each is not type(None)]
        return None if value is None else _made(one, value, at)
    if origin is list:
        _demand(isinstance(value, list), at)
        return [_made(inner[0], one, at) for one in value]
    if origin is tuple:
        _demand(isinstance(value, list) and len(value) == len(inner), at)
        return tuple(_made(of, one, at) for of, one in zip(inner, value, strict=True))
    _demand(isinstance(value, dict), at)
    if origin is dict:
        return {str(name): _made(inner[1], one, at) for name, one in value.items()}
    absent = [name for name in kind._fields if name not in value and name not in kind._field_defaults]
    _demand(not absent, f"{at} without {', '.join(absent)}" if absent else at)
    hints = _hints(kind)
    return kind(**{name: _made(of, value[name], f"{at}.{name}") for name, of in hints.items() if name in value})


def _demand(condition: bool, at: str) -> None:
    if not condition:
        raise bad_answer(f"{at} is not what it should be")


@cache
def _hints(kind: Any) -> dict[str, Any]:
    return get_type_hints(kind)
