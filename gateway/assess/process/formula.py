"""Formulas of published models as text: parsed, checked and evaluated without running any code of theirs.

The notation is the one of predictive microbiology: ``^`` is power, ``log`` and ``ln`` the natural logarithm,
``log10`` the decimal one; numbers, named constants, named variables, + - * / and parentheses.
"""

import ast
import math
from collections.abc import Callable, Collection, Mapping

__all__ = ["Formula", "FormulaError"]

LONGEST = 2000
DEEPEST = 100

_FUNCTIONS: dict[str, tuple[Callable[..., float], int]] = {
    "exp": (math.exp, 1),
    "log": (math.log, 1),
    "ln": (math.log, 1),
    "log10": (math.log10, 1),
    "sqrt": (math.sqrt, 1),
    "abs": (abs, 1),
    "min": (min, 2),
    "max": (max, 2),
}
_OPERATORS: dict[type[ast.operator], Callable[[float, float], float]] = {
    ast.Add: lambda a, b: a + b,
    ast.Sub: lambda a, b: a - b,
    ast.Mult: lambda a, b: a * b,
    ast.Div: lambda a, b: a / b,
    ast.Pow: lambda a, b: a**b,
}

Values = Mapping[str, float]
Term = Callable[[Values], float]


class FormulaError(ValueError):
    """The text is not a formula; the message says what about it."""


class Formula:
    """One formula. ``names`` are the variables that it needs besides its constants. Raises `FormulaError`."""

    def __init__(self, text: str, constants: Mapping[str, float] | None = None) -> None:
        self.text = text
        if len(text) > LONGEST:
            raise FormulaError(f"is longer than {LONGEST} characters")
        self._constants = dict(constants or {})
        self._names: set[str] = set()
        try:
            tree = ast.parse(text.replace("^", "**").strip(), mode="eval")
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            raise FormulaError(f"{text!r} is not a formula") from None
        self._term = self._build(tree.body, 0)

    @property
    def names(self) -> Collection[str]:
        """Variables in it."""
        return frozenset(self._names)

    def __call__(self, values: Values) -> float | None:
        """The value; None where the formula has no real, finite one."""
        try:
            value = self._term(values)
        except (ArithmeticError, ValueError, TypeError):
            return None
        return value if isinstance(value, float | int) and math.isfinite(value) else None

    def _build(self, node: ast.expr, depth: int) -> Term:
        if depth > DEEPEST:
            raise FormulaError("is nested too deeply")
        if (
            isinstance(node, ast.Constant)
            and isinstance(node.value, (int, float))
            and not isinstance(node.value, bool)
        ):
            number = float(node.value)
            return lambda _: number
        if isinstance(node, ast.Name):
            return self._name(node.id)
        if isinstance(node, ast.UnaryOp) and isinstance(node.op, (ast.USub, ast.UAdd)):
            inner = self._build(node.operand, depth + 1)
            return (lambda values: -inner(values)) if isinstance(node.op, ast.USub) else inner
        if isinstance(node, ast.BinOp) and type(node.op) in _OPERATORS:
            operator = _OPERATORS[type(node.op)]
            left, right = self._build(node.left, depth + 1), self._build(node.right, depth + 1)
            return lambda values: operator(left(values), right(values))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and not node.keywords:
            return self._call(node.func.id, node.args, depth)
        raise FormulaError(f"{ast.unparse(node)!r} is not arithmetic")

    def _name(self, name: str) -> Term:
        if name in self._constants:
            number = self._constants[name]
            return lambda _: number
        if name == "pi":
            return lambda _: math.pi
        self._names.add(name)
        return lambda values: values[name]

    def _call(self, name: str, arguments: list[ast.expr], depth: int) -> Term:
        if name not in _FUNCTIONS:
            raise FormulaError(f"{name!r} is not a function; there are {', '.join(_FUNCTIONS)}")
        function, count = _FUNCTIONS[name]
        if len(arguments) != count:
            raise FormulaError(f"{name} takes {count} value(s)")
        terms = [self._build(argument, depth + 1) for argument in arguments]
        if count == 1:
            (only,) = terms
            return lambda values: function(only(values))
        first, second = terms
        return lambda values: function(first(values), second(values))
