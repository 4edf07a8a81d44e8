"""What the code and the templates ask of the catalogue, found by reading them."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from jinja2 import Environment, nodes

import istmo
from istmo import errors

SOURCE = Path(istmo.__file__).parent
KEY = re.compile(r"^[a-z][a-z0-9_]*(\.[A-Za-z0-9_+:\-]+)+$")
ERRORS = {name for name, one in vars(errors).items() if isinstance(one, type) and issubclass(one, Exception)}
ASKING = {"text", "t", "tell", "say"}


@dataclass
class Asked:
    """Keys asked for by name, with the first place; key prefixes built at run time; every literal."""

    keys: dict[str, str] = field(default_factory=dict)
    codes: dict[str, str] = field(default_factory=dict)
    reasons: dict[str, str] = field(default_factory=dict)
    prefixes: set[str] = field(default_factory=set)
    literals: set[str] = field(default_factory=set)

    def uses(self, key: str) -> bool:
        if key in self.literals or key in self.keys:
            return True
        if key.endswith(".remedy") and not key.startswith("error."):
            return self.uses(key.removesuffix(".remedy"))
        if key.startswith("error."):
            return key.removeprefix("error.").removesuffix(".remedy") in self.literals
        if key.startswith("policy."):
            return key.removeprefix("policy.") in self.literals
        return any(key.startswith(prefix) for prefix in self.prefixes)


def scan() -> Asked:
    """Read every module and template of the package."""
    asked = Asked()
    for path in sorted(SOURCE.rglob("*.py")):
        where = str(path.relative_to(SOURCE))
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            _python(node, where, asked)
    environment = Environment(extensions=["jinja2.ext.do"])
    for path in sorted(SOURCE.rglob("*.html")):
        where = str(path.relative_to(SOURCE))
        for one in _walk(environment.parse(path.read_text("utf-8"))):
            _template(one, where, asked)
    return asked


def _python(node: ast.AST, where: str, asked: Asked) -> None:
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        _literal(node.value, asked)
    elif isinstance(node, ast.JoinedStr):
        first = node.values[0] if node.values else None
        if isinstance(first, ast.Constant):
            _prefix(str(first.value), asked)
    elif isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add) and isinstance(node.left, ast.Constant):
        _prefix(str(node.left.value), asked)
    elif isinstance(node, ast.Call):
        name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
        texts = [
            one.value for one in node.args[:2] if isinstance(one, ast.Constant) and isinstance(one.value, str)
        ]
        place = f"{where}:{node.lineno}"
        for keyword in node.keywords:
            if keyword.arg == "help" and isinstance(keyword.value, ast.Constant):
                asked.keys.setdefault(str(keyword.value.value), place)
        if name in ERRORS and texts:
            asked.codes.setdefault(texts[0], place)
        elif name == "Reason" and texts:
            asked.reasons.setdefault(texts[0], place)
        elif name in ASKING:
            for text in texts:
                if KEY.match(text):
                    asked.keys.setdefault(text, place)


def _template(node: nodes.Node, where: str, asked: Asked) -> None:
    if isinstance(node, nodes.Const) and isinstance(node.value, str):
        _literal(node.value, asked)
    elif isinstance(node, nodes.Concat) and isinstance(node.nodes[0], nodes.Const):
        _prefix(str(node.nodes[0].value), asked)
    elif isinstance(node, nodes.Call) and isinstance(node.node, nodes.Name) and node.node.name in ASKING:
        first = node.args[0] if node.args else None
        if isinstance(first, nodes.Const):
            asked.keys.setdefault(str(first.value), f"{where}:{node.lineno}")


def _literal(text: str, asked: Asked) -> None:
    if len(text) < 200:
        asked.literals.add(text)


def _prefix(text: str, asked: Asked) -> None:
    """A key put together at run time counts only with a whole first part: ``case.status.``"""
    if text.count(".") >= 2 and text.endswith(".") and text not in ("error.", "policy."):
        asked.prefixes.add(text)


def _walk(node: nodes.Node) -> Iterator[nodes.Node]:
    yield node
    for child in node.iter_child_nodes():
        yield from _walk(child)
