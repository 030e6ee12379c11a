"""Where a command may run: `host-a`, or terms over labels and facts such as `zone=a and cores>=4`.

Invariant: an expression that parses can be judged for any worker, and a refusal says which term failed and why.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

TOKEN = re.compile(r"\s*(?:(?P<operator>!=|>=|<=|=|>|<)|(?P<word>[^\s=!<>]+)|(?P<stray>\S))")
ORDERINGS: dict[str, Callable[[float, float], bool]] = {
    ">=": lambda held, wanted: held >= wanted,
    "<=": lambda held, wanted: held <= wanted,
    ">": lambda held, wanted: held > wanted,
    "<": lambda held, wanted: held < wanted,
}


class ExpressionError(ValueError):
    """The expression cannot be read; `position` counts characters from 1."""

    def __init__(self, position: int, message: str) -> None:
        self.position = position
        super().__init__(f"at position {position}: {message}")


@dataclass(frozen=True)
class Term:
    """One comparison of a label, a fact or `name` with a value."""

    key: str
    operator: str
    value: str

    def __str__(self) -> str:
        return f"{self.key}{self.operator}{self.value}"

    def refusal(self, attributes: Mapping[str, Any]) -> str:
        """Why a worker with these attributes does not fit; empty where it does."""
        held = attributes.get(self.key)
        if self.operator == "=":
            return "" if _text(held) == self.value else self._unlike(held)
        if self.operator == "!=":
            return self._unlike(held) if _text(held) == self.value else ""
        number = _number(held)
        if number is None:
            return self._unlike(held)
        return "" if ORDERINGS[self.operator](number, float(self.value)) else self._unlike(held)

    def _unlike(self, held: Any) -> str:
        if held is None:
            return f"has no {self.key}, {self} is wanted"
        return f"its {self.key} is {_text(held)}, {self} is wanted"


@dataclass(frozen=True)
class Expression:
    """Terms of which all must hold; none at all fits every worker."""

    terms: tuple[Term, ...]

    def refusal(self, attributes: Mapping[str, Any]) -> str:
        """The first failing term's reason; empty where the worker fits."""
        return next(filter(None, (term.refusal(attributes) for term in self.terms)), "")


@dataclass(frozen=True)
class _Token:
    text: str
    position: int
    is_operator: bool


def parse(text: str) -> Expression:
    """Reads a worker's name, or terms joined by `and`. Raises ExpressionError."""
    tokens = _tokens(text)
    if len(tokens) == 1 and not tokens[0].is_operator:
        return Expression((Term("name", "=", tokens[0].text),))
    terms: list[Term] = []
    while tokens:
        terms.append(_take_term(tokens, len(text)))
        if tokens:
            _take_and(tokens, len(text))
    return Expression(tuple(terms))


def _tokens(text: str) -> list[_Token]:
    found = []
    for match in TOKEN.finditer(text.rstrip()):
        kind = match.lastgroup or ""
        if kind == "stray":
            raise ExpressionError(match.start(kind) + 1, f"{match[kind]!r} is not expected here")
        found.append(_Token(match[kind], match.start(kind) + 1, kind == "operator"))
    return found


def _take_term(tokens: list[_Token], length: int) -> Term:
    key = _take(tokens, length, False, "the name of a label or fact")
    operator = _take(tokens, length, True, f"one of = != >= <= > < after {key.text!r}")
    value = _take(tokens, length, False, f"a value after {operator.text!r}")
    if operator.text in ORDERINGS and _number(value.text) is None:
        raise ExpressionError(value.position, f"{value.text!r} is not a number, {operator.text!r} compares numbers")
    return Term(key.text, operator.text, value.text)


def _take_and(tokens: list[_Token], length: int) -> None:
    joint = _take(tokens, length, False, "`and`")
    if joint.text != "and":
        raise ExpressionError(joint.position, f"`and` is expected, not {joint.text!r}")
    if not tokens:
        raise ExpressionError(length + 1, "a term is expected after `and`")


def _take(tokens: list[_Token], length: int, operator: bool, expected: str) -> _Token:
    if not tokens:
        raise ExpressionError(length + 1, f"{expected} is expected")
    token = tokens.pop(0)
    if token.is_operator is not operator:
        raise ExpressionError(token.position, f"{expected} is expected, not {token.text!r}")
    return token


def _text(value: Any) -> str | None:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return None if value is None else str(value)


def _number(value: Any) -> float | None:
    if isinstance(value, bool) or value is None:
        return None
    try:
        number = float(value)
    except (TypeError, ValueError):
        return None
    return number if number == number else None
