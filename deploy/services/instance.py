"""What every service process does first: it takes a name and sets up its logs."""

import os
import secrets
import socket

from shared.logs import configure_logs
from shared.settings import Settings


def begin(settings: Settings, service: str) -> str:
    """Set up logs; returns the instance's name: WEIR_INSTANCE_NAME, or host, process and a random part."""
    name = settings.instance_name or f"{socket.gethostname()[:40]}-{os.getpid()}-{secrets.token_hex(2)}"
    level = "debug" if settings.debug else settings.log_level
    configure_logs(level=level, form=settings.log_format, service=service, instance=name)
    return name
