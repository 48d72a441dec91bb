"""SQL text to a tree: one statement, of bounded size, in the connection's dialect."""

import re
from dataclasses import dataclass

from sqlglot import exp
from sqlglot.errors import ParseError, TokenError
from sqlglot.tokenizer_core import Token, TokenType

from core.errors import InvalidArgument, QueryUnauthorized
from engine.sql.dialects import dialect_of
from engine.sql.pivot import expand_pivots

MAX_TOKENS = 20_000
MAX_DEPTH = 48
MAX_SHAPE = 4000
_LITERALS = frozenset(
    {
        *(TokenType.STRING, TokenType.NUMBER, TokenType.HEREDOC_STRING, TokenType.RAW_STRING, TokenType.HEX_STRING),
        *(TokenType.NATIONAL_STRING, TokenType.BYTE_STRING, TokenType.BIT_STRING, TokenType.UNICODE_STRING),
    }
)
_SURROGATES = re.compile("[\ud800-\udfff]")
_HOLDERS = (
    exp.From,
    exp.Join,
    exp.Subquery,
    exp.CTE,
    exp.Lateral,
    exp.SetOperation,
    exp.Alias,
    exp.PropertyEQ,
)
_BEFORE_ITEMS = frozenset(
    {TokenType.L_PAREN, TokenType.L_BRACKET, TokenType.COMMA, TokenType.SELECT, TokenType.DISTINCT, TokenType.ALL}
)
_OPENING = frozenset({TokenType.L_PAREN, TokenType.L_BRACKET, TokenType.L_BRACE, TokenType.CASE})
_CLOSING = frozenset({TokenType.R_PAREN, TokenType.R_BRACKET, TokenType.R_BRACE, TokenType.END})


@dataclass(frozen=True, slots=True)
class Parsed:
    """A statement's tree, and its text with the literals taken out."""

    tree: exp.Expr
    shape: str


def parse(sql: str, dialect: str) -> Parsed:
    """The only statement in `sql`. Raises QueryUnauthorized: what cannot be read cannot be authorised."""
    tokens = tokens_of(sql, dialect)
    try:
        found = [tree for tree in dialect_of(dialect).parser().parse(tokens, sql) if tree is not None]
    except ParseError as error:
        where = error.errors[0] if error.errors else {}
        raise _syntax_error(where.get("line"), where.get("col")) from None
    except (RecursionError, ValueError):  # ValueError: numbers that no integer can hold
        raise too_complex() from None
    # How sqlglot stumbles over some unfinished texts; names of types it reads a second time.
    except (TokenError, AttributeError, KeyError, IndexError, TypeError):
        raise _syntax_error(None, None) from None
    if not found:
        raise QueryUnauthorized("Access denied: there is no statement.", hint="Write one SELECT.")
    if len(found) > 1:
        raise QueryUnauthorized(
            "Access denied: exactly one statement runs at a time.", hint="Send each SELECT as a call of its own."
        )
    _check_whole(found[0])
    tree = _with_parameters(found[0])
    if dialect == "duckdb":
        _check_unpacked(tokens)
        expand_pivots(tree)
    elif dialect == "spark":
        _check_names(tree)
    return Parsed(tree, _shape(tokens))


def half_read() -> QueryUnauthorized:
    """The refusal of a text that the parser takes, but of which it makes nothing whole."""
    return _syntax_error(None, None)


def too_complex() -> QueryUnauthorized:
    return QueryUnauthorized(
        "Access denied: the statement is too complex to be authorised.",
        hint="Nest less, or write long lists as a join.",
    )


def tokens_of(sql: str, dialect: str) -> list[Token]:
    """The statement's tokens, of bounded number and depth. Raises QueryUnauthorized, InvalidArgument."""
    if "\0" in sql or _SURROGATES.search(sql) is not None:
        raise InvalidArgument("The statement holds characters that are not text.")
    try:
        tokens = dialect_of(dialect).tokenize(sql)
    except TokenError:
        raise QueryUnauthorized(
            "Access denied: the statement has a quote or comment that does not end.",
            hint="Close it; a quote inside a text is doubled.",
        ) from None
    if len(tokens) > MAX_TOKENS:
        raise too_complex()
    depth = 0
    for token in tokens:
        if token.token_type in _OPENING:
            depth += 1
            if depth > MAX_DEPTH:
                raise too_complex()
        elif token.token_type in _CLOSING:
            depth = max(0, depth - 1)
    return tokens


