"""The pages of sign-in: plain HTML that works without scripts, under a policy that lets in nothing else."""

import json
from base64 import b64encode
from collections.abc import Mapping, Sequence
from hashlib import sha256
from html import escape
from pathlib import Path
from typing import Any

from starlette.responses import Response

STYLE = (Path(__file__).parent / "web" / "sign-in.css").read_text(encoding="utf-8").strip()
# The secret of a link stands behind `#`, where no server sees it. Without scripts a person pastes it.
SCRIPT = (
    "var s=location.hash.slice(1);"
    "onhashchange=function(){location.reload()};"
    "if(s){document.getElementById('secret').value=s;history.replaceState(null,'',location.pathname)}"
)


PASSKEY = (Path(__file__).parent / "web" / "passkey.js").read_text(encoding="utf-8").strip()


def _source(text: str) -> str:
    return f"'sha256-{b64encode(sha256(text.encode()).digest()).decode()}'"


def policy(*, form_target: str = "", script: str = "") -> str:
    """What a browser may do with a page: its own style, forms to us, and on to the one address that was checked."""
    return (
        f"default-src 'none'; style-src {_source(STYLE)}; "
        + (f"script-src {_source(script)}; " if script else "")
        + f"form-action 'self'{' ' + form_target if form_target else ''}; frame-ancestors 'none'; base-uri 'none'"
    )


def page(
    title: str, body: str, *, status: int = 200, form_target: str = "", script: str = "", go_to: str = ""
) -> Response:
    """A page. `body` is HTML, made by the functions below; `go_to` has the browser go on by itself."""
    refresh = f'<meta http-equiv="refresh" content="0;url={escape(go_to)}">' if go_to else ""
    scripted = f"<script>{script}</script>" if script else ""
    text = (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        f'<meta name="viewport" content="width=device-width,initial-scale=1">{refresh}'
        f"<title>{escape(title)} · Headwater</title><style>{STYLE}</style></head>"
        f"<body><main><h1>{escape(title)}</h1>{body}</main>{scripted}</body></html>"
    )
    headers = {
        "Content-Security-Policy": policy(form_target=form_target, script=script),
        "X-Frame-Options": "DENY",
        "X-Content-Type-Options": "nosniff",
        "Referrer-Policy": "same-origin",  # with no-referrer a browser would send `Origin: null` with our own forms
        "Cache-Control": "no-store",
    }
    return Response(text, status, headers, "text/html; charset=utf-8")


def paragraph(text: str, kind: str = "") -> str:
    return f'<p class="{escape(kind)}">{escape(text)}</p>' if kind else f"<p>{escape(text)}</p>"


def link(url: str, text: str) -> str:
    return f'<p class="soft"><a href="{escape(url)}">{escape(text)}</a></p>'


def facts(rows: Sequence[tuple[str, str]]) -> str:
    """What a person should read, in rows."""
    return f"<dl>{''.join(f'<dt>{escape(name)}</dt><dd>{escape(value)}</dd>' for name, value in rows if value)}</dl>"


def field(name: str, label: str, *, kind: str = "text", value: str = "", complete: str = "off") -> str:
    return (
        f'<label for="{escape(name)}">{escape(label)}</label>'
        f'<input id="{escape(name)}" name="{escape(name)}" type="{escape(kind)}" value="{escape(value)}" '
        f'autocomplete="{escape(complete)}" maxlength="256" required>'
    )


def form(
    action: str, hidden: Mapping[str, str], inside: str, buttons: Sequence[tuple[str, str]], *, is_quiet: bool = False
) -> str:
    """A form; each button is a decision and its text, the first of which says yes, loudly unless `is_quiet`."""
    kept = "".join(
        f'<input type="hidden" name="{escape(name)}" value="{escape(value)}">' for name, value in hidden.items()
    )
    made = "".join(
        f'<button name="decision" value="{escape(value)}" class="{"no" if index or is_quiet else "yes"}">'
        f"{escape(text)}</button>"
        for index, (value, text) in enumerate(buttons)
    )
    return f'<form method="post" action="{escape(action)}">{kept}{inside}{made}</form>'


def passkey_form(action: str, hidden: Mapping[str, str], asked: Mapping[str, Any], inside: str, text: str) -> str:
    """A form that a device answers. It shows where scripts run and the browser knows passkeys."""
    kept = "".join(
        f'<input type="hidden" name="{escape(name)}" value="{escape(value)}">'
        for name, value in {"answer": "", **hidden}.items()
    )
    return (
        f'<form hidden id="passkey" method="post" action="{escape(action)}" data-asked="{escape(json.dumps(asked))}">'
        f'{kept}{inside}<button class="no">{escape(text)}</button><p id="passkey-said" role="status"></p></form>'
    )
