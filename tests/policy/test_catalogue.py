"""A version's record is what an answer depends on; names lead to it, days retire it."""

from dataclasses import fields, replace
from typing import Any

import pytest

from keyhall.policy.catalogue import (
    ENGINE_COUNTS,
    LATER,
    SETTINGS,
    Catalogue,
    Price,
    Sampling,
    Version,
    needing,
    shutdown_date,
    status_at,
    unserved,
)

NOON_US = 1_809_172_800_000_000  # 2027-05-01 12:00 UTC

VERSION = Version(
    number=1, name="v1-sandbox-1", engine="sandbox", engine_model="sandbox", created_at_us=0
)


def test_r8_a_name_and_an_alias_lead_to_the_same_record() -> None:
    catalogue = Catalogue({VERSION.name: VERSION}, {"v1": VERSION.name})
    assert catalogue.find("v1") is VERSION
    assert catalogue.find(VERSION.name) is VERSION
    assert catalogue.find("v2") is None


def test_r8_what_becomes_of_a_client_that_leaves_is_told_only_where_it_is_not_the_usual() -> None:
    """Fingerprints of versions that were there before must not change."""
    assert VERSION.fingerprint == "fp_7157a5678b"
    assert not VERSION.drains
    drains = replace(VERSION, on_disconnect="drain", fingerprint="")
    assert drains.drains
    assert drains.fingerprint != VERSION.fingerprint


@pytest.mark.parametrize(
    ("sampling", "fingerprint"),
    [
        (Sampling(), "fp_7157a5678b"),
        (Sampling(0.7, 1.0), "fp_0ebf2934a9"),
        (Sampling(0.7, 1.0, 0.3, 0.2), "fp_12477ca5d8"),
    ],
)
def test_r8_records_without_the_later_settings_keep_their_fingerprints(
    sampling: Sampling, fingerprint: str
) -> None:
    """They are what releases that did not know these settings have given out."""
    assert replace(VERSION, sampling=sampling, fingerprint="").fingerprint == fingerprint


def sampling(**settings: Any) -> Sampling:
    return Sampling(**settings)


def test_r8_each_setting_and_each_value_has_a_fingerprint_of_its_own() -> None:
    given = [sampling(**{name: value}) for name in SETTINGS for value in (1, 2)]
    found = {replace(VERSION, sampling=each, fingerprint="").fingerprint for each in given}
    assert len(found) == len(given)


def test_every_setting_is_told_in_its_order() -> None:
    full = sampling(**{name: at for at, name in enumerate(SETTINGS, 1)})
    assert list(full.said()) == list(SETTINGS) == [each.name for each in fields(Sampling)]
    assert list(full.later()) == list(LATER)
    assert Sampling(temperature=0).said() == {"temperature": 0}


def test_every_tokenizer_that_some_version_names_is_known_beforehand() -> None:
    other = replace(VERSION, name="old-1", tokenizer="cl100k_base")
    counted = replace(VERSION, name="tiny-1", tokenizer=ENGINE_COUNTS)  # by the engine itself
    versions = {each.name: each for each in (VERSION, other, counted)}
    assert Catalogue(versions, {}).tokenizers() == {"o200k_base", "cl100k_base"}


@pytest.mark.parametrize(
    "change",
    [
        {"engine_model": "another"},
        {"sampling": Sampling(frequency_penalty=0.3)},
        {"max_output_tokens": 2048},
        {"tokenizer": "cl100k_base"},
    ],
)
def test_r8_whatever_changes_an_answer_changes_the_fingerprint(change: dict[str, object]) -> None:
    changed = replace(VERSION, fingerprint="", **change)
    assert changed.fingerprint != VERSION.fingerprint
    assert changed.fingerprint.startswith("fp_")


def test_r8_price_and_status_do_not_change_the_fingerprint() -> None:
    changed = replace(VERSION, fingerprint="", price=Price(1, 2), status="deprecated")
    assert changed.fingerprint == VERSION.fingerprint


def test_a_version_retires_at_its_hour_and_not_before() -> None:
    version = replace(VERSION, status="deprecated", retires_at_us=NOON_US)
    assert status_at(version, NOON_US - 1) == "deprecated"
    assert status_at(version, NOON_US) == "retired"
    assert status_at(VERSION, NOON_US) == "active"


def test_versions_whose_engine_is_not_there_are_found_unless_they_are_retired() -> None:
    versions = [
        replace(VERSION, name="here", engine="a"),
        replace(VERSION, name="lost", engine="b"),
        replace(VERSION, name="ends", engine="b", status="deprecated", retires_at_us=NOON_US),
    ]
    catalogue = Catalogue({version.name: version for version in versions}, {})
    assert unserved(catalogue, {"a"}, NOON_US - 1) == {"b": versions[1:]}
    assert unserved(catalogue, {"a"}, NOON_US) == {"b": [versions[1]]}
    assert unserved(catalogue, {"a", "b"}, NOON_US) == {}
    assert needing(catalogue, "b", NOON_US - 1) == versions[1:]
    assert needing(catalogue, "b", NOON_US) == [versions[1]]
    assert needing(catalogue, "c", NOON_US) == []


def test_the_day_of_the_shutdown_is_told_in_utc() -> None:
    assert shutdown_date(replace(VERSION, retires_at_us=NOON_US)) == "2027-05-01"
    assert shutdown_date(VERSION) is None


def test_an_alias_names_who_answers_instead_and_a_version_nobody() -> None:
    other = replace(VERSION, name="other-1", fingerprint="")
    there = {VERSION.name: VERSION, other.name: other}
    catalogue = Catalogue(there, {"v1": VERSION.name}, fallbacks={"v1": (other.name,)})
    assert list(catalogue.instead("v1")) == [other]
    assert list(catalogue.instead(VERSION.name)) == []
