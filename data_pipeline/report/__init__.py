"""The end of a data job for the eye: a table on the terminal, `report.json` and `report.html`.

What it shows is `ReportData`; who counted it is not its business. The page stands by itself: it can
be mailed, opened without a server, and printed.
"""

import json

from contracts import storage
from contracts.errors import DataError
from data_pipeline.report.data import (
    DropSample,
    DropSampler,
    GroupReport,
    HostsReport,
    NearDuplicate,
    Period,
    ReportConfig,
    ReportData,
    SafetyReport,
    SourceReport,
    SplitReport,
    StageTime,
    TableRow,
    TextSample,
    TimelinePoint,
    UnreadFile,
    add_counts,
    length_bucket,
)
from data_pipeline.report.page import html_page
from data_pipeline.report.table import print_report

JSON_NAME = "report.json"
PAGE_NAME = "report.html"

__all__ = [
    "JSON_NAME",
    "PAGE_NAME",
    "DropSample",
    "DropSampler",
    "GroupReport",
    "HostsReport",
    "NearDuplicate",
    "Period",
    "ReportConfig",
    "ReportData",
    "SafetyReport",
    "SourceReport",
    "SplitReport",
    "StageTime",
    "TableRow",
    "TextSample",
    "TimelinePoint",
    "UnreadFile",
    "add_counts",
    "html_page",
    "length_bucket",
    "print_report",
    "write_report",
]


def write_report(data: ReportData, folder: str) -> tuple[str, str]:
    """Commit report.json and report.html; gives their URLs.

    Raises:
        DataError: the counts do not add up: a document vanished or was counted twice.
    """
    if data.num_in != data.num_kept + data.num_dropped:
        raise DataError(
            f"report of {data.title}: {data.num_in} records read, but {data.num_kept} kept and "
            f"{data.num_dropped} dropped make {data.num_kept + data.num_dropped}; "
            "a stage lost or repeated documents: report this with the ledger folder"
        )
    json_url, page_url = storage.join(folder, JSON_NAME), storage.join(folder, PAGE_NAME)
    text = json.dumps(data.as_json(), indent=1, ensure_ascii=False)
    storage.write_bytes(json_url, (text + "\n").encode())
    storage.write_bytes(page_url, html_page(data).encode())
    return json_url, page_url