def _with_parameters(tree: exp.Expr) -> exp.Expr:
    """`$name` as the placeholder that `:name` is: sqlglot reads it differently in each dialect."""
    for node in list(tree.find_all(exp.Parameter, exp.Column)):
        name = ""
        if isinstance(node, exp.Parameter) and isinstance(node.this, exp.Var):
            name = node.name
        elif isinstance(node.this, exp.Identifier) and not node.this.quoted and node.name.startswith("$"):
            name = node.name[1:]
        if name and node.parent is not None:
            node.replace(exp.Placeholder(this=name))
    return tree


def _check_whole(tree: exp.Expr) -> None:
    """sqlglot builds some nodes without the parts that they must have; such a text was not understood."""
    for node in tree.walk():
        is_hollow = isinstance(node, _HOLDERS) and not isinstance(node.this, exp.Expr)
        is_bare = isinstance(node, (exp.From, exp.Join)) and isinstance(node.this, (exp.Select, exp.SetOperation))
        is_nameless = isinstance(node, exp.Alias) and node.args.get("alias") is None
        if is_hollow or is_bare or is_nameless:
            raise _syntax_error(None, None)
        if not node.args.keys() <= node.arg_types.keys() or _has_stray(node):  # such a part would be read by nobody
            raise _syntax_error(None, None)
        has_gap = not isinstance(node, exp.Pivot) and node.error_messages()
        if has_gap or (isinstance(node, exp.Star) and not _is_whole_star(node)):
            raise _syntax_error(None, None)


def _has_stray(node: exp.Expr) -> bool:
    lists = (value for value in node.args.values() if isinstance(value, list))
    return any(not isinstance(item, exp.Expr) for items in lists for item in items)


def _check_unpacked(tokens: list[Token]) -> None:
    """`f(*COLUMNS(...))` makes arguments of columns; sqlglot drops the star."""
    for before, star, word in zip(tokens, tokens[1:], tokens[2:], strict=False):
        is_unpacked = star.token_type == TokenType.STAR and before.token_type in _BEFORE_ITEMS
        if is_unpacked and word.text.lower() == "columns":
            raise QueryUnauthorized(
                "Access denied: *COLUMNS is not available here.", hint="Write COLUMNS without the star, or the names."
            )


def _check_names(tree: exp.Expr) -> None:
    """Spark compares some names by their lower case and some letter by letter: where that differs, all is open."""
    for node in tree.find_all(exp.Identifier):
        if not node.name.isascii() and any(_is_ambiguous(letter) for letter in node.name):
            raise QueryUnauthorized(
                "Access denied: a name has letters that Spark does not compare in one way.",
                hint="Write names with plain letters, such as s and not the long s.",
            )


def _is_ambiguous(letter: str) -> bool:
    upper = letter.upper() if len(letter.upper()) == 1 else letter
    is_rare = ord(letter) > 0xFFFF and letter.lower() != letter.upper()
    return is_rare or upper.lower() != letter.lower() or len(letter.lower()) > 1


def _is_whole_star(star: exp.Star) -> bool:
    changed = [*(star.args.get("replace") or []), *(star.args.get("rename") or [])]
    excluded = star.args.get("except_") or []
    return all(
        isinstance(item, exp.Alias) and isinstance(item.args.get("alias"), exp.Identifier) for item in changed
    ) and (all(isinstance(item, (exp.Column, exp.Identifier)) for item in excluded))


def _shape(tokens: list[Token]) -> str:
    """The statement without values: what logs and the list of queries may keep."""
    words = ("?" if token.token_type in _LITERALS else token.text for token in tokens)
    return " ".join(words)[:MAX_SHAPE]


def _syntax_error(line: int | None, column: int | None) -> QueryUnauthorized:
    place = f" at line {line}, column {column}" if line and column else ""
    return QueryUnauthorized(
        f"Access denied: the statement cannot be parsed{place}, so it cannot be authorised.",
        hint="Write one SELECT in the dialect of the connection.",
    )
