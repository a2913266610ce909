"""The composition root and all that operators own: CLI, embedded servers, migrations, containers."""
