"""Settings: from a file, the environment and the command line to one value, or to every mistake."""

from pathlib import Path

import pytest

from keyhall import config
from keyhall.config import Config, ConfigError, Server
from keyhall.policy.limits import Limits
from keyhall.policy.tiers import Tier

DATA = Path("/data")


def parse(text="", environ=None, **overrides):
    return config.parse(text, environ or {}, DATA, overrides)


def mistakes(text="", environ=None, **overrides):
    with pytest.raises(ConfigError) as caught:
        parse(text, environ, **overrides)
    return str(caught.value).split("\n")


def test_without_a_file_or_a_variable_everything_has_a_default():
    assert parse() == Config(data=DATA)
    assert parse().sources == {}


def test_the_environment_wins_over_the_file_and_an_option_over_both():
    text = '[server]\nport = 1\nhost = "::1"\ngrace_seconds = 5\n'
    environ = {"KEYHALL_SERVER_PORT": "2", "KEYHALL_SERVER_GRACE_SECONDS": "7"}
    found = parse(text, environ, server={"port": 3, "host": None})
    assert (found.server.host, found.server.port, found.server.grace_seconds) == ("::1", 3, 7)
    assert found.sources == {
        ("server", "host"): "file",
        ("server", "port"): "option",
        ("server", "grace_seconds"): "environment",
    }


def test_every_setting_can_be_given_in_the_environment():
    values = {
        "KEYHALL_SERVER_TRUSTED_PROXIES": "10.0.0.0/8, ::1",
        "KEYHALL_LOG_LEVEL": "debug",
        "KEYHALL_SANDBOX_TOKENS_PER_SECOND": "0",
        "KEYHALL_UPSTREAM_IDLE_SECONDS": "1.5",
    }
    found = parse("", values)
    assert found.server.trusted_proxies == ["10.0.0.0/8", "::1"]
    assert (found.log.level, found.sandbox.tokens_per_second) == ("debug", 0)
    assert found.upstream.idle_seconds == 1.5
    assert set(values) < set(config.variables())
    assert len(config.variables()) == sum(
        len(kind.__struct_fields__) for kind in config.SECTIONS.values()
    )


@pytest.mark.parametrize("seconds", [0, 0.019, 1.01, -1])
def test_redis_is_waited_for_neither_too_shortly_nor_too_long(seconds):
    (said,) = mistakes(f"[redis]\nreply_seconds = {seconds}\n")
    assert "reply_seconds" in said
    assert parse("").redis.reply_seconds == 0.05


def test_places_in_a_text_are_filled_from_the_environment():
    text = '[upstream]\napi_key = "${VLLM_KEY}"\nbase_url = "http://${HOST}:8000/v1"\n'
    found = parse(text, {"VLLM_KEY": "sk-1", "HOST": "10.0.0.5"})
    assert found.upstream_key.reveal() == "sk-1"
    assert found.upstream_url == "http://10.0.0.5:8000/v1"


def test_places_in_lists_are_filled_and_in_the_environment_they_are_not():
    text = '[server]\ntrusted_proxies = ["${PROXY}"]\n'
    assert parse(text, {"PROXY": "10.0.0.1"}).server.trusted_proxies == ["10.0.0.1"]
    found = parse("", {"KEYHALL_UPSTREAM_MODEL": "m", "KEYHALL_UPSTREAM_API_KEY": "${X}"})
    assert found.upstream_key.reveal() == "${X}"


def test_the_names_that_openai_gave_its_variables_are_understood():
    found = parse("", {"OPENAI_API_KEY": "sk-1", "KEYHALL_UPSTREAM_MODEL": "gpt-4o"})
    assert found.upstream_key.reveal() == "sk-1"
    assert (found.upstream_url, found.upstream_model) == ("https://api.openai.com/v1", "gpt-4o")
    assert parse().upstream_key is None


