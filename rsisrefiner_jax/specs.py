"""Data SPECs as text on a command line; `data/spec.py` says what each means."""

# Kinds whose argument is two paths with a comma between them, and perhaps options; or one YAML.
TWO_PATHS = ("coco", "instances", "classes", "geo", "yolo")
YAML = (".yaml", ".yml")
ONE_PATH = ("project",)  # and perhaps options
OPTIONS = ("class=", "ignore=", "split=", "part=", "window=", "until=")


def split_specs(text: str) -> list[str]:
    """The items of a list without quotes, as a shell leaves it; a SPEC keeps its commas.

    >>> split_specs("coco:a,b.json,synthetic")
    ['coco:a,b.json', 'synthetic']
    """
    parts = [part.strip() for part in text.split(",") if part.strip()]
    items: list[str] = []
    while parts:
        kind, colon, argument = parts[0].partition(":")
        several = colon and kind in TWO_PATHS
        take = 2 if several and not argument.lower().endswith(YAML) else 1
        optional = several or kind in ONE_PATH
        while optional and parts[take : take + 1] and parts[take].startswith(OPTIONS):
            take += 1
        items.append(",".join(parts[:take]))
        del parts[:take]
    return items
