"""Typed values for the fields of nested dataclasses, from text and from JSON."""

import ast
import dataclasses
import difflib
import types
import typing
from typing import Any, Literal, Union

from rsisrefiner_jax.errors import UserError
from rsisrefiner_jax.specs import split_specs


def override(values: Any, kind: Any, path: list[str], text: str, item: str) -> None:
    """Puts the value that `text` names into nested dictionaries.

    Args:
        values: of a dataclass `kind`, as `dataclasses.asdict` gives them; changed in place.
        path: names of fields, from the outermost.
        item: what was typed, for the message.

    Raises:
        UserError: no such field, or a value that does not fit it.
    """
    hints = typing.get_type_hints(kind) if dataclasses.is_dataclass(kind) else {}
    name, *rest = path
    if name not in hints:
        near = difflib.get_close_matches(name, hints, n=1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        raise UserError(f"--set {item}: no field {name!r}{hint}")
    if rest:
        override(values[name], hints[name], rest, text, item)
    elif dataclasses.is_dataclass(hints[name]):
        fields = ", ".join(f.name for f in dataclasses.fields(hints[name]))
        raise UserError(f"--set {item}: {name!r} is a group; set one of its fields: {fields}")
    else:
        values[name] = _parse(text, hints[name], f"--set {item}")


def _parse(text: str, hint: Any, where: str) -> Any:
    try:
        value = ast.literal_eval(text)
    except (ValueError, SyntaxError):
        value = split_specs(text.strip("[]()")) if text[:1] in "[(" else text
    try:
        return _check(value, hint, where)
    except UserError:
        if isinstance(value, str):
            raise
        return _check(text, hint, where)  # a name that happens to be a Python literal


def _check(value: Any, hint: Any, where: str) -> Any:
    origin, args = typing.get_origin(hint), typing.get_args(hint)
    if origin in (Union, types.UnionType):
        for option in sorted(args, key=lambda kind: kind is not type(None)):  # none is not a text
            try:
                return _check(value, option, where)
            except UserError:
                pass
        raise UserError(f"{where}: {value!r} is not {_describe(hint)}")
    if origin is Literal:
        if value in args:
            return value
        near = difflib.get_close_matches(str(value), [str(a) for a in args], n=1)
        raise UserError(
            f"{where}: {value!r} is not one of {', '.join(map(str, args))}"
            + (f"; did you mean {near[0]!r}?" if near else "")
        )
    if origin is tuple and isinstance(value, (tuple, list)):
        kinds = args[:1] * len(value) if args[-1] is Ellipsis else args
        if len(kinds) == len(value):
            return tuple(_check(v, k, where) for v, k in zip(value, kinds, strict=True))
    elif hint is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    elif hint is bool and str(value).lower() in ("true", "false"):
        return str(value).lower() == "true"
    elif hint is type(None) and value in (None, "none", "None", "null"):
        return None
    elif isinstance(hint, type) and type(value) is hint:
        return value
    raise UserError(f"{where}: {value!r} is not {_describe(hint)}")


def _describe(hint: Any) -> str:
    return getattr(hint, "__name__", "") if isinstance(hint, type) else str(hint)


def build(cls: type, values: dict[str, Any], where: str) -> Any:
    """A dataclass from nested dictionaries. Raises UserError: an unknown field, or a misfit."""
    hints = typing.get_type_hints(cls)
    unknown = sorted(set(values) - set(hints))
    if unknown:
        raise UserError(f"{where}: unknown field {unknown[0]!r}; written by another version?")
    return cls(
        **{
            key: build(hints[key], value, f"{where}.{key}")
            if dataclasses.is_dataclass(hints[key])
            else _check(value, hints[key], f"{where}.{key}")
            for key, value in values.items()
        }
    )
