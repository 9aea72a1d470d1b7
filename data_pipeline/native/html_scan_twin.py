"""The scanner of serialised pages in Python: what html_scan.c does, with the same output."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from data_pipeline.native.html_names import (
    FIELD,
    HIDDEN_MARK,
    IMAGE,
    INLINE,
    LINK,
    RAW,
    SKIP,
    STRONG,
    TAG_IDS,
    VERBATIM,
    VOID,
)

Names = Mapping[bytes, tuple[int, int, int]]
Words = Mapping[bytes, tuple[int, int]]

_TAG = re.compile(rb"</?([^\s/>]+)((?:[^>=]++|=\"[^\"]*+\"|=(?!\"))*+)>?")
_ATTRIBUTE = re.compile(rb"([^ \t\n\r\f/=]+)(?:=\"([^\"]*)\"?)?")
_WORD = re.compile(rb"[A-Z]?[a-z]+|[A-Z]+")
_ENTITY = re.compile(rb"&(?:amp|lt|gt|quot|nbsp);")
_PLAIN = {b"&amp;": b"&", b"&lt;": b"<", b"&gt;": b">", b"&quot;": b'"', b"&nbsp;": b" "}
_SENTENCE_END = re.compile(rb"[.!?](?:\s|\Z)")
_NOT_LETTERS = re.compile(rb"[^A-Za-z]+")
_BLANK = b" \t\n\r\v\f"
BLOCK_COLUMNS = 21
ELEMENT_COLUMNS = 9
_WORD_BYTES = 32
_MOST_WEIGHT = 1 << 20
_LINK_CHARS = 600
_IS_HIDDEN = 1
_HAS_TARGET = 2
_NOT_COUNTED = bytes((*_BLANK, *range(0x80, 0xC0)))
"""Bytes that are no character of their own: blanks, and the tails of UTF-8."""
_TITLE = TAG_IDS["title"]
_HTML = TAG_IDS["html"]
_BODY = TAG_IDS["body"]


@dataclass(slots=True)
class _Open:
    """An element whose end has not come."""

    name: bytes
    behaviour: int
    element: int
    inline_groups: int
    inline_weight: int


@dataclass(slots=True)
class Twin:
    """The scanner's state; `run` fills text, blocks and elements."""

    page: bytes
    names: Names
    words: Words
    max_depth: int
    text: bytearray = field(default_factory=bytearray)
    blocks: list[tuple[int, ...]] = field(default_factory=list)
    elements: list[list[int]] = field(default_factory=list)
    stack: list[_Open] = field(default_factory=list)
    paths: dict[tuple[int, bytes, bytes], int] = field(default_factory=dict)
    title: bytes | None = None
    language: bytes = b""
    too_deep: bool = False
    element: int = 0
    skipping: int = 0
    links: int = 0
    strongs: int = 0
    verbatims: int = 0
    inline_groups: int = 0
    inline_weight: int = 0
    start: int = 0
    gap: int = 0
    is_split: int = 0
    block_groups: int = 0
    block_weight: int = 0
    link_chars: int = 0
    strong_chars: int = 0
    block_links: int = 0
    chars: int = 0
    images: int = 0
    fields: int = 0
    link_left: int = 0
    last_link: bytes | None = None
    word_cache: dict[bytes, tuple[int, int]] = field(default_factory=dict)
    letter_cache: dict[bytes, bytes] = field(default_factory=dict)

    def run(self) -> bool:
        """Scan the page; false where it nests too deep."""
        page, end = self.page, len(self.page)
        self.elements.append([0] * 9)
        self.paths[(0, b"", b"")] = 0
        at = 0
        while at < end:
            mark = page.find(b"<", at)
            mark = end if mark < 0 else mark
            if mark > at:
                self.add_text(page[at:mark])
            if mark >= end:
                break
            at = self.markup(mark)
            if self.too_deep:
                return False
        self.flush()
        for row in self.elements[:1]:
            row[4] = len(self.blocks)
        for entry in self.stack:
            if not entry.behaviour & INLINE and not entry.behaviour & SKIP:
                self.elements[entry.element][4] = len(self.blocks)
        return True

    def markup(self, at: int) -> int:
        """Handle what begins with `<`; gives the place behind it."""
        page, end = self.page, len(self.page)
        following = page[at + 1 : at + 2]
        if page.startswith(b"<!--", at):
            close = page.find(b"-->", at + 4)
            return end if close < 0 else close + 3
        if following in {b"!", b"?"}:
            close = page.find(b">", at)
            return end if close < 0 else close + 1
        is_end = following == b"/"
        first = page[at + 2 : at + 3] if is_end else following
        if not first.isalpha():
            self.add_text(b"<")
            return at + 1
        found = _TAG.match(page, at)
        assert found is not None
        name, place = found[1], found.end()
        if found[0][-1:] != b">":  # a quote never closed
            place = end
        if is_end:
            self.close(name)
            return place
        return self.open(name, found[2], place)

    def open(self, name: bytes, attributes: bytes, place: int) -> int:
        behaviour, tag, marks = self.names.get(name, (0, 0, 0))
        self.images += bool(behaviour & IMAGE)
        self.fields += bool(behaviour & FIELD)
        if name == b"br":
            self.line_break()
        elif not behaviour & INLINE:
            self.flush()
        if behaviour & VOID:
            return place
        if len(self.stack) >= self.max_depth:
            self.too_deep = True
            return place
        entry = _Open(name, behaviour, self.element, self.inline_groups, self.inline_weight)
        self.stack.append(entry)
        if tag == _TITLE and not self.skipping and self.title is None:
            self.read_title(place)
        if behaviour & SKIP or tag == _TITLE:
            entry.behaviour |= SKIP
            self.skipping += 1
        elif not self.skipping:
            self.enter(entry, (name, tag, marks), attributes)
        if behaviour & RAW:
            place = self.page.find(b"</" + name, place)
            return len(self.page) if place < 0 else place
        return place

    def enter(self, entry: _Open, what: tuple[bytes, int, int], attributes: bytes) -> None:
        name, tag, marks = what
        groups, weight, letters, facts, language = self.read_attributes(attributes)
        is_hidden, has_target = bool(facts & _IS_HIDDEN), bool(facts & _HAS_TARGET)
        if tag == _HTML and not self.language:
            self.language = language
        if tag in {_HTML, _BODY}:
            groups = 0  # they say what the page has, not what it is
        if entry.behaviour & INLINE:
            self.inline_groups |= groups
            self.inline_weight += weight
            if entry.behaviour & LINK:
                self.open_link(entry, has_target, attributes)
            if entry.behaviour & STRONG:
                self.strongs += 1
            return
        if entry.behaviour & VERBATIM:
            self.verbatims += 1
        parent = self.elements[self.element]
        key = (parent[6], name, letters)
        path = self.paths.setdefault(key, len(self.paths))
        entry.element = len(self.elements)
        marks |= HIDDEN_MARK if is_hidden else 0
        depth = len(self.stack)
        first = len(self.blocks)
        self.elements.append(
            [self.element, tag, marks, first, first, depth, path, groups, _clamped(weight)]
        )
        self.element = entry.element

    def close(self, name: bytes) -> None:
        if not self.stack or self.stack[-1].name != name:
            return
        entry = self.stack.pop()
        behaviour = entry.behaviour
        if not behaviour & INLINE:
            self.flush()
        if behaviour & SKIP:
            self.skipping -= 1
            return
        if self.skipping:
            return
        self.inline_groups, self.inline_weight = entry.inline_groups, entry.inline_weight
        if behaviour & INLINE:
            self.links -= bool(behaviour & LINK)
            self.strongs -= bool(behaviour & STRONG)
            return
        self.verbatims -= bool(behaviour & VERBATIM)
        row = self.elements[entry.element]
        row[4] = len(self.blocks)
        self.element = row[0]

    def open_link(self, entry: _Open, has_target: bool, attributes: bytes) -> None:
        """A link never closed comes again in every block behind: its likes share one allowance."""
        if not has_target:
            entry.behaviour &= ~LINK
            return
        if attributes != self.last_link:
            self.link_left = _LINK_CHARS
        self.last_link = attributes
        self.links += 1
        self.block_links += 1

    def read_attributes(self, attributes: bytes) -> tuple[int, int, bytes, int, bytes]:
        groups = weight = 0
        letters = b""
        language = b""
        facts = 0
        if not attributes:
            return groups, weight, letters, facts, language
        for name, value in _ATTRIBUTE.findall(attributes):
            if name in {b"class", b"id", b"role", b"itemprop"}:
                bits, more = self.value_words(value)
                groups |= bits
                weight += more
                if name == b"class":
                    letters = self.letters_of(value)
            elif name == b"style":
                if b"display:none" in value or b"display: none" in value:
                    facts |= _IS_HIDDEN
            elif name == b"hidden" or (name == b"aria-hidden" and value == b"true"):
                facts |= _IS_HIDDEN
            elif name == b"href":
                facts |= _HAS_TARGET
            elif name == b"lang":
                language = value
        return groups, weight, letters, facts, language

    def value_words(self, value: bytes) -> tuple[int, int]:
        found = self.word_cache.get(value)
        if found is None:
            groups = weight = 0
            for word in _WORD.findall(value):
                if len(word) <= _WORD_BYTES:
                    bits, more = self.words.get(word.lower(), (0, 0))
                    groups |= bits
                    weight += more
            found = self.word_cache[value] = (groups, weight)
        return found

    def letters_of(self, value: bytes) -> bytes:
        found = self.letter_cache.get(value)
        if found is None:
            found = self.letter_cache[value] = _NOT_LETTERS.sub(b"", value)
        return found

    def read_title(self, place: int) -> None:
        end = self.page.find(b"<", place)
        raw = self.page[place : len(self.page) if end < 0 else end]
        self.title = b" ".join(unescaped(raw).split())

    def add_text(self, raw: bytes) -> None:
        if self.skipping:
            return
        text = unescaped(raw)
        if self.verbatims:
            self.add(text)
            return
        parts = text.split()
        if not parts:
            self.gap = max(self.gap, 1)
            return
        if text[0] in _BLANK:
            self.gap = max(self.gap, 1)
        if len(self.text) > self.start and self.gap:
            self.text += b"\n" if self.gap == 2 else b" "
        self.gap = 0
        self.add(b" ".join(parts))
        if text[-1] in _BLANK:
            self.gap = 1

    def add(self, text: bytes) -> None:
        chars = len(text.translate(None, _NOT_COUNTED))
        if not self.chars and chars:
            self.block_groups, self.block_weight = self.inline_groups, self.inline_weight
        self.text += text
        self.chars += chars
        if self.links:
            counted = min(chars, self.link_left)
            self.link_chars += counted
            self.link_left -= counted
        if self.strongs:
            self.strong_chars += chars

    def line_break(self) -> None:
        if self.skipping:
            return
        if self.verbatims:
            self.text += b"\n"
        elif self.gap == 2:
            self.flush()
            self.is_split = 1
        else:
            self.gap = 2

    def flush(self) -> None:
        if self.skipping:
            return
        start, end = self.start, len(self.text)
        if self.chars:
            if self.verbatims:
                while self.text[start] in b"\r\n":
                    start += 1
                while self.text[end - 1] in _BLANK:
                    end -= 1
            self.add_block(start, end)
            del self.text[end:]
            self.images = self.fields = 0
            self.is_split = 0
        else:
            del self.text[start:]
        self.start = len(self.text)
        self.chars = self.link_chars = self.strong_chars = self.gap = 0
        self.block_links = 1 if self.links else 0

    def add_block(self, start: int, end: int) -> None:
        text = bytes(self.text[start:end])
        self.blocks.append(
            (
                *(start, end, self.element, self.chars, len(text.split())),
                text.count(b",") + text.count(b"\xef\xbc\x8c") + text.count(b"\xe3\x80\x81"),
                len(_SENTENCE_END.findall(text)) + text.count(b"\xe3\x80\x82"),
                len(text) - len(text.translate(None, b"0123456789")),
                len(text) - len(text.translate(None, b"ABCDEFGHIJKLMNOPQRSTUVWXYZ")),
                *(self.link_chars, self.block_links, text.count(b"\n"), self.strong_chars),
                *(self.images, self.fields, self.is_split),
                text.count(b"|") + text.count(b">") + text.count(b"\xc2\xbb"),
                *(
                    self.block_groups,
                    _clamped(self.block_weight),
                    _start_class(text[0]),
                    _end_class(text),
                ),
            )
        )


def _clamped(weight: int) -> int:
    return max(-_MOST_WEIGHT, min(_MOST_WEIGHT, weight))


def _start_class(first: int) -> int:
    if 0x41 <= first <= 0x5A:
        return 1
    if 0x61 <= first <= 0x7A:
        return 2
    if 0x30 <= first <= 0x39:
        return 3
    return 4 if first >= 0x80 else 0


def _end_class(text: bytes) -> int:
    last = text[-1]
    if last in b".!?":
        return 1
    if last == 0x3A:
        return 2
    if last in b",;":
        return 3
    if last in b"\"')":
        return 4
    if len(text) >= 3 and text[-3:-1] == b"\xe2\x80":
        return 5
    return 0


def unescaped(raw: bytes) -> bytes:
    """Text with the serialiser's entities undone, hard blanks as blanks."""
    if b"&" in raw:
        raw = _ENTITY.sub(lambda found: _PLAIN[found[0]], raw)
    return raw.replace(b"\xc2\xa0", b" ")
