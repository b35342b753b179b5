"""The fonts of printed reports: embedded, with the letters of all five languages."""

from pathlib import Path
from typing import Final, NamedTuple

from gateway.errors import AuroraError

__all__ = ["Fonts", "find_fonts"]

FAMILIES: Final = (
    ("dejavu", "DejaVuSans.ttf", "DejaVuSans-Bold.ttf"),
    ("dejavu-sans-fonts", "DejaVuSans.ttf", "DejaVuSans-Bold.ttf"),
    ("liberation", "LiberationSans-Regular.ttf", "LiberationSans-Bold.ttf"),
    ("liberation2", "LiberationSans-Regular.ttf", "LiberationSans-Bold.ttf"),
    ("noto", "NotoSans-Regular.ttf", "NotoSans-Bold.ttf"),
)
FOLDERS: Final = (
    Path("/usr/share/fonts/truetype"),
    Path("/usr/share/fonts"),
    Path("/usr/local/share/fonts"),
    Path("/usr/share/fonts/TTF"),
)


class Fonts(NamedTuple):
    """TrueType files of one family."""

    regular: Path
    bold: Path


def find_fonts(folders: tuple[Path, ...] = FOLDERS) -> Fonts:
    """The first family that is there whole; raises `AuroraError` with what to install."""
    for folder in folders:
        for name, regular, bold in FAMILIES:
            for place in (folder / name, folder):
                if (place / regular).is_file() and (place / bold).is_file():
                    return Fonts(place / regular, place / bold)
    raise AuroraError(
        "no font for a PDF was found (DejaVu, Liberation or Noto Sans, with the letters of Polish); "
        "install one: apt-get install fonts-dejavu-core"
    )
