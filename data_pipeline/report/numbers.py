"""Numbers of a report as a person reads them."""

from data_pipeline.report.data import ReportData

_SCALES = ((10**12, "T"), (10**9, "G"), (10**6, "M"), (10**3, "k"))


def grouped(number: int) -> str:
    """1234567 as `1 234 567`, with narrow no-break spaces."""
    return f"{number:,}".replace(",", "\u202f")


def short(number: float) -> str:
    """1234567 as `1.23 M`: three digits that count."""
    for size, letter in _SCALES:
        if number >= size * 0.9995:
            return f"{number / size:.3g}\u202f{letter}"
    return f"{number:.3g}"


def in_bytes(number: float) -> str:
    """1234567 as `1.23 MB`."""
    text = short(number)
    return f"{text}B" if text[-1:].isalpha() else f"{text}\u202fB"


def other_records(data: ReportData) -> str:
    """The records that are no pages, in words."""
    named = ", ".join(f"{grouped(count)} {kind}" for kind, count in data.other_records.items())
    return f"records that are no pages were read: {named}"


def percent(part: float, whole: float) -> str:
    """A share in percent; a dash of nothing."""
    if whole == 0:
        return "–"
    share = 100 * part / whole
    if 0 < share < 0.1:
        return "<0.1\u202f%"
    return f"{share:.1f}\u202f%"


def in_time(seconds: float) -> str:
    """Seconds as `1.2 s`, `3 min 05 s` or `2 h 10 min`."""
    if seconds < 60:
        return f"{seconds:.1f}\u202fs"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes}\u202fmin {rest:02d}\u202fs"
    return f"{minutes // 60}\u202fh {minutes % 60:02d}\u202fmin"
