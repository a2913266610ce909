"""A path convertor that takes every character, line breaks too: event ids may hold any but NUL.

Starlette's own ``path`` stops at a line break, for ``.`` does.
"""

from starlette.convertors import Convertor, register_url_convertor


class AnyConvertor(Convertor[str]):
    """Everything that is left of the path."""

    regex = "(?s:.*)"

    def convert(self, value: str) -> str:
        return value

    def to_string(self, value: str) -> str:
        return value


def register_any_path() -> None:
    """Make ``{name:any}`` known to Starlette, process-wide; again is harmless."""
    register_url_convertor("any", AnyConvertor())
