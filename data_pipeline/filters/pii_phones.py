"""Finds telephone numbers in text: what is written as one, never digits alone.

A number is taken for one by its form: with a country code that is assigned (ITU-T E.164), with the
separators of North America, of France, of Japan, or with a trunk zero and an area code; or, in any
form, behind a word such as `Tel.`. Dates, prices, decimals, ISBN, ISSN, arXiv ids, order and
account numbers have other forms, other words before them, or are part of a longer run. Numbers kept
for fiction (555-0100 to 555-0199) stay.
"""

import itertools
import re

_GAP = "[ \u00a0\u202f()./\u2010-\u2013-]"
_LIKELY = re.compile(rb"0(?:[-(.]{0,3}0){5,}")  # in the shape of `shape_of`; holds each `_RUN`

_RUN = re.compile(rf"[0-9](?:{_GAP}{{0,3}}[0-9]){{5,}}")
_START = re.compile(r"\(\+?[0-9]{1,5}\)|\+?[0-9]+")
_INTERNATIONAL = re.compile(
    rf"\(?(?:\+|00)[ ]?([1-9][0-9]{{0,2}})(?:{_GAP}{{0,4}}[0-9]){{5,14}}(?![0-9])"
)
_AMERICAN = re.compile(
    r"(?:1[ .-])?(?:\([2-9][0-9]{2}\) ?|[2-9][0-9]{2}[.-])[2-9][0-9]{2}[ .-][0-9]{4}"
    r"(?![\w-]|\.[0-9])"
)
_FRENCH = re.compile(r"0[1-9]([ \u00a0.-])[0-9][0-9](?:\1[0-9][0-9]){3}(?!\1?[0-9])")
_JAPANESE = re.compile(r"0[0-9]{1,3}-[0-9]{2,4}-[0-9]{4}(?![\w-])")
_NATIONAL = re.compile(
    rf"(?:\(0[1-9][0-9]{{0,4}}\)|0[1-9][0-9]{{1,4}})(?: ?[/\u2013-] ?|{_GAP})[0-9]{{2,}}"
    r"(?:[ \u00a0./\u2010-\u2013-][0-9]+){0,4}(?![\w]|\.[0-9])"
)
_LAST_GROUP = re.compile(r"[^0-9]+[0-9]+\Z")
_ANY = re.compile(rf"\(?\+?[0-9](?:{_GAP}{{0,3}}[0-9]){{5,14}}(?![0-9])")

# Read backwards from the number: a gap, a word, perhaps one more word before `no.` or `number`.
_BEFORE = re.compile(r"([^\w\n]{0,4})([^\W\d_]*)[^\w\n]{0,3}([^\W\d_]*)")
_PHONE_WORDS = frozenset(
    (
        *("tel", "tél", "telefon", "telephone", "téléphone", "teléfono", "telefono", "telefone"),
        *("telefoon", "telephon", "telefax", "tlf", "tfno", "phone", "fon", "fone", "ph", "fax"),
        *("mobil", "mobile", "móvil", "cell", "cellulare", "celular", "handy", "hotline", "gsm"),
        *("whatsapp", "sms", "rufnummer", "telefonnummer", "handynummer", "faxnummer"),
        *("тел", "телефон", "факс"),
    )
)
_PHONE_ENDINGS = ("電話", "电话", "传真")
_PHONE_SIGNS = frozenset("☎☏✆📞📱")
_NUMBER_WORDS = frozenset({"no", "nr", "num", "number", "nummer", "id"})
_OTHER_WORDS = frozenset(
    (
        *("isbn", "issn", "ean", "gtin", "upc", "asin", "sku", "doi", "arxiv", "pmid", "iban"),
        *("bic", "blz", "konto", "kto", "account", "order", "bestell", "artikel", "art", "item"),
        *("part", "serial", "model", "hrb", "hra", "ust", "vat", "patent", "invoice"),
        *("rechnung", "case", "ticket", "id", "ref", "isin", "wkn", "nr", "no", "num", "number"),
        *("nummer",),
    )
)
_OTHER_ENDINGS = ("nummer", "number", "nr")
_OTHER_SIGNS = frozenset("#№€$£¥=")
_DATE = re.compile(
    r"(?:0?[1-9]|[12][0-9]|3[01])([./-])(?:0?[1-9]|1[0-2])\1(?:19|20)[0-9]{2}|"
    r"(?:19|20)[0-9]{2}([./-])[0-9]{1,2}\2[0-9]{2}"
)
_LOOK_BACK = 24
_MIN_DIGITS = 8
"""Of a number that is told by its form."""
_JOINED_BEFORE = frozenset("_-+/\\=&%#@:,.'\u2212")

# Country codes of one, two and three digits (ITU-T E.164, list of 2016 with later additions).
_TWO_DIGITS = (
    *((20, 20), (27, 27), (30, 34), (36, 36), (39, 41), (43, 49), (51, 58)),
    *((60, 66), (81, 82), (84, 84), (86, 86), (90, 95), (98, 98)),
)
_THREE_DIGITS = (
    *((211, 213), (216, 216), (218, 218), (220, 269), (290, 291), (297, 299), (350, 359)),
    *((370, 389), (420, 423), (500, 509), (590, 599), (670, 692), (800, 808), (850, 856)),
    *((870, 888), (960, 979), (992, 998)),
)


