"""Short SQL texts of semantic models as data: an expression or a condition, never a statement."""

from collections.abc import Callable
from typing import Any, TypeVar

from pydantic import ValidationError
from sqlglot import exp, parser
from sqlglot.dialects.dialect import Dialect
from sqlglot.errors import ParseError, TokenError

from core.errors import Conflict
from engine.semantic.binding import SCALARS
from engine.sql.definitions import Condition, Expression

MAX_CHARS, MAX_TOKENS, MAX_OPEN = 4000, 600, 32
MAX_COLUMN = 255
_ARITHMETIC: dict[type[exp.Expr], str] = {
    exp.Add: "+",
    exp.Sub: "-",
    exp.Mul: "*",
    exp.Div: "/",
    exp.Mod: "%",
    exp.DPipe: "||",
}
_COMPARISONS: dict[type[exp.Expr], str] = {
    exp.EQ: "eq",
    exp.NEQ: "ne",
    exp.LT: "lt",
    exp.LTE: "le",
    exp.GT: "gt",
    exp.GTE: "ge",
    exp.Like: "like",
    exp.ILike: "ilike",
}
_CASTS = {
    "TEXT": "text",
    "VARCHAR": "text",
    "INT": "integer",
    "BIGINT": "bigint",
    "DOUBLE": "double",
    "FLOAT": "double",
    "BOOLEAN": "boolean",
    "DATE": "date",
    "TIMESTAMP": "timestamp",
}
_LOGIC: tuple[type[exp.Expr], ...] = (exp.And, exp.Or, exp.Not, exp.Is, exp.In, exp.Between, *_COMPARISONS)
Part = dict[str, Any]
M = TypeVar("M", Expression, Condition)


class _Texts(Dialect):
    """Calls stay as they are written: which function is meant is the connection's matter."""

    class Parser(parser.Parser):
        FUNCTIONS = {}
        FUNCTION_PARSERS = {"CAST": parser.Parser.FUNCTION_PARSERS["CAST"]}


def read_expression(text: str, name: Callable[[str], str] = str) -> Expression:
    """A text such as `price * quantity`. Raises Conflict; `name` turns a column's name into what is kept."""
    return _checked(Expression, _Translation(name).value, text)


def read_condition(text: str, name: Callable[[str], str] = str) -> Condition:
    """A text such as `status = 'open' AND price > 3`. Raises Conflict."""
    return _checked(Condition, _Translation(name).condition, text)


def parse_text(text: str) -> exp.Expr:
    """The tree of one expression, unchecked: what is made of it must be read again. Raises Conflict."""
    return _tree(text)


def _checked(model: type[M], translate: Callable[[exp.Expr], Part], text: str) -> M:
    try:
        return model.model_validate(translate(_tree(text)))
    except ValidationError:
        raise _refusal("it has too many parts, or a name that is too long") from None
    except RecursionError:
        raise _refusal("it nests too deep") from None


def _tree(text: str) -> exp.Expr:
    if len(text) > MAX_CHARS:
        raise _refusal(f"it is longer than {MAX_CHARS} characters")
    dialect = _Texts()
    try:
        tokens = dialect.tokenize(text)
        opened = sum(token.text in ("(", "[", "{") or token.text.upper() in ("CASE", "NOT") for token in tokens)
        if len(tokens) > MAX_TOKENS or opened > MAX_OPEN:
            raise _refusal("it has too many parts")
        trees = dialect.parser().parse(tokens, text)
    except RecursionError:
        raise _refusal("it nests too deep") from None
    except (ParseError, TokenError, ValueError, AttributeError, KeyError, IndexError, TypeError):
        raise _refusal("it cannot be read as SQL") from None
    if len(trees) != 1 or trees[0] is None:
        raise _refusal("it is not exactly one expression")
    return trees[0]


