"""Text in the order of code points, as SQLite and Python sort it, whatever the server's locale."""

from __future__ import annotations

from typing import Any

from sqlalchemy import String
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement


class by_code_point(FunctionElement[Any]):  # noqa: N801 - reads as a function, like `func.lower`
    """A column to sort by; one that holds no text stays as it is."""

    inherit_cache = True


@compiles(by_code_point)
def _plainly(element: by_code_point, compiler: SQLCompiler, **kwargs: Any) -> str:
    return compiler.process(element.clauses, **kwargs)


@compiles(by_code_point, "postgresql")
def _with_collation(element: by_code_point, compiler: SQLCompiler, **kwargs: Any) -> str:
    (column,) = element.clauses
    text = compiler.process(column, **kwargs)
    return f'{text} COLLATE "C"' if isinstance(_plain(column.type), String) else text


def _plain(declared: Any) -> Any:
    return getattr(declared, "impl_instance", declared)