def find_phones(text: str, shape: bytes) -> list[tuple[int, int]]:
    """(start, end) of each telephone number, in order, without overlap.

    Args:
        text: the text.
        shape: what it looks like, by `pii_shape.shape_of`.
    """
    found: list[tuple[int, int]] = []
    for likely in _LIKELY.finditer(shape):
        for run in _RUN.finditer(text, *likely.span()):
            found += _phones_of_run(text, run)
    return found


def _phones_of_run(text: str, run: re.Match[str]) -> list[tuple[int, int]]:
    if _DATE.fullmatch(run[0]):
        return []
    found: list[tuple[int, int]] = []
    opened = text[max(0, run.start() - 2) : run.start()]
    at = run.start() - len(opened) + len(opened.rstrip("(+"))
    if _is_short(text, run):
        first = _START.search(text, at, run.end())
        place = at if first is None else first.start()
        if not _told_by_words(text[max(0, place - _LOOK_BACK) : place])[0]:
            return []
    is_behind_digits = False
    while (start := _START.search(text, at, run.end())) is not None:
        end = _end_of_number(text, start.start(), is_behind_digits=is_behind_digits)
        is_behind_digits = end is None
        at = start.end() if end is None else end
        if end is not None:
            found.append((start.start(), end))
    return found


def _is_short(text: str, run: re.Match[str]) -> bool:
    """Whether it has too few digits for a number that no word before it tells."""
    if _num_digits(run[0]) >= _MIN_DIGITS:
        return False
    # Behind a country code a gap may be one sign longer than in a run.
    return not any(map(str.isdecimal, text[run.end() : run.end() + 5]))


def _end_of_number(text: str, start: int, *, is_behind_digits: bool) -> int | None:
    """Where the telephone number that begins at `start` ends; None where none does.

    Args:
        text: the whole text.
        start: of a group of digits, with what may open it.
        is_behind_digits: whether other digits, which are no telephone number, stand just before.
    """
    before = text[max(0, start - _LOOK_BACK) : start]
    if before and (before[-1].isalnum() or _DATE.match(text, start)):
        return None
    if not _ANY.match(text, start):
        return None
    is_phone, is_other = _told_by_words(before)
    if is_phone:
        found = _INTERNATIONAL.match(text, start) or _ANY.match(text, start)
        return None if found is None or _num_digits(found[0]) > 16 else found.end()
    if is_other:
        return None
    international = _INTERNATIONAL.match(text, start)
    if international is not None and _is_international(international, before):
        return None if is_behind_digits and "+" not in international[0] else international.end()
    if is_behind_digits or (before and before[-1] in _JOINED_BEFORE):
        return None
    return _end_of_national(text, start)


def _told_by_words(before: str) -> tuple[bool, bool]:
    """Whether what stands before says that a telephone number follows, or another number."""
    found = _BEFORE.match(before[::-1])
    assert found is not None  # it matches nothing too
    gap, last = found[1], found[2][::-1].lower()
    words = {last, found[3][::-1].lower()} if last in _NUMBER_WORDS else {last}
    if words & _PHONE_WORDS or last.endswith(_PHONE_ENDINGS) or _PHONE_SIGNS & set(gap):
        return True, False
    is_other = words & _OTHER_WORDS or last.endswith(_OTHER_ENDINGS) or _OTHER_SIGNS & set(gap)
    return False, bool(is_other)


def _is_international(match: re.Match[str], before: str) -> bool:
    if before[-1:] in {"=", "_", "-", "/", "."} or not _MIN_DIGITS <= _num_digits(match[0]) <= 17:
        return False
    digits = re.sub(r"\D", "", match[0]).removeprefix("00" if "+" not in match[0] else "")
    if digits[0] == "1":
        return len(digits) == 11 and digits[1] > "1" and digits[4:9] != "55501"
    if digits[0] == "7":
        return len(digits) == 11
    # `+3.14` is a decimal: where a separator ends the first group, the group is the country code.
    goes_on = match[0][match.end(1) - match.start() :][:1].isdecimal()
    code = digits[:3] if goes_on else match[1]
    is_two = _is_in(code[:2], _TWO_DIGITS)
    return (is_two and (goes_on or len(code) == 2)) or _is_in(code, _THREE_DIGITS)


def _is_in(code: str, ranges: tuple[tuple[int, int], ...]) -> bool:
    return any(low <= int(code) <= high for low, high in ranges)


def _end_of_national(text: str, start: int) -> int | None:
    american = _AMERICAN.match(text, start)
    if american is not None:
        is_fiction = "55501" in re.sub(r"\D", "", american[0])[-7:-2]
        return None if is_fiction else american.end()
    french = _FRENCH.match(text, start)
    if french is not None:
        pairs = [int(pair) for pair in re.findall(r"\d\d", french[0])]
        counts_up = all(b - a == 1 for a, b in itertools.pairwise(pairs))
        return None if counts_up else french.end()
    for pattern, fewest, most in ((_JAPANESE, 10, 11), (_NATIONAL, 9, 13)):
        found = pattern.match(text, start)
        number = "" if found is None else found[0]
        while _num_digits(number) > most and (last := _LAST_GROUP.search(number)) is not None:
            number = number[: last.start()]  # the next number, behind a single blank
        if _num_digits(number) >= fewest:
            return start + len(number)
    return None


def _num_digits(number: str) -> int:
    return sum(map(str.isdecimal, number))
