"""Certificate authorities for tests, and what they issue."""

import datetime
import ipaddress
from pathlib import Path
from typing import NamedTuple

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

DAY = datetime.timedelta(days=1)


class Issued(NamedTuple):
    """A certificate and its key, as PEM files."""

    certificate: Path
    key: Path


class Authority:
    """Signs certificates for localhost.

    Attributes:
        certificate: its own, a PEM file.
    """

    def __init__(self, directory: Path, name: str = "authority"):
        directory.mkdir(parents=True, exist_ok=True)
        self._directory, self._name = directory, _name(name)
        self._key = ec.generate_private_key(ec.SECP256R1())
        self.certificate = directory / f"{name}.pem"
        basic = x509.BasicConstraints(ca=True, path_length=None)
        own = _builder(self._name, self._name, self._key.public_key()).add_extension(basic, True)
        _write(self.certificate, own.sign(self._key, hashes.SHA256()))

    def issue(self, name: str = "server", *, expired: bool = False) -> Issued:
        """A certificate for localhost and 127.0.0.1, for servers and clients alike."""
        key = ec.generate_private_key(ec.SECP256R1())
        issued = Issued(self._directory / f"{name}.pem", self._directory / f"{name}.key")
        age = 30 * DAY if expired else DAY
        names = x509.SubjectAlternativeName(
            [x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
        )
        builder = _builder(_name(name), self._name, key.public_key(), age).add_extension(
            names, False
        )
        _write(issued.certificate, builder.sign(self._key, hashes.SHA256()))
        issued.key.write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            )
        )
        return issued


def _name(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


def _builder(subject, issuer, public_key, age=DAY) -> x509.CertificateBuilder:
    begin = datetime.datetime.now(datetime.UTC) - age
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(public_key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(begin)
        .not_valid_after(begin + 10 * DAY)
    )


def _write(path: Path, certificate: x509.Certificate) -> None:
    path.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