class _Translation:
    def __init__(self, name: Callable[[str], str]):
        self._name = name

    def value(self, node: exp.Expr) -> Part:
        match node:
            case exp.Paren():
                return self.value(node.this)
            case exp.Column():
                return {"column": self._column(node)}
            case exp.Literal() | exp.Boolean() | exp.Null():
                return {"value": _literal(node)}
            case exp.Neg():
                return _negative(self.value(node.this))
            case exp.Anonymous():
                return self._call(node)
            case exp.Case():
                return self._choice(node)
        if type(node) in _ARITHMETIC:
            return _operation(_ARITHMETIC[type(node)], self.value(node.this), self.value(node.expression))
        if type(node) is exp.Cast:
            return self._cast(node)
        if isinstance(node, _LOGIC):
            made = self.condition(node)  # unknown stays unknown
            return {"case": [_branch(made, {"value": True}), _branch({"not": made}, {"value": False})]}
        raise _refusal(f"{node.key.upper()} may not be used")

    def condition(self, node: exp.Expr) -> Part:
        match node:
            case exp.Paren():
                return self.condition(node.this)
            case exp.And() | exp.Or():
                kind = "and" if isinstance(node, exp.And) else "or"
                return {kind: [self.condition(node.this), self.condition(node.expression)]}
            case exp.Not():
                return {"not": self.condition(node.this)}
            case exp.Is() if isinstance(node.expression, exp.Null):
                return {**self._left(node.this), "operator": "is_null"}
            case exp.Is() if isinstance(node.expression, exp.Boolean):
                wanted = bool(node.expression.this)
                known = {"function": "coalesce", "args": [self.value(node.this), {"value": not wanted}]}
                return {"expression": known, "operator": "eq", "value": wanted}
            case exp.In() if node.expressions and not node.args.get("query"):
                values = [self._constant(each) for each in node.expressions]
                return {**self._left(node.this), "operator": "in", "value": values}
            case exp.Between() if not node.args.get("symmetric"):
                ends = [self._constant(node.args["low"]), self._constant(node.args["high"])]
                return {**self._left(node.this), "operator": "between", "value": ends}
            case _ if type(node) in _COMPARISONS:
                right = self.value(node.expression)
                other = {"value": right["value"]} if "value" in right else {"other": right}
                return {**self._left(node.this), "operator": _COMPARISONS[type(node)], **other}
            case exp.Column() | exp.Anonymous() | exp.Boolean():
                return {**self._left(node), "operator": "eq", "value": True}
        raise _refusal(f"{node.key.upper()} is no condition that may be used")

    def _left(self, node: exp.Expr) -> Part:
        left = self.value(node)
        return left if "column" in left else {"expression": left}

    def _constant(self, node: exp.Expr) -> Any:
        made = self.value(node)
        if "value" not in made:
            raise _refusal("IN and BETWEEN take values")
        return made["value"]

    def _column(self, node: exp.Column) -> str:
        if node.table or not isinstance(node.this, exp.Identifier) or not 0 < len(node.name) <= MAX_COLUMN:
            raise _refusal("a column is named without its table")
        return self._name(node.name)

    def _call(self, node: exp.Anonymous) -> Part:
        name = node.name.lower()
        if name not in SCALARS:
            raise _refusal(f"the function {name[:64]!r} may not be used")
        return {"function": name, "args": [self.value(arg) for arg in node.expressions]}

    def _cast(self, node: exp.Cast) -> Part:
        wanted = _CASTS.get(node.to.this.name if isinstance(node.to.this, exp.DataType.Type) else "")
        if wanted is None or node.to.expressions or node.args.get("format"):
            raise _refusal("it casts to a type that may not be used")
        return {"cast": wanted, "args": [self.value(node.this)]}

    def _choice(self, node: exp.Case) -> Part:
        branches = []
        for each in node.args["ifs"]:
            is_short = node.this is not None
            test = exp.EQ(this=node.this.copy(), expression=each.this) if is_short else each.this
            branches.append(_branch(self.condition(test), self.value(each.args["true"])))
        default = node.args.get("default")
        return {"case": branches} | ({} if default is None else {"otherwise": self.value(default)})


def _branch(when: Part, then: Part) -> Part:
    return {"when": when, "then": then}


def _operation(operator: str, left: Part, right: Part) -> Part:
    return {"operator": operator, "args": [left, right]}


def _negative(item: Part) -> Part:
    value = item.get("value")
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return {"value": -value}
    return _operation("-", {"value": 0}, item)


def _literal(node: exp.Expr) -> str | int | float | bool | None:
    if isinstance(node, exp.Null):
        return None
    if isinstance(node, exp.Boolean):
        return bool(node.this)
    text = str(node.this)
    if isinstance(node, exp.Literal) and node.is_string:
        return text
    return int(text) if text.isdigit() and len(text) <= 18 else float(text)


def _refusal(why: str) -> Conflict:
    return Conflict(
        f"An expression cannot be used: {why}.",
        hint="Use columns, values, arithmetic, CASE, CAST, comparisons and plain functions such as coalesce.",
    )
