"""Runs by itself: `python -P -s -S python_docs_pages.py FOLDER` writes one HTML page a module.

Modules that open a browser, print a poem, draw a window, or are tests when they are imported are
left out, and so are the codec tables. What names this machine or this run (paths, memory addresses)
is replaced, so that the same Python gives the same bytes. Imports nothing but the standard library.
"""

import importlib
import importlib.util
import pkgutil
import pydoc
import re
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path

LEFT_OUT = frozenset(
    {"antigravity", "this", "test", "idlelib", "turtledemo", "turtle", "tkinter", "lib2to3"}
    | {"ensurepip", "distutils", "pydoc_data", "__main__", "msilib"}
)
PACKAGES_LEFT_OUT = frozenset({"encodings", "venv"})
"""Packages whose modules are left out: tables without prose, or programs."""
TESTS = frozenset({"test", "tests", "idle_test", "__main__"})
ADDRESS = re.compile(r"(?<=[ ;])0x[0-9a-fA-F]{9,16}|(?<=handle )[0-9a-f]{6,}")
FILE_LINK = re.compile(r'<a href="file:[^"]*">[^<]*</a>')
VOLATILE = frozenset({"sys", "os", "posix", "site", "sysconfig", "getpass"})
"""Modules whose DATA section shows this machine: it is cut off."""
DATA_SECTION = re.compile(
    r'<table[^>]*class="section">\s*<tr[^>]*>\s*<td[^>]*>[^\n]*Data</[^\n]*\n.*', re.S
)


def module_names() -> Iterator[str]:
    """Public modules of the standard library and of its packages, in order."""
    for name in sorted(sys.stdlib_module_names):
        if name.startswith("_") or name in LEFT_OUT:
            continue
        yield name
        if name in PACKAGES_LEFT_OUT:
            continue
        spec = importlib.util.find_spec(name)
        for child in pkgutil.iter_modules(spec.submodule_search_locations or ()) if spec else ():
            if not child.name.startswith("_") and child.name not in TESTS:
                yield f"{name}.{child.name}"


def page_of(name: str) -> str:
    """The page of one module."""
    module = importlib.import_module(name)
    page = pydoc.html.page(name, pydoc.html.document(module, name))
    if name in VOLATILE:
        page = DATA_SECTION.sub("</body></html>", page)
    page = ADDRESS.sub("0x0", FILE_LINK.sub("", page))
    for prefix in sorted(
        {sys.base_prefix, sys.prefix, str(Path.cwd()), str(Path(__file__).parent)}
    ):
        if len(prefix) > 1:
            page = page.replace(prefix, "/usr")
    return page


def main(folder: Path) -> None:
    """Write every page; a module that cannot be imported here is named on stderr."""
    warnings.simplefilter("ignore")
    for name in module_names():
        try:
            page = page_of(name)
        except Exception as error:  # noqa: BLE001 - any module may fail on import, in any way
            sys.stderr.write(f"left out {name}: {type(error).__name__}\n")
            continue
        (folder / f"{name}.html").write_text(page, encoding="utf-8", errors="replace")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
