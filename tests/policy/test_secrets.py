"""A secret shows itself only when asked by name (I-4)."""

import base64
import copy
import json
import pickle
import traceback
from dataclasses import asdict, dataclass

import msgspec
import pytest

from keyhall.policy.secrets import MASK, Secret, encode_hook, signing_key

TEXT = "sk-kh_live_not-to-be-seen"


@dataclass(frozen=True)
class Holder:
    key: Secret


def test_every_accidental_way_to_text_gives_the_mask() -> None:
    secret = Secret(TEXT)
    shown = [
        str(secret),
        repr(secret),
        f"{secret}",
        f"{secret:>40}",
        f"{secret!r}",
        "%s" % secret,  # noqa: UP031
        repr(Holder(secret)),
        repr([secret]),
        msgspec.json.encode({"key": secret}, enc_hook=encode_hook).decode(),
        json.dumps({"key": secret}, default=str),
        str(secret.__getstate__()),
        pickle.dumps(secret).decode("latin-1"),
    ]
    assert not any(TEXT in text for text in shown)
    assert str(secret) == MASK
    assert f"{secret:>10}" == MASK.rjust(10)


def test_json_without_the_hook_refuses_a_secret() -> None:
    with pytest.raises(TypeError):
        msgspec.json.encode(Secret(TEXT))
    with pytest.raises(TypeError):
        json.dumps(Secret(TEXT))


def test_the_hook_masks_secrets_only() -> None:
    with pytest.raises(NotImplementedError, match="object"):
        encode_hook(object())


def test_a_pickled_secret_is_lost_and_a_copied_one_is_not() -> None:
    secret = Secret(TEXT)
    assert pickle.loads(pickle.dumps(secret)).reveal() == MASK
    assert copy.copy(secret).reveal() == TEXT
    assert asdict(Holder(secret))["key"].reveal() == TEXT


def test_secrets_compare_by_text_and_have_no_hash() -> None:
    assert Secret(TEXT) == Secret(TEXT)
    assert Secret(TEXT) != Secret("other")
    assert Secret(TEXT) != TEXT
    with pytest.raises(TypeError):
        hash(Secret(TEXT))


def test_a_traceback_does_not_show_a_secret() -> None:
    def fail(secret: Secret) -> None:
        raise ValueError(secret)

    with pytest.raises(ValueError, match="secret") as caught:
        fail(Secret(TEXT))
    shown = traceback.TracebackException.from_exception(caught.value, capture_locals=True)
    assert TEXT not in "".join(shown.format())


def test_a_signing_key_is_24_to_64_bytes_in_base64_behind_its_prefix() -> None:
    for size, is_key in ((0, False), (23, False), (24, True), (64, True), (65, False)):
        text = "whsec_" + base64.b64encode(b"k" * size).decode()
        assert signing_key(text) == (b"k" * size if is_key else None)
    for text in ("", "whsec_", "whsec_%%%", "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaS", "x" * 40,
                 "whsec_ü" + "k" * 39):  # fmt: skip
        assert signing_key(text) is None
