"""Values of a statement that is put together from pieces: every one is bound, none becomes text of the statement."""

from psycopg import sql


class Bindings:
    """Values by the names of their placeholders."""

    def __init__(self) -> None:
        self.values: dict[str, object] = {}

    def bind(self, value: object) -> sql.Placeholder:
        """A placeholder that stands for the value."""
        name = f"bound_{len(self.values)}"
        self.values[name] = value
        return sql.Placeholder(name)
