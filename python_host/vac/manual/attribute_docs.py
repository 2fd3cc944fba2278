"""Docstrings under attributes: the string that follows an assignment in a class or module body."""

from __future__ import annotations

import ast
import inspect
from itertools import pairwise
from types import ModuleType


def attribute_docs(owner: type | ModuleType) -> dict[str, str]:
    """Name to docstring, in source order, of every attribute that has one; whitespace runs become single spaces."""
    tree = ast.parse(inspect.getsource(owner))
    body = tree.body
    if isinstance(owner, type):
        definition = body[0]
        assert isinstance(definition, ast.ClassDef)
        body = definition.body
    docs: dict[str, str] = {}
    for statement, following in pairwise(body):
        target = None
        if isinstance(statement, ast.Assign):
            target = statement.targets[0]
        elif isinstance(statement, ast.AnnAssign):
            target = statement.target
        if (
            isinstance(target, ast.Name)
            and isinstance(following, ast.Expr)
            and isinstance(following.value, ast.Constant)
            and isinstance(following.value.value, str)
        ):
            docs[target.id] = " ".join(following.value.value.split())
    return docs


def assignments(module: ModuleType) -> list[str]:
    """Public names that a module's body assigns, in source order."""
    names: list[str] = []
    for statement in ast.parse(inspect.getsource(module)).body:
        target = statement.targets[0] if isinstance(statement, ast.Assign) else getattr(statement, "target", None)
        if isinstance(target, ast.Name) and not target.id.startswith("_"):
            names.append(target.id)
    return names
