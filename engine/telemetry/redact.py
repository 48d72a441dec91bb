"""Secrets taken out of text on its way to a log. When in doubt it takes out too much."""

import re

MASK = "[redacted]"
MAX_LENGTH = 16_384  # bounds the time that a line made to be slow can take

_NAMES = (
    r"password|passwd|pwd|passphrase|secret|client_secret|api[-_]?key|private[-_]?key|access[-_]?token"
    r"|refresh[-_]?token|id[-_]?token|token|authorization|credentials?|cookie"
)
_RULES: tuple[tuple[re.Pattern[str], str], ...] = (
    (re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(-----END [A-Z ]*PRIVATE KEY-----|\Z)", re.S), MASK),
    (re.compile(r"\[parameters: .*?\](?=\s*(\n|\Z|\())", re.S), f"[parameters: {MASK}]"),  # SQLAlchemy's, with values
    (re.compile(r"^(\s*DETAIL:).*$", re.M), rf"\1 {MASK}"),  # PostgreSQL's, with a row's values
    (re.compile(r"\beyJ[A-Za-z0-9_-]{4,}\.[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]*)?"), MASK),  # JWT
    (re.compile(r"\bhw[st]_[A-Za-z0-9_-]+"), MASK),  # our personal tokens and client secrets
    (re.compile(r"\b(Bearer|Basic|Negotiate|Digest)\s+[^\s'\",;]+", re.I), rf"\1 {MASK}"),
    (re.compile(r"(://[^\s:/@'\"]*):[^\s'\"<>]*@"), rf"\1:{MASK}@"),  # user:password@host
    (
        re.compile(rf"((?:{_NAMES})(?:[-_][\w-]+)?['\"]?\s*[=:]\s*)(b?'[^']*'|b?\"[^\"]*\"|[^\s,;&'\")\]}}]+)", re.I),
        rf"\1{MASK}",
    ),
)
# Most lines hold none of these and pay for one search only.
_HINT = re.compile(
    rf"{_NAMES}|-----BEGIN|\[parameters: |DETAIL:|eyJ|hw[st]_|bearer|basic|negotiate|digest|://[^\s/]*:", re.I
)


def redact(text: str) -> str:
    """The text without tokens, passwords, keys and statement parameters, cut where it is very long."""
    if len(text) > MAX_LENGTH:
        text = text[:MAX_LENGTH] + " [cut]"
    if _HINT.search(text) is None:
        return text
    for pattern, replacement in _RULES:
        text = pattern.sub(replacement, text)
    return text
