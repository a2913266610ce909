"""The body of a call through the access layer, under a deadline and a cap.

FastAPI reads it before it asks for the key.
"""

import asyncio
from typing import Final

from starlette.exceptions import HTTPException

from shared.answers import Message, Receive

MAX_BODY_BYTES: Final = 64 * 1024
"""What the body of a call through this layer may have; none of them needs more."""


class BoundedBody:
    """``receive``, watched. Raises HTTPException: FastAPI's reading of bodies lets no other kind of error through."""

    def __init__(self, receive: Receive, seconds: float) -> None:
        self._receive = receive
        self._deadline = asyncio.get_running_loop().time() + seconds
        self._more = True
        self.bytes_read = 0

    async def receive(self) -> Message:
        """The next ASGI message."""
        if not self._more:
            return await self._receive()
        try:
            async with asyncio.timeout_at(self._deadline):
                message = await self._receive()
        except TimeoutError:
            raise HTTPException(408, headers={"Connection": "close"}) from None
        self.bytes_read += len(message.get("body", b""))
        self._more = message.get("more_body", False)
        if self.bytes_read > MAX_BODY_BYTES:
            raise HTTPException(413)
        return message
