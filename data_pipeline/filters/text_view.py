"""One document as the filters see it: its text, what is known of it, and its counts."""

from functools import cached_property

from data_pipeline.filters.native_counts import counts_of
from data_pipeline.filters.repetition import ratio
from data_pipeline.filters.text_counts import TextCounts
from data_pipeline.filters.text_parts import split_lines, split_words
from data_pipeline.normal_text import HashArray, normal_bytes, shingle_hashes
from data_pipeline.records import Document


class TextView:
    """A document's text and what the filters derive from it, each derived once."""

    def __init__(self, document: Document) -> None:
        self.text = document.text
        self.uri = document.uri
        self.metadata = document.metadata
        self.language = document.language
        self.language_score = document.language_score

    @cached_property
    def counts(self) -> TextCounts:
        """Numbers of words, lines, marks and repetitions."""
        return counts_of(self.text)

    @cached_property
    def words(self) -> list[str]:
        """Words in order, punctuation included."""
        return split_words(self.text)

    @cached_property
    def normal(self) -> bytes:
        """The text's normal form in UTF-8: words without case and punctuation."""
        return normal_bytes(self.text)

    @cached_property
    def word_hashes(self) -> HashArray:
        """(N,) a hash of each word of the normal form."""
        return shingle_hashes(self.normal, 1)

    @cached_property
    def lines(self) -> list[str]:
        """Lines that hold more than blanks, stripped."""
        return split_lines(self.text)

    @cached_property
    def lowered(self) -> str:
        """The text in lower case."""
        return self.text.lower()

    def fraction_of_words(self, number: float) -> float:
        """`number` / words; 0 of none."""
        return ratio(number, self.counts.num_words)

    def fraction_of_lines(self, number: float) -> float:
        """`number` / lines; 0 of none."""
        return ratio(number, self.counts.num_lines)
