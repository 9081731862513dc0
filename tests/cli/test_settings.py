"""`keyhall config list`: every setting, its value and where it came from."""

import pytest

from keyhall.config import SECTIONS


@pytest.fixture(autouse=True)
def nothing_is_set(monkeypatch):
    monkeypatch.delenv("KEYHALL_MODELS_HOUSE")  # It is off for all tests.


def test_every_setting_is_listed_with_its_meaning(call, tmp_path):
    found = call("config", "list", "--data", tmp_path, "--json").json
    assert found["data"] == str(tmp_path)
    assert [(row["section"], row["name"]) for row in found["settings"]] == [
        (section, name) for section, kind in SECTIONS.items() for name in kind.__struct_fields__
    ]
    for row in found["settings"]:
        assert row["source"] == "default"
        assert row["meaning"].endswith(".")
        assert row["variable"] == f"KEYHALL_{row['section']}_{row['name']}".upper()


def test_where_a_value_came_from_is_told(call, tmp_path):
    config = tmp_path / "keyhall.toml"
    config.write_text(
        "[server]\nport = 9000\ngrace_seconds = 30\n"
        "[tiers.course]\nlimits = { requests_per_minute = 30 }\n"
    )
    environ = {"KEYHALL_LOG_LEVEL": "debug"}
    where = ("--config", config, "--data", tmp_path)
    rows = call("config", "list", *where, "--json", environ=environ).json["settings"]
    said = {
        f"{row['section']}.{row['name']}": (row["value"], row["source"])
        for row in rows
        if row["source"] != "default"
    }
    assert said == {
        "server.port": (9000, "file"),
        "server.grace_seconds": (30, "file"),  # Given, if only as it would be anyway.
        "log.level": ("debug", "environment"),
    }
    text = call("config", "list", *where, environ=environ).output
    assert "server.port" in text
    assert "Tier course: 30 RPM" in text


def test_i4_a_key_is_never_shown(call, tmp_path):
    environ = {"KEYHALL_UPSTREAM_API_KEY": "sk-secret"}
    for more in ((), ("--json",)):
        done = call("config", "list", "--data", tmp_path, *more, environ=environ)
        assert "sk-secret" not in done.output
        assert "[secret]" in done.output


def test_all_mistakes_are_told_and_the_status_is_1(call, tmp_path):
    config = tmp_path / "keyhall.toml"
    config.write_text("[sever]\n[server]\nprot = 1\n")
    done = call("config", "list", "--config", config)
    assert done.status == 1
    assert done.error == (
        "Error: [sever] is not a section; did you mean server?\n"
        "[server] has no setting 'prot'; did you mean port?\n"
    )
