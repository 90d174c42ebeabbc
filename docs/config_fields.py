"""Every field of the configuration as Markdown, read from the sources with their comments.

    python docs/config_fields.py

A comment at the end of a field's line or on the lines above it says what the field means. One or
two words and a full stop on a line alone are a heading, as `# Clicks.`
"""

import ast
import dataclasses
import io
import re
import tokenize
from collections.abc import Iterator
from pathlib import Path

PACKAGE = Path(__file__).parent.parent / "rsisrefiner_jax"
FILES = ("config.py", "protocol.py")  # hold the dataclasses of a Config
MARKER = "<!-- fields -->"  # in config.md
HEADING = re.compile(r"([\w-]+( \w+)?)\.")


@dataclasses.dataclass(frozen=True)
class Field:
    """A field of a dataclass as its source has it."""

    name: str
    kind: ast.expr  # its annotation
    default: str
    meaning: str  # its comment; "" = none
    heading: str  # of the fields from this one on; "" = that of the fields before


Classes = dict[str, tuple[str, list[Field]]]  # docstring and fields by the name of a dataclass


def fields_as_markdown() -> str:
    """A section for every dataclass, in the order of `Config`."""
    return "\n".join(_sections(_classes(), "Config", ""))


def paths() -> Iterator[tuple[str, Field]]:
    """Every field that `--set` takes, with the name that it is set by."""
    yield from _paths(_classes(), "Config", "")


def _paths(classes: Classes, name: str, prefix: str) -> Iterator[tuple[str, Field]]:
    for field in classes[name][1]:
        if (group := ast.unparse(field.kind)) in classes:
            yield from _paths(classes, group, f"{prefix}{field.name}.")
        else:
            yield f"{prefix}{field.name}", field


def _sections(classes: Classes, name: str, prefix: str) -> Iterator[str]:
    about, fields = classes[name]
    yield f"## {prefix.rstrip('.') or 'Top level'}\n\n{about}\n"
    yield "| field | takes | default | |\n|---|---|---|---|"
    groups = []
    for field in fields:
        section = f"{prefix}{field.name}"
        if field.heading:
            yield f"| **{field.heading}** | | | |"
        if (group := ast.unparse(field.kind)) in classes:
            groups.append((group, f"{section}."))
            link = f"[its own fields](#{section.replace('.', '')})"
            yield f"| `{section}` | {link} | | {classes[group][0].partition(chr(10))[0]} |"
        else:
            default = f"`{_typed(field.default)}`" if _typed(field.default) else ""
            cells = (f"`{section}`", _takes(field.kind), default, field.meaning)
            yield "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"
    yield ""
    for group in groups:
        yield from _sections(classes, *group)


NAMES = {"int": "whole number", "float": "number", "str": "text", "bool": "`True`, `False`"}


def _takes(kind: ast.expr) -> str:
    """What may be given, in words."""
    match kind:
        case ast.Name(name) if name in NAMES:
            return NAMES[name]
        case ast.Constant(None):
            return "`none`"
        case ast.BinOp(left, _, right):
            return f"{_takes(left)}, {_takes(right)}"
        case ast.Subscript(ast.Name("Literal"), words):
            words = words.elts if isinstance(words, ast.Tuple) else [words]
            return ", ".join(f"`{ast.literal_eval(word)}`" for word in words)
        case ast.Subscript(ast.Name("tuple"), ast.Tuple([item, ast.Constant(value)])):
            assert value is ...
            return f"list of {_takes(item)}s"
        case ast.Subscript(ast.Name("tuple"), ast.Tuple(items)):
            return f"{len(items)} {_takes(items[0])}s"
    raise ValueError(f"say in words what {ast.unparse(kind)} takes")


def _typed(default: str) -> str:
    """As it is typed after `--set`."""
    return {"None": "none"}.get(default, default).strip("'\"")


def _classes() -> Classes:
    found = {}
    for file in FILES:
        text = (PACKAGE / file).read_text()
        comments = _comments(text)
        for node in ast.parse(text).body:
            if isinstance(node, ast.ClassDef):
                found[node.name] = ast.get_docstring(node) or "", _fields(node, text, comments)
    return found


def _comments(text: str) -> dict[int, tuple[str, bool]]:
    """By line: a comment, and whether it stands alone there."""
    tokens = tokenize.generate_tokens(io.StringIO(text).readline)
    return {
        token.start[0]: (token.string.lstrip("# "), token.line.lstrip().startswith("#"))
        for token in tokens
        if token.type == tokenize.COMMENT
    }


def _fields(node: ast.ClassDef, text: str, comments: dict[int, tuple[str, bool]]) -> list[Field]:
    fields = []
    for item in node.body:
        if not (isinstance(item, ast.AnnAssign) and isinstance(item.target, ast.Name)):
            continue
        above: list[str] = []
        line = item.lineno - 1
        while comments.get(line, ("", False))[1]:
            above.insert(0, comments[line][0])
            line -= 1
        heading = HEADING.fullmatch(above[0]) if above else None
        own = comments.get(item.end_lineno or 0, ("", False))[0]
        meaning = " ".join([*above[1 if heading else 0 :], own]).strip()
        default = ast.get_source_segment(text, item.value) if item.value else None
        name = heading[1] if heading else ""
        fields.append(Field(item.target.id, item.annotation, default or "", meaning, name))
    return fields


if __name__ == "__main__":
    print(fields_as_markdown())
