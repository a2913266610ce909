"""What of a payload can be counted apart, grouped by, or calculated with, as SQL.

A *simple* value is a string, a boolean, or a number that is not beyond 1e100. Equal is what JSON calls equal: 5 and 5.0
are one value, 5 and "5" are two. jsonb keeps numbers that no double holds and no text should show: those beyond 1e100
are left out, and digits behind the hundredth place are rounded away.
"""

from typing import Final, LiteralString

from psycopg import sql

MAX_GROUP_CHARACTERS: Final = 256

_NUMBER: Final[LiteralString] = (
    "CASE WHEN jsonb_typeof({0}) = 'number' THEN "
    "CASE WHEN abs(({0})::numeric) <= 1e100 THEN trim_scale(round(({0})::numeric, 100)) END END"
)
_SIMPLE: Final[LiteralString] = (
    "CASE jsonb_typeof({0}) WHEN 'string' THEN ({0})::text WHEN 'boolean' THEN ({0})::text "
    "WHEN 'number' THEN (" + _NUMBER + ')::text END COLLATE "C"'
)
_GROUP: Final[LiteralString] = (
    "coalesce(CASE jsonb_typeof({0}) WHEN 'string' THEN to_jsonb(left({0} #>> '{{}}', 256)) WHEN 'boolean' THEN {0} "
    "WHEN 'number' THEN to_jsonb(" + _NUMBER + ") END, 'null'::jsonb)"
)


def number_sql(value: sql.Composable) -> sql.Composable:
    """A jsonb expression as numeric; NULL where it is no number, or out of bounds."""
    return sql.SQL(_NUMBER).format(value)


def simple_sql(value: sql.Composable) -> sql.Composable:
    """A jsonb expression as its JSON text if it is simple, else NULL. Equal values have equal texts."""
    return sql.SQL(_SIMPLE).format(value)


def group_sql(value: sql.Composable) -> sql.Composable:
    """A jsonb expression as a group's name: of long strings the beginning, JSON's null for what is not simple."""
    return sql.SQL(_GROUP).format(value)


def is_left_out_sql(value: sql.Composable, used: sql.Composable) -> sql.Composable:
    """Whether something other than null is there, and is not used."""
    return sql.SQL("(coalesce(jsonb_typeof({}), 'null') <> 'null' AND ({}) IS NULL)").format(value, used)
