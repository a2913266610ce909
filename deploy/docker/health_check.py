"""Exits with 0 if HEALTH_URL answers with a success: the container's health check.

With TLS it trusts the very certificate that the part was given (WEIR_TLS_CERTIFICATE), whoever has signed it and
whatever name it is for: this is the same machine, and a private CA need not be known here. Reads the environment
itself and imports nothing of Weir, as it starts anew every few seconds.
"""

import os
import ssl
import sys
import urllib.request

SECONDS = 3


def main() -> None:
    """Ask once."""
    context = None
    certificate = os.environ.get("WEIR_TLS_CERTIFICATE")
    if certificate:
        context = ssl.create_default_context(cafile=certificate)
        context.check_hostname = False
        # A certificate that another has signed is trusted for itself, without its issuer.
        context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    url = os.environ["HEALTH_URL"]
    try:
        urllib.request.urlopen(url, timeout=SECONDS, context=context).close()  # noqa: S310  # the operator's own
    except OSError as error:
        sys.exit(f"{url}: {error}")


if __name__ == "__main__":
    main()