def test_all_mistakes_are_told_at_once_each_with_its_place():
    text = """
    x = 1
    log = 3
    [sever]
    [server]
    prot = 1
    grace_seconds = "x"
    tls_cert = "a"
    trusted_proxies = ["nonsense"]
    url = "keys.example.org"
    [sandbox]
    tokens_per_second = -1
    [upstream]
    api_key = "${MISSING}"
    base_url = 3
    connect_seconds = nan
    idle_seconds = inf
    [tiers.free-trial]
    [tiers.x]
    limits = { rpm = 3 }
    """
    environ = {
        "KEYHALL_LOG_FORMAT": "xml",
        "KEYHALL_FOO_BAR": "1",
        "KEYHALL_SERVER_PORTS": "1",
        "KEYHALL_SERVER_BODY_BYTES_MAX": "0",
    }
    assert mistakes(text, environ, server={"port": 70_000, "host": ""}) == [
        "'x' is not a section; `keyhall config list` names them all.",
        "'log' is a section: write [log].",
        "[sever] is not a section; did you mean server?",
        "[server] has no setting 'prot'; did you mean port?",
        "[tiers.free-trial] is built in and stays as it is; choose another name.",
        "[tiers.x] limits has no setting 'rpm'; expected requests_per_minute, tokens_per_minute, "
        "in_flight.",
        "KEYHALL_FOO_BAR is not a setting; `keyhall config list` names them all.",
        "KEYHALL_SERVER_PORTS is not a setting; did you mean KEYHALL_SERVER_PORT?",
        "--host is ''; expected a text that is not empty.",
        "--port is 70000; expected a whole number from 0 to 65535.",
        "KEYHALL_SERVER_BODY_BYTES_MAX is '0'; expected a whole number from 1 on.",
        "[server] grace_seconds is 'x'; expected a whole number from 0 to 86400.",
        "KEYHALL_LOG_FORMAT is 'xml'; expected one of auto, json, console.",
        "[sandbox] tokens_per_second is -1; expected a whole number from 0 on.",
        "[upstream] connect_seconds is nan; expected a number above 0 and up to 86400.",
        "[upstream] idle_seconds is inf; expected a number above 0 and up to 86400.",
        "[upstream] base_url is 3; expected a text.",
        "[upstream] api_key: ${MISSING} is not set in the environment.",
        "TLS needs both a certificate and its key: --tls-cert, --tls-key.",
        "[server] trusted_proxies: 'nonsense' does not appear to be an IPv4 or IPv6 network.",
        "[server] url: 'keys.example.org' is not an address such as https://keys.example.org.",
    ]


def test_a_list_that_is_none_is_told():
    assert mistakes("[server]\ntrusted_proxies = [1]\n") == [
        "[server] trusted_proxies is [1]; expected a list of texts."
    ]


@pytest.mark.parametrize("url", ["http://", "http://[::1", "ftp://x", "http://x:0", "http://x:y"])
def test_an_address_for_people_must_be_one(url):
    assert "is not an address" in mistakes(f'[server]\nurl = "{url}"\n')[0]


def test_what_is_not_toml_is_told_with_its_place():
    assert mistakes("[server\n") == [
        "The settings file is not TOML: Expected ']' at the end of a table declaration "
        "(at line 1, column 8)."
    ]


def test_what_kubernetes_puts_beside_a_service_called_keyhall_is_no_mistake():
    environ = {
        "KEYHALL_SERVICE_HOST": "10.0.0.1",
        "KEYHALL_SERVICE_PORT": "8484",
        "KEYHALL_SERVICE_PORT_HTTP": "8484",
        "KEYHALL_PORT": "tcp://10.0.0.1:8484",
        "KEYHALL_PORT_8484_TCP": "tcp://10.0.0.1:8484",
        "KEYHALL_PORT_8484_TCP_ADDR": "10.0.0.1",
    }
    assert parse("", environ).server == Server()


def test_an_operators_tiers_come_with_the_settings():
    text = "[tiers.course]\nlimits = { requests_per_minute = 30 }\ndefault_output = 100\n"
    assert parse(text).tiers == {"course": Tier("course", Limits(30), 100)}


