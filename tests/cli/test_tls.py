"""Certificates are looked at before they are used, and nobody is asked for a passphrase."""

import time

import pytest

from keyhall.cli import tls
from keyhall.cli.tls import Unusable
from keyhall.config import Server


def read(cert, key):
    return tls.read(Server(tls_cert=str(cert), tls_key=str(key)))


def refusal(cert, key):
    with pytest.raises(Unusable) as caught:
        read(cert, key)
    return str(caught.value)


@pytest.mark.parametrize("days", [90, 3, -3])
def test_the_end_of_a_certificate_is_known_even_when_it_is_over(certificate, days):
    until = read(*certificate(days=days))
    assert abs(until - time.time() - days * 86_400) < 2 * 3_600


def test_without_tls_there_is_nothing_to_read():
    assert tls.read(Server()) is None


def test_a_file_that_is_not_there_is_told(certificate, tmp_path):
    cert, _ = certificate()
    missing = tmp_path / "missing.pem"
    assert refusal(cert, missing) == f"{missing} cannot be read: No such file or directory."


def test_files_that_are_no_pair_are_told(certificate, tmp_path):
    cert, key = certificate()
    other = tmp_path / "other.pem"
    other.write_bytes(cert.read_bytes())
    certificate()  # The same paths, another key.
    assert refusal(other, key) == (
        f"{other} and {key} are no certificate with its key in PEM form (key values mismatch)."
    )
    nonsense = tmp_path / "nonsense.pem"
    nonsense.write_text("nonsense")
    assert "are no certificate with its key" in refusal(nonsense, key)


def test_an_encrypted_key_is_told_instead_of_asked_for(certificate):
    cert, key = certificate(passphrase=b"open")
    assert refusal(cert, key).startswith(f"{key} is encrypted: Keyhall asks for no passphrase.")
