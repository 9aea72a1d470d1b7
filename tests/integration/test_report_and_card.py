"""What a data engineer opens: the report's groups, the search over all documents, the data card."""

import http.client
import json
import re
import threading
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlencode

import pytest

from contracts.errors import ConfigError, DataError
from data_pipeline.browse import browse_server, parse_port
from tests.data_job import run_verb, write_config, write_input


@pytest.fixture(scope="module")
def job(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("job")
    write_input(folder / "in", num_files=2)
    config = write_config(folder / "job.yaml", folder=folder / "in", output_dir=folder / "out")
    done = run_verb("run", config, "report.known_gaps=[Poems are missing.]")
    assert done.returncode == 0, done.stderr
    return folder / "out"


@pytest.fixture(scope="module")
def port(job: Path) -> Iterator[int]:
    with browse_server(str(job), port=0) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server.server_port
        server.shutdown()


def get(port: int, path: str, host: str | None = None) -> tuple[int, str]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    connection.request("GET", path, headers={"Host": host} if host else {})
    answer = connection.getresponse()
    return answer.status, answer.read().decode()


def test_groups_count_every_document_once(job: Path) -> None:
    report = json.loads((job / "report.json").read_text())
    for groups in (report["by_language"], report["hosts"]["hosts"]):
        assert sum(group["num_in"] for group in groups) == report["num_in"]
        assert sum(group["num_kept"] for group in groups) == report["num_kept"]
        assert sum(group["num_bytes"] for group in groups) == sum(
            source["num_bytes"] for source in report["sources"]
        )
        for group in groups:
            assert group["num_in"] == group["num_kept"] + sum(group["dropped"].values())
    assert len(report["table"]) == report["num_in"] == 120


def test_search_finds_every_document(job: Path, port: int) -> None:
    report = json.loads((job / "report.json").read_text())
    status, text = get(port, "/api/documents")
    assert status == 200
    found = json.loads(text)
    assert found["total"] == report["num_in"]
    assert len(found["rows"]) == 50
    kept = json.loads(get(port, "/api/documents?decision=kept")[1])
    assert kept["total"] == report["num_kept"]
    dropped = json.loads(get(port, "/api/documents?decision=dropped&page=0")[1])
    assert dropped["total"] == report["num_dropped"]
    for stage, reasons in report["dropped"].items():
        for reason, count in reasons.items():
            query = urlencode({"decision": f"{stage}/{reason}"})
            assert json.loads(get(port, f"/api/documents?{query}")[1])["total"] == count
    doc_id, _, source, *_, measures = kept["rows"][0]
    one = json.loads(get(port, f"/api/documents?q={doc_id}&source={source}")[1])
    assert one["total"] == 1
    assert any(name.startswith("length.") for name in measures)
    assert len(json.loads(get(port, f"/api/text?doc_id={doc_id}")[1])["text"]) > 20


def test_search_takes_hostile_words_as_words(port: int) -> None:
    query = urlencode({"q": "'; DROP VIEW documents; --", "source": "' OR 1=1", "page": "-1"})
    assert json.loads(get(port, f"/api/documents?{query}")[1])["total"] == 0
    assert json.loads(get(port, "/api/documents")[1])["total"] == 120


def test_page_is_served_live_and_to_this_machine_alone(port: int) -> None:
    status, page = get(port, "/")
    assert (status, page.count('data-live="yes"')) == (200, 1)
    assert get(port, "/", host="evil.example:80")[0] == 403
    assert get(port, "/other")[0] == 404


def test_browse_says_what_is_missing(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"report\.html is missing: run the data job first"):
        browse_server(str(tmp_path))
    with pytest.raises(ConfigError, match=r"port=99999 is not a port, a number from 0 to 65535"):
        parse_port(["port=99999"])


def test_card_tells_sources_thresholds_and_removed_shares(job: Path) -> None:
    card = (job / "DATA_CARD.md").read_text()
    report = json.loads((job / "report.json").read_text())
    assert re.search(
        r"\| web \| jsonl \| not stated \| not recorded \| 60 \| \d+ \| [\d,]+ \|", card
    )
    assert re.search(r"\| `min_words` \| 50 \| .+ \|", card)
    assert "- Poems are missing." in card
    assert "Opt-out: signals honoured: `noai`, `noml`, `tdm_reservation`; to everyone" in card
    assert "Personal data: nothing was masked." in card
    assert "Evaluation sets: the texts were not compared with any." in card
    assert "No licence is stated for `web`" in card
    for stage, reasons in report["dropped"].items():
        for reason, count in reasons.items():
            assert f"| {stage} | {reason} | {count} |" in card
    assert report["facts"]["config_sha256"] in card
    widths = {line.count(" | ") for line in card.splitlines() if line.startswith("| source")}
    assert widths == {6}
