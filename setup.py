"""Build: the packages as they lie, plugins as `gateway_plugins`, and the compiled core from ext/.

The core has a pure-Python twin, so a machine without a compiler still gets a working gateway;
GATEWAY_REQUIRE_CORE=1 turns a failed compilation into an error.
"""

import os
import re
import sys
from pathlib import Path

from setuptools import Extension, find_namespace_packages, setup
from setuptools.command.build_ext import build_ext

ROOT = Path(__file__).parent
VERSION = re.search(r'__version__ = "([^"]+)"', (ROOT / "gateway/__init__.py").read_text(encoding="utf-8"))
REQUIRED = os.environ.get("GATEWAY_REQUIRE_CORE") == "1"


class BuildCore(build_ext):
    """Compile what can be compiled; without a compiler the pure-Python twins serve."""

    def run(self):
        try:
            super().run()
        except Exception as error:  # noqa: BLE001 - whatever the compiler's trouble is, the twins serve
            self._forgive(error)

    def build_extension(self, ext):
        try:
            super().build_extension(ext)
        except Exception as error:  # noqa: BLE001 - as above
            self._forgive(error)

    def _forgive(self, error):
        if REQUIRED:
            raise error
        sys.stderr.write(f"compiled core not built ({error}); the pure-Python twins will serve\n")


def extensions():
    """One extension per .pyx; the same arithmetic on every machine, hence no contraction of products."""
    sources = sorted(path.relative_to(ROOT) for path in (ROOT / "ext/gateway_core").glob("*.pyx"))
    found = [
        Extension(
            f"gateway_core.{path.stem}",
            [str(path)],
            depends=sorted(str(header) for header in path.parent.glob("*.h")),
            extra_compile_args=["-O2", "-ffp-contract=off"],
        )
        for path in sources
    ]
    if not found:
        return []
    try:
        from Cython.Build import cythonize
    except ImportError:
        if REQUIRED:
            raise
        return []
    return cythonize(found, language_level=3, compiler_directives={"embedsignature": True})


setup(
    version=VERSION.group(1) if VERSION else "0",
    packages=[
        # Namespaces, because folders that hold only data are packages to setuptools, too.
        *find_namespace_packages(
            include=["gateway", "gateway.*", "firmware_interfaces", "firmware_interfaces.*"],
            exclude=["*.__pycache__", "*.__pycache__.*"],
        ),
        "gateway_plugins",
        "gateway_core",
        "gateway_systemd",
    ],
    package_dir={"gateway_plugins": "plugins", "gateway_core": "ext/gateway_core", "gateway_systemd": "systemd"},
    package_data={
        "": ["*.toml", "*.html", "*.css", "*.js", "*.svg", "*.po", "*.sql", "*.txt", "py.typed"],
        "gateway_core": ["py.typed", "*.pyi"],
        "gateway_systemd": ["*.path", "*.service", "*.target", "*.timer", "*/*.conf", "*/*.rules"],
    },
    ext_modules=extensions(),
    cmdclass={"build_ext": BuildCore},
)
