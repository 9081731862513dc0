"""The operator's rules, as the settings give them."""

import pytest

from keyhall.config import ConfigError, Filter, parse
from keyhall.flows.filters import operators
from keyhall.flows.filters.operators import FilterUnfit, rules_of
from keyhall.policy.filters import built_in


def test_without_settings_there_is_no_rule():
    assert rules_of(Filter()) == ()


def test_every_setting_makes_its_rule(tmp_path):
    path = tmp_path / "My Terms!.txt"
    path.write_text("# a remark\nbad dog  # so\n\nbad dog\nevil*\n")
    given = parse(
        f"""
        [filter]
        characters_max = 9
        signs = "mask"
        secrets = "flag"
        email = "mask"
        terms = ["{path}"]
        terms_action = "block"
        model = "guard"
        model_action = "block"
        model_fail = "open"
        model_seconds = 1.5
        """,
        {"KEYHALL_FILTER_PHONE": "allow"},
        tmp_path,
        {},
    )
    found = {rule.id: rule for rule in rules_of(given.filter)}
    assert found.keys() == {
        "size", "signs", "terms/my-terms", "model", "personal/email", "personal/phone",
        *(rule.id for rule in built_in.SECRETS),
    }  # fmt: skip
    assert found["terms/my-terms"].terms == ("bad dog", "evil*")
    assert found["personal/phone"].action == "allow"
    assert found["secrets/aws-key-id"].action == "flag"
    assert (found["model"].fail, found["model"].seconds) == ("open", 1.5)
    assert found["size"].characters == 9


def test_a_setting_is_one_of_the_actions(tmp_path):
    with pytest.raises(ConfigError, match="expected one of off, allow, flag, mask, block"):
        parse('[filter]\nemail = "hide"\n', {}, tmp_path, {})


def test_what_cannot_be_used_is_said(tmp_path, monkeypatch):
    latin = tmp_path / "latin.txt"
    latin.write_bytes(b"caf\xe9")
    empty = tmp_path / "empty.txt"
    empty.write_text("*\n")
    long = tmp_path / "long.txt"
    long.write_text("one\ntwo\nthree\n")
    for path, says in (
        (tmp_path / "none.txt", "cannot be read: No such file"),
        (latin, "is not UTF-8 text"),
        (empty, "has nothing that could be found"),
    ):
        with pytest.raises(FilterUnfit, match=says):
            rules_of(Filter(terms=[str(path)]))
    monkeypatch.setattr(operators, "TERMS_MAX", 2)
    with pytest.raises(FilterUnfit, match="more than 2 terms"):
        rules_of(Filter(terms=[str(long)]))
    monkeypatch.setattr(operators, "FILE_BYTES_MAX", 2)
    with pytest.raises(FilterUnfit, match="more than 2 bytes"):
        rules_of(Filter(terms=[str(long)]))
