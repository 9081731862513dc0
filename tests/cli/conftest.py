"""The command line in this process, and servers in processes of their own."""

import gc
import json
import logging
import sys
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

import pytest
from click.testing import CliRunner
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

sys.path.insert(0, str(Path(__file__).parents[1] / "running"))  # No packages in tests.

from hall_process import Premises

from keyhall.cli import main


class Called:
    """What a command said and how it ended."""

    def __init__(self, done):
        if done.exception is not None and not isinstance(done.exception, SystemExit):
            raise done.exception
        self.status = done.exit_code
        self.output = done.stdout
        self.error = done.stderr

    @property
    def json(self):
        return json.loads(self.output)


@pytest.fixture
def call():
    """`call("doctor", "--json", environ={...})`; what a command does to the process is undone."""
    root = logging.getLogger()
    before = root.handlers, root.level, logging.raiseExceptions

    def run(*arguments, environ=None):
        given = {"NO_COLOR": "1", **(environ or {})}
        return Called(CliRunner().invoke(main, [str(each) for each in arguments], env=given))

    yield run
    gc.enable()
    root.handlers, root.level, logging.raiseExceptions = before
    logging.captureWarnings(False)


@pytest.fixture
def premises(tmp_path):
    """A folder for a server to live in."""
    return Premises(tmp_path)


@pytest.fixture
def certificate(tmp_path):
    """`certificate(days=90)` makes a self-signed pair for localhost: paths of the two files."""

    def make(days=90, passphrase=None):
        key = ec.generate_private_key(ec.SECP256R1())
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
        now = datetime.now(UTC)
        built = (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(days=365))
            .not_valid_after(now + timedelta(days=days, hours=1))
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(
                x509.SubjectAlternativeName(
                    [x509.DNSName("localhost"), x509.IPAddress(ip_address("127.0.0.1"))]
                ),
                critical=False,
            )
            .sign(key, hashes.SHA256())
        )
        encryption = (
            serialization.BestAvailableEncryption(passphrase)
            if passphrase
            else serialization.NoEncryption()
        )
        pem, form = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
        files = tmp_path / "cert.pem", tmp_path / "key.pem"
        files[0].write_bytes(built.public_bytes(pem))
        files[1].write_bytes(key.private_bytes(pem, form, encryption))
        return files

    return make
