"""The look of the report page: system fonts, a colour for kept, one for dropped, light and dark."""

STYLE = """
:root {
  color-scheme: light dark;
  --page: #f7f7f5; --card: #ffffff; --ink: #1d2327; --quiet: #667078; --line: #e3e5e4;
  --kept: #2f6f9f; --dropped: #d9813b; --track: #eceeed; --hover: #00000008;
}
@media (prefers-color-scheme: dark) {
  :root {
    --page: #14181b; --card: #1c2226; --ink: #e6e9ea; --quiet: #97a1a8; --line: #2d353a;
    --kept: #6aaad6; --dropped: #e39a58; --track: #262d32; --hover: #ffffff0a;
  }
}
* { box-sizing: border-box; }
body {
  margin: 0; background: var(--page); color: var(--ink);
  font: 15px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", sans-serif;
  font-variant-numeric: tabular-nums;
}
main { max-width: 1080px; margin: 0 auto; padding: 40px 24px 80px; }
h1 {
  font-size: 28px; line-height: 1.2; margin: 0 0 6px; letter-spacing: -0.01em; overflow-wrap:
  anywhere;
}
h2 { font-size: 18px; margin: 44px 0 6px; }
h3 { font-size: 14px; margin: 0 0 8px; overflow-wrap: anywhere; }
p { margin: 0 0 14px; max-width: 70ch; }
.quiet, .note { color: var(--quiet); }
.lead { font-size: 17px; margin-bottom: 22px; }
.tiles { display: grid; grid-template-columns: repeat(auto-fit, minmax(150px, 1fr)); gap: 12px; }
.card, .tile { background: var(--card); border: 1px solid var(--line); border-radius: 10px; }
.card { padding: 18px 20px; overflow-x: auto; }
.tile { padding: 14px 16px; }
.tile b {
  display: block; font-size: 24px; font-weight: 600; line-height: 1.25; white-space: nowrap;
}
.tile span { color: var(--quiet); font-size: 13px; }
.grid { display: grid; grid-template-columns: repeat(auto-fill, minmax(300px, 1fr)); gap: 12px; }
table { border-collapse: collapse; width: 100%; }
th, td {
  padding: 7px 12px; text-align: right; border-bottom: 1px solid var(--line); white-space: nowrap;
}
th { font-size: 12.5px; font-weight: 600; color: var(--quiet); vertical-align: bottom; }
th:first-child, td:first-child { text-align: left; padding-left: 0; }
th:last-child, td:last-child { padding-right: 0; }
tr:last-child td { border-bottom: 0; }
tr.total td { font-weight: 600; }
.funnel { list-style: none; margin: 0; padding: 0; }
.funnel li {
  display: grid; grid-template-columns: 170px 1fr 92px 92px; gap: 4px 14px; padding: 9px 0;
  align-items: center; border-bottom: 1px solid var(--line);
}
.funnel li:last-child { border-bottom: 0; }
.funnel .head { font-size: 12.5px; font-weight: 600; color: var(--quiet); padding-top: 0; }
.funnel .stage { font-weight: 600; overflow-wrap: anywhere; }
.funnel .n { text-align: right; }
.funnel .reasons { grid-column: 2 / 5; font-size: 13px; color: var(--quiet); }
.funnel .reasons b { font-weight: 500; color: var(--ink); }
.track {
  display: flex; height: 12px; background: var(--track); border-radius: 3px; overflow: hidden;
}
.bar { height: 100%; }
.bar.kept { background: var(--kept); }
.bar.dropped { background: var(--dropped); }
.legend { font-size: 13px; color: var(--quiet); margin: 0 0 10px; }
.legend i {
  display: inline-block; width: 11px; height: 11px; border-radius: 3px; margin: 0 5px 0 14px;
  vertical-align: -1px;
}
.legend i:first-child { margin-left: 0; }
svg { display: block; width: 100%; height: auto; }
svg .kept { fill: var(--kept); }
svg .hover { fill: transparent; }
svg g:hover .hover { fill: var(--hover); }
svg .axis { stroke: var(--line); }
svg text { font-size: 10.5px; fill: var(--quiet); }
svg .value { text-anchor: middle; fill: var(--ink); }
details { border-bottom: 1px solid var(--line); }
details:last-of-type { border-bottom: 0; }
summary { cursor: pointer; padding: 9px 0; }
summary:hover { color: var(--kept); }
summary .note { margin-left: 8px; font-size: 13px; }
pre {
  white-space: pre-wrap; overflow-wrap: anywhere; margin: 0; font: 13px/1.5 ui-monospace, "SF
  Mono", Menlo, Consolas, "Liberation Mono", monospace;
}
.sample { margin: 0 0 14px; padding: 12px 14px; background: var(--page); border-radius: 8px; }
.sample header { font-size: 13px; color: var(--quiet); overflow-wrap: anywhere; }
.sample header b { color: var(--ink); font-weight: 600; }
.sample pre { margin: 8px 0 0; font: inherit; font-size: 14px; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: 4px 20px; margin: 0; }
dt { color: var(--quiet); }
dd { margin: 0; overflow-wrap: anywhere; }
.scroll { max-height: 640px; overflow: auto; }
td.wide { width: 22%; min-width: 90px; }
td.reasons { text-align: left; font-size: 13px; color: var(--quiet); white-space: normal; }
td.reasons b { font-weight: 500; color: var(--ink); }
table.groups td:first-child { max-width: 260px; overflow: hidden; text-overflow: ellipsis; }
th:last-child { padding-right: 0; }
table.groups th:last-child { text-align: left; }
td.shade {
  background: linear-gradient(var(--c), var(--c)) left bottom / var(--share) 3px no-repeat;
}
td.shade.kept { --c: var(--kept); }
td.shade.dropped { --c: var(--dropped); }
.fields { display: flex; flex-wrap: wrap; gap: 8px; align-items: center; margin-bottom: 12px; }
.fields input, .fields select, .fields button {
  font: inherit; color: inherit; background: var(--page); border: 1px solid var(--line);
  border-radius: 6px; padding: 5px 9px; max-width: 220px;
}
.fields input { flex: 1 1 220px; max-width: none; }
.fields button { cursor: pointer; min-width: 34px; }
.fields button:disabled { opacity: 0.35; cursor: default; }
table.documents { table-layout: fixed; }
table.documents th, table.documents td {
  text-align: left; overflow: hidden; text-overflow: ellipsis; padding-left: 0;
}
table.documents th:nth-child(1) { width: 112px; }
table.documents th:nth-child(3) { width: 90px; }
table.documents th:nth-child(4) { width: 84px; }
table.documents th:nth-child(5) { width: 240px; }
table.documents th:nth-child(6) { width: 120px; }
table.documents tbody tr { cursor: pointer; }
table.documents tbody tr:hover td { background: var(--hover); }
td.id { font-family: ui-monospace, Menlo, Consolas, monospace; font-size: 12.5px; }
td.kept { color: var(--kept); }
td.dropped { color: var(--dropped); }
tr.details td { white-space: normal; cursor: default; background: var(--page); padding: 12px; }
tr.details dl {
  grid-template-columns: repeat(auto-fill, minmax(230px, max-content) 90px); font-size: 13px;
}
tr.details pre { margin-top: 10px; max-height: 320px; overflow: auto; }
.pair { display: grid; grid-template-columns: 1fr 1fr; gap: 16px; margin-bottom: 14px; }
.pair > div { background: var(--page); border-radius: 8px; padding: 12px 14px; min-width: 0; }
.pair b { font-size: 13px; overflow-wrap: anywhere; }
.pair pre { margin-top: 8px; font: inherit; font-size: 14px; }
mark { background: color-mix(in srgb, var(--dropped) 30%, transparent); color: inherit; }
svg .line { fill: none; stroke: var(--kept); stroke-width: 1.6; stroke-linejoin: round; }
svg .band { fill: var(--track); opacity: 0.7; }
svg .band.other { opacity: 0.25; }
svg .name { font-size: 12px; fill: var(--ink); }
code { font: 13px ui-monospace, Menlo, Consolas, monospace; }
@media (max-width: 640px) {
  .pair { grid-template-columns: 1fr; }
  main { padding: 24px 14px 60px; }
  .funnel li { grid-template-columns: 1fr 80px 80px; }
  .funnel .head span:nth-child(2) { display: none; }
  .funnel .track { grid-column: 1 / 4; grid-row: 2; }
  .funnel .reasons { grid-column: 1 / 4; }
}
"""
