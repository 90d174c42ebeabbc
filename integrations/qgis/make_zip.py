"""Writes the plugin as a zip file, as QGIS installs it and its repository takes it.

python integrations/qgis/make_zip.py [OUT.zip]
"""

import sys
import zipfile
from pathlib import Path

HERE = Path(__file__).parent
LICENCE = HERE.parent.parent / "LICENSE"


def write(out: Path) -> None:
    """Writes the plugin's folder, with the licence that the repository asks for in it."""
    plugin = HERE / "rsisrefiner"
    files = sorted(f for f in plugin.iterdir() if f.suffix in (".py", ".txt", ".svg"))
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for file in files:
            archive.write(file, f"rsisrefiner/{file.name}")
        archive.write(LICENCE, "rsisrefiner/LICENSE")


if __name__ == "__main__":
    target = Path(sys.argv[1] if len(sys.argv) > 1 else "rsisrefiner.zip")
    write(target)
    print(target)