def test_i4_no_secret_shows_in_a_mistake_or_in_what_python_prints():
    """The value of a wrong key may be a right one, set in the wrong place."""
    text = '[upstream]\napi_key = ["sk-secret"]\n'
    assert mistakes(text) == ["[upstream] api_key is [secret]; expected a text."]
    found = parse('[upstream]\napi_key = "sk-secret"\n', {"OTHER_KEY": "sk-secret-too"})
    assert "sk-secret" not in repr(found) + repr(found.upstream) + repr(found.upstream_key)


def test_the_data_folder_is_the_options_the_variables_or_the_systems(tmp_path):
    environ = {"KEYHALL_DATA": "/variable"}
    assert config.load("/option", None, environ).data == Path("/option")
    assert config.load(None, None, environ).data == Path("/variable")
    assert config.load(None, None, {}).data.name == "keyhall"
    assert not config.load("/option", None, environ).has_usual_data
    assert config.load("/variable", None, environ).has_usual_data


def test_the_settings_file_is_the_options_or_the_variables(tmp_path):
    one, other = tmp_path / "one.toml", tmp_path / "other.toml"
    one.write_text("[server]\nport = 1\n")
    other.write_text("[server]\nport = 2\n")
    environ = {"KEYHALL_CONFIG": str(one)}
    assert config.load("/d", None, environ).server.port == 1
    assert config.load("/d", str(other), environ).server.port == 2


def test_a_settings_file_that_cannot_be_read_is_told(tmp_path):
    missing, binary = tmp_path / "missing.toml", tmp_path / "binary.toml"
    binary.write_bytes(b"\xff\xfe")
    with pytest.raises(
        ConfigError, match=r"missing\.toml cannot be read: No such file or directory\."
    ):
        config.load("/d", str(missing), {})
    with pytest.raises(ConfigError, match=r"binary\.toml is not UTF-8 text\."):
        config.load("/d", str(binary), {})
    broken = tmp_path / "broken.toml"
    broken.write_text("[server\n")
    with pytest.raises(
        ConfigError, match=r"The settings file .*broken\.toml is not TOML: Expected"
    ):
        config.load("/d", str(broken), {})


def test_i4_where_the_database_is_and_what_keys_are_digested_with_is_not_shown():
    environ = {
        "KEYHALL_DATABASE_URL": "postgresql://me:sk-secret@db/hall",
        "KEYHALL_KEYS_PEPPER": "ab" * 32,
    }
    found = parse("", environ)
    shown = repr(found) + repr(found.database) + repr(found.keys)
    assert "sk-secret" not in shown
    assert "abab" not in shown
    wrong = {"KEYHALL_DATABASE_URL": "mysql://sk-secret", "KEYHALL_KEYS_PEPPER": "sk-secret"}
    assert mistakes("", wrong) == [
        "KEYHALL_DATABASE_URL is [secret]; expected postgresql://user@host/name.",
        "KEYHALL_KEYS_PEPPER is [secret]; expected 64 hex digits, or several times as many.",
    ]


# --- Alerts ---------------------------------------------------------------------------------------

SIGNING = "whsec_" + "k" * 32


def test_alerts_are_told_by_webhook_and_mail():
    text = f"""
[alerts]
webhook_url = "https://alerts.example.org/keyhall?x=y"
webhook_secret = "{SIGNING}"
email_to = "ada@example.org, bob@example.org"
email_from = "hall@example.org"
smtp_url = "smtp://hall:secret@mail.example.org:587"
"""
    found = parse(text).alerts
    assert found.webhook_secret == SIGNING
    assert "secret" not in repr(found)
    assert "alerts.example.org" not in repr(found)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ('webhook_url = "alerts.example.org"', "is not an address such as https://alerts"),
        ('webhook_url = "https://a.example"', "needs a webhook_secret: what is not signed"),
        ('webhook_secret = "hunter2"', "[alerts] webhook_secret is [secret]; expected whsec_"),
        ('email_to = "a@b.example"', "email_to needs email_from and smtp_url"),
        ('smtp_url = "mail:hunter2@x"', "[alerts] smtp_url is [secret]; expected smtp://USER"),
    ],
)
def test_what_could_tell_nobody_or_be_forged_is_refused(text, sentence):
    told = "\n".join(mistakes(f"[alerts]\n{text}\n"))
    assert sentence in told
    assert "hunter2" not in told
