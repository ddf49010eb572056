"""What the pages share: one file that needs no network, with its style, its script and its tables.

The script is the only one that a browser runs: the policy of the page names its hash.
"""

from __future__ import annotations

import base64
import hashlib
import html
from collections.abc import Sequence

STYLE = """
:root { color-scheme: light dark; --ink: #1b1f24; --paper: #fff; --soft: #57606a; --line: #d0d7de;
  --dot: #0b62c4; --mark: #b3261e; --good: #1a6b32; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6edf3; --paper: #0d1117; --soft: #9aa4af;
  --line: #30363d; --dot: #6cb0ff; --mark: #ff8a80; --good: #7ee2a0; } }
body { font: 15px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--paper); margin: 0 auto;
  max-width: 1100px; padding: 1rem; overflow-wrap: anywhere; }
a { color: var(--dot); }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; white-space: nowrap; font-variant-numeric: tabular-nums; }
th, td { padding: .25rem .6rem; border-bottom: 1px solid var(--line); text-align: left; }
td.number, th.number { text-align: right; }
svg { max-width: 100%; height: auto; display: block; }
svg text { font: 11px system-ui, sans-serif; fill: var(--soft); }
.dot { fill: var(--dot); } .axis { stroke: var(--line); }
.mark { stroke: var(--mark); stroke-dasharray: 4 3; }
.warning { border-left: 3px solid var(--mark); padding-left: .6rem; margin: .3rem 0; }
:focus-visible { outline: 3px solid var(--dot); outline-offset: 2px; }
pre { overflow-x: auto; }
"""


def document(title: str, body: str, style: str = "", script: str = "") -> str:
    """The whole page; ``body`` is HTML, whose texts are escaped."""
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    policy = f"default-src 'none'; style-src 'unsafe-inline'; script-src 'sha256-{digest}'"
    code = f"<script>{script}</script>" if script else ""
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">\n'
        f"<title>{html.escape(title)}</title>\n<style>{STYLE}{style}</style>\n</head>\n"
        f"<body>\n<main>\n{body}\n</main>\n{code}\n</body>\n</html>\n"
    )


def table(
    label: str, columns: Sequence[str], numbers: Sequence[int], rows: Sequence[str], kind: str = "scroll"
) -> str:
    """Rows of HTML in a region that scrolls by itself; ``numbers`` are the columns that hold numbers."""
    body = "\n".join(rows)
    return (
        f'<div class="{kind}" tabindex="0" role="region" aria-label="{html.escape(label)}"><table>\n'
        f"<thead><tr>{cells('th', columns, numbers)}</tr></thead>\n<tbody>\n{body}\n</tbody></table></div>"
    )


def cells(tag: str, texts: Sequence[str], numbers: Sequence[int]) -> str:
    scope = ' scope="col"' if tag == "th" else ""
    kinds = [' class="number"' if index in numbers else "" for index in range(len(texts))]
    return "".join(f"<{tag}{scope}{kind}>{html.escape(text)}</{tag}>" for kind, text in zip(kinds, texts))
