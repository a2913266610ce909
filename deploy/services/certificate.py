"""The certificate that the HTTP services serve TLS with."""

import ssl
from pathlib import Path

from shared.errors import SettingsError


def check_certificate(certificate: Path | None, key: Path | None) -> None:
    """Raises SettingsError, which names the setting and the file, unless both serve together, or none is set."""
    if certificate is None and key is None:
        return
    if certificate is None or key is None:
        missing = "WEIR_TLS_KEY" if key is None else "WEIR_TLS_CERTIFICATE"
        raise SettingsError(
            f"{missing} is not set, and TLS needs a certificate and its key: set both", variable=missing
        )
    try:
        # A key with a passphrase is refused, not asked for: nobody sits at a service's terminal.
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(certificate, key, password=lambda: "")
    except (OSError, ValueError) as error:  # ssl.SSLError is an OSError
        raise SettingsError(
            f"WEIR_TLS_CERTIFICATE {certificate} and WEIR_TLS_KEY {key} cannot be used: {error}; they are to be PEM "
            "files that this user may read, the key without a passphrase and that of the certificate",
            variable="WEIR_TLS_CERTIFICATE",
        ) from None


def trust_of_own(certificate: Path) -> ssl.SSLContext:
    """For a caller on this machine: believes this certificate itself, whatever its name and whoever signed it."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    context.load_verify_locations(certificate)
    return context
