"""Parts that a careful engineer can join, each alone on one core."""

import io
import os
from collections.abc import Callable
from pathlib import Path

import fastwarc
import numpy as np
import rensa
import sentencepiece
import tokenizers
import trafilatura
import warcio
import webdataset
from resiliparse.extract.html2text import extract_plain_text

from benchmarks import measuring

NUM_HASHES, SHINGLE_WORDS = 112, 5
CHUNK_TOKENS = 1 << 20


def _megabytes(paths: list[str]) -> float:
    return sum(os.path.getsize(path) for path in paths) / 1e6  # noqa: PTH202 - plain strings


def read_warcio(job: measuring.Job) -> measuring.Figures:
    """All records, bodies of responses read."""
    pages = 0
    with measuring.Clock() as clock:
        for path in job["files"]:
            with open(path, "rb") as stream:  # noqa: PTH123 - as its documentation has it
                for record in warcio.ArchiveIterator(stream):
                    if record.rec_type == "response":
                        pages += bool(record.content_stream().read())
    return clock.figures(_megabytes(job["files"]), pages=pages)


def read_fastwarc(job: measuring.Job) -> measuring.Figures:
    """The same."""
    pages = 0
    with measuring.Clock() as clock:
        for path in job["files"]:
            with open(path, "rb") as stream:  # noqa: PTH123 - it takes a Python file
                for record in fastwarc.ArchiveIterator(stream, parse_http=True):
                    if record.record_type == fastwarc.WarcRecordType.response:
                        pages += bool(record.reader.read())
    return clock.figures(_megabytes(job["files"]), pages=pages)


def damaged_warcio(job: measuring.Job) -> measuring.Figures:
    """Pages that come out of a damaged file before it ends or raises."""
    urls = set()
    with measuring.Clock() as clock, Path(job["file"]).open("rb") as stream:
        try:
            for record in warcio.ArchiveIterator(stream):
                if record.rec_type == "response" and record.content_stream().read():
                    urls.add(record.rec_headers.get_header("WARC-Target-URI"))
        except Exception as error:  # noqa: BLE001 - however it ends
            return clock.figures(len(urls), error=repr(error)[:200])
    return clock.figures(len(urls))


def _main_text(job: measuring.Job, extract: Callable[[str], str | None]) -> measuring.Figures:
    rows = measuring.rows_of(job)
    extract(rows[0]["html"])
    with measuring.Clock() as clock:
        texts = {row["url"]: extract(row["html"]) or "" for row in rows}
    return measuring.scored(job, texts, clock)


def text_trafilatura(job: measuring.Job) -> measuring.Figures:
    """Its defaults, without comments."""
    return _main_text(job, lambda html: trafilatura.extract(html, include_comments=False))


def text_trafilatura_fast(job: measuring.Job) -> measuring.Figures:
    """Without its fallbacks."""
    return _main_text(
        job, lambda html: trafilatura.extract(html, include_comments=False, fast=True)
    )


def text_resiliparse(job: measuring.Job) -> measuring.Figures:
    """Main content."""
    return _main_text(job, lambda html: extract_plain_text(html, main_content=True))


def signatures_rensa(job: measuring.Job) -> measuring.Figures:
    """The same number of values over the same kind of shingles."""
    texts = [row["text"].lower() for row in measuring.rows_of(job)]
    with measuring.Clock() as clock:
        for text in texts:
            words = text.split()
            signature = rensa.RMinHash(num_perm=NUM_HASHES, seed=1)
            spans = range(max(1, len(words) - SHINGLE_WORDS + 1))
            signature.update([" ".join(words[i : i + SHINGLE_WORDS]) for i in spans])
            signature.digest()
    return clock.figures(len(texts))


def tokenise_huggingface(job: measuring.Job) -> measuring.Figures:
    """`tokenizers`, as datatrove calls it."""
    first, texts, megabytes = measuring.texts_of(job)
    tokenizer = tokenizers.Tokenizer.from_file(job["tokenizer_json"])
    tokenizer.encode_batch(first)
    with measuring.Clock() as clock:
        rows = [encoded.ids for encoded in tokenizer.encode_batch(texts)]
    return clock.figures(megabytes, ids=measuring.ids_sha256(rows))


def tokenise_sentencepiece(job: measuring.Job) -> measuring.Figures:
    """The library the model is made with."""
    first, texts, megabytes = measuring.texts_of(job)
    tokenizer = sentencepiece.SentencePieceProcessor(model_file=job["tokenizer_model"])
    tokenizer.Encode(first, out_type=int, num_threads=1)
    with measuring.Clock() as clock:
        rows = tokenizer.Encode(texts, out_type=int, num_threads=1)
    return clock.figures(megabytes, ids=measuring.ids_sha256(rows))


def tar_documents(job: measuring.Job) -> measuring.Figures:
    """The writer of webdataset, one document a sample: text and metadata."""
    rows = measuring.rows_of(job)
    out = Path(job["output_dir"])
    out.mkdir(parents=True)
    with measuring.Clock() as clock, _writer(out) as sink:
        for number, row in enumerate(rows * job["repeat"]):
            about = {"url": row["url"], "language": row["language"]}
            sink.write({"__key__": f"{number:09d}", "txt": row["text"], "json": about})
    return clock.figures(_tar_megabytes(out))


def tar_chunks(job: measuring.Job) -> measuring.Figures:
    """The writer of webdataset, a million tokens a member."""
    chunk = np.arange(CHUNK_TOKENS, dtype=np.uint32).astype(np.uint16)
    out = Path(job["output_dir"])
    out.mkdir(parents=True)
    with measuring.Clock() as clock, _writer(out) as sink:
        for number in range(max(1, int(job["megabytes"] * 1e6 // chunk.nbytes))):
            sink.write({"__key__": f"{number:09d}", "npy": _npy(chunk)})
    return clock.figures(_tar_megabytes(out))


def _npy(chunk: "np.ndarray[tuple[int, ...], np.dtype[np.uint16]]") -> bytes:
    stream = io.BytesIO()
    np.save(stream, chunk)
    return stream.getvalue()


def _writer(out: Path) -> "webdataset.ShardWriter":
    return webdataset.ShardWriter(str(out / "%06d.tar"), maxsize=1e9, maxcount=10**9, verbose=0)


def _tar_megabytes(out: Path) -> float:
    return sum(path.stat().st_size for path in out.glob("*.tar")) / 1e6


if __name__ == "__main__":
    measuring.main(
        {
            "read_warcio": read_warcio,
            "read_fastwarc": read_fastwarc,
            "damaged_warcio": damaged_warcio,
            "text_trafilatura": text_trafilatura,
            "text_trafilatura_fast": text_trafilatura_fast,
            "text_resiliparse": text_resiliparse,
            "signatures_rensa": signatures_rensa,
            "tokenise_huggingface": tokenise_huggingface,
            "tokenise_sentencepiece": tokenise_sentencepiece,
            "tar_documents": tar_documents,
            "tar_chunks": tar_chunks,
        }
    )
