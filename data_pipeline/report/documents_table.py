"""The searchable table of documents: a sample inside the page, or all of them behind `browse`.

The script is the page's only one; its hash stands in the page's content security policy, and it
writes foreign text as text, never as markup.
"""

import base64
import hashlib
import json
from dataclasses import astuple
from html import escape

from data_pipeline.report.data import ReportData
from data_pipeline.report.numbers import grouped

LIVE_OFF, LIVE_ON = 'data-live="no"', 'data-live="yes"'
"""What `browse` exchanges in the page, so that the table asks it instead of the sample."""

SCRIPT = """
"use strict";
(() => {
  const root = document.getElementById("documents");
  if (!root) return;
  const sample = JSON.parse(document.getElementById("document-rows").textContent);
  const live = root.dataset.live === "yes";
  const field = (name) => root.querySelector(`[name=${name}]`);
  const body = root.querySelector("tbody");
  const note = root.querySelector(".found");
  const SIZE = 50;
  let page = 0, asked = 0;

  const query = () => ({
    q: field("q").value.trim(), decision: field("decision").value, source: field("source").value,
    language: field("language").value, page,
  });

  const fromSample = (wanted) => {
    const words = wanted.q.toLowerCase();
    const rows = sample.filter(([id, uri, source, language, decision, value]) =>
      (!words || `${id} ${uri} ${decision} ${value ?? ""}`.toLowerCase().includes(words)) &&
      (!wanted.source || source === wanted.source) &&
      (!wanted.language || language === wanted.language) &&
      (!wanted.decision || decision === wanted.decision ||
        (wanted.decision === "dropped" && decision !== "kept")));
    const start = wanted.page * SIZE;
    return { total: rows.length, rows: rows.slice(start, start + SIZE) };
  };

  const fromServer = async (wanted) => {
    const answer = await fetch(`api/documents?${new URLSearchParams(wanted)}`);
    const found = await answer.json();
    if (!answer.ok) throw new Error(found.error);
    return found;
  };

  const cell = (row, text, css) => {
    const element = row.insertCell();
    element.textContent = text ?? "–";
    if (css) element.className = css;
    return element;
  };

  const details = async (row, id, measures) => {
    const next = row.nextElementSibling;
    if (next && next.className === "details") { next.remove(); return; }
    const under = body.insertRow(row.sectionRowIndex + 1);
    under.className = "details";
    const place = under.insertCell();
    place.colSpan = 6;
    const list = document.createElement("dl");
    for (const [name, value] of Object.entries(measures)) {
      const term = document.createElement("dt"), said = document.createElement("dd");
      term.textContent = name;
      said.textContent = typeof value === "number" ? Number(value.toPrecision(5)) : value;
      list.append(term, said);
    }
    place.append(list);
    if (live) {
      const text = document.createElement("pre");
      const answer = await fetch(`api/text?doc_id=${encodeURIComponent(id)}`);
      text.textContent = (await answer.json()).text || "no text";
      place.append(text);
    }
  };

  const show = async () => {
    const number = ++asked;
    let found;
    try {
      found = live ? await fromServer(query()) : fromSample(query());
    } catch (error) {
      note.textContent = `The search failed: ${error.message}`;
      return;
    }
    if (number !== asked) return;
    body.textContent = "";
    for (const [id, uri, source, language, decision, value, measures] of found.rows) {
      const row = body.insertRow();
      row.tabIndex = 0;
      cell(row, id.slice(0, 12), "id").title = id;
      cell(row, uri, "uri").title = uri;
      cell(row, source);
      cell(row, language);
      cell(row, decision, decision === "kept" ? "kept" : "dropped");
      cell(row, value === null || value === undefined ? "" : String(value).slice(0, 40));
      row.addEventListener("click", () => details(row, id, measures));
      row.addEventListener("keydown", (event) => {
        if (event.key === "Enter") details(row, id, measures);
      });
    }
    const first = page * SIZE;
    note.textContent = found.total
      ? `${first + 1}–${first + found.rows.length} of ${found.total}` : "none found";
    field("before").disabled = page === 0;
    field("after").disabled = first + found.rows.length >= found.total;
  };

  let waiting;
  for (const name of ["q", "decision", "source", "language"])
    field(name).addEventListener("input", () => {
      page = 0;
      clearTimeout(waiting);
      waiting = setTimeout(show, live ? 250 : 40);
    });
  field("before").addEventListener("click", () => { page -= 1; show(); });
  field("after").addEventListener("click", () => { page += 1; show(); });
  show();
})();
"""


def script_hash() -> str:
    """The script's source expression for a content security policy."""
    digest = hashlib.sha256(SCRIPT.encode()).digest()
    return f"'sha256-{base64.b64encode(digest).decode()}'"


def documents_table(data: ReportData) -> str:
    """The section with its rows and its script; empty where no rows were chosen."""
    if not data.table:
        return ""
    decisions = [
        f"{stage}/{reason}" for stage, reasons in data.dropped.items() for reason in reasons
    ]
    languages = [group.name for group in data.by_language if group.name != "–"]
    rows = json.dumps([astuple(row) for row in data.table], ensure_ascii=False)
    rows = rows.replace("<", "\\u003c").replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")
    head = ("Document", "URL", "Source", "Language", "Decision", "Value")
    return (
        '<h2>Documents</h2><p class="quiet">A click on a row shows all its measured values. '
        f"{len(data.table)} of {grouped(data.num_in)} stand in this page, chosen by hash; "
        "<code>python -m data_pipeline browse CONFIG.yaml</code> searches all.</p>"
        f'<div class="card scroll" id="documents" {LIVE_OFF}><div class="fields">'
        '<input name="q" type="search" placeholder="URL, document id, reason …" '
        'aria-label="Search"/>'
        f"{_choice('decision', 'every decision', ['kept', 'dropped', *decisions])}"
        f"{_choice('source', 'every source', [source.name for source in data.sources])}"
        f"{_choice('language', 'every language', languages)}"
        '<span class="found quiet"></span>'
        '<button name="before" type="button">‹</button>'
        '<button name="after" type="button">›</button></div>'
        f'<table class="documents"><thead><tr>{"".join(f"<th>{escape(h)}</th>" for h in head)}'
        "</tr></thead><tbody></tbody></table></div>"
        f'<script type="application/json" id="document-rows">{rows}</script>'
        f"<script>{SCRIPT}</script>"
    )


def _choice(name: str, every: str, values: list[str]) -> str:
    options = "".join(f"<option>{escape(value)}</option>" for value in values)
    return (
        f'<select name="{name}" aria-label="{name}"><option value="">{every}</option>'
        f"{options}</select>"
    )
