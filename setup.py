"""Builds the C helpers of data_pipeline/native where there is a compiler, else leaves them out.

They hold no Python.h: a plain shared library, loaded through ctypes.
"""

from pathlib import Path

from setuptools import Extension, setup

SOURCES = sorted(str(path) for path in Path("data_pipeline/native").glob("*.c"))

setup(
    ext_modules=[
        Extension(
            "data_pipeline.native._native",
            sources=SOURCES,
            depends=sorted(str(path) for path in Path("data_pipeline/native").glob("*.h")),
            extra_compile_args=["-O3", "-std=c11", "-fno-math-errno", "-Wall", "-Wextra"],
            optional=True,
        )
    ]
)
