"""The texts of a folder, to train a filter's model on."""

import gzip
import json
from collections.abc import Iterator

from contracts import storage
from contracts.errors import DataError
from data_pipeline.documents import read_documents

ENDINGS = (".txt", ".jsonl", ".parquet")


def texts_in(folder: str) -> Iterator[str]:
    """Each text of a folder and those below it, in the order of their files' names.

    Args:
        folder: with `.txt` files (each one text), `.jsonl` (a field `text` in each line) or
            `.parquet` of a document store; `.gz` behind the first two is unpacked.

    Raises:
        DataError: there is no such file, or one cannot be read.
    """
    urls = [
        url
        for url in storage.list_files(storage.join(folder, "**"))
        if url.removesuffix(".gz").endswith(ENDINGS)
    ]
    if not urls:
        raise DataError(f"{folder} holds no file that ends in {', '.join(ENDINGS)}; check the path")
    for url in urls:
        if url.endswith(".parquet"):
            yield from (stored.document.text for stored in read_documents(url, measures=False))
        else:
            yield from _texts_of(url)


def _texts_of(url: str) -> Iterator[str]:
    data = storage.read_bytes(url)
    try:
        text = (gzip.decompress(data) if url.endswith(".gz") else data).decode("utf-8")
        if url.removesuffix(".gz").endswith(".txt"):
            yield text
            return
        for line in filter(str.strip, text.split("\n")):
            yield str(json.loads(line)["text"])
    except (OSError, EOFError, ValueError, KeyError, TypeError) as error:
        raise DataError(
            f"{url} cannot be read: {error!r}; give UTF-8 text, or JSON lines with a field `text`"
        ) from error
