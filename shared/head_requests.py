"""HEAD, served as GET without its body (RFC 9110, 9.3.2): what FastAPI answers 405."""

from starlette.requests import ClientDisconnect

from shared.answers import AsgiApp, Message, Receive, Scope, Send


class _AnsweredError(OSError):
    """The head is sent, and that is all; an OSError, which whoever makes a long answer takes for a viewer that left."""


def head_as_get(app: AsgiApp) -> AsgiApp:
    """The application, asked GET for HEAD; the making of a long answer ends with its first piece."""

    async def serve(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] != "HEAD":
            await app(scope, receive, send)
            return
        asked = {**scope, "method": "GET"}
        is_answered = False

        async def send_head(message: Message) -> None:
            nonlocal is_answered
            if is_answered:
                raise _AnsweredError
            if message["type"] == "http.response.start":
                scope.update({name: asked[name] for name in ("route",) if name in asked})  # whoever counts looks there
                await send(message)
                return
            is_answered = True
            await send({"type": "http.response.body", "body": b"", "more_body": False})
            if message.get("more_body"):
                raise _AnsweredError

        try:
            await app(asked, receive, send_head)
        except (_AnsweredError, ClientDisconnect):
            if not is_answered:
                raise

    return serve
