"""``python -m deploy``: the same as ``weir``; how the supervisor starts the services."""

from deploy.cli import main

main()
