"""Settings: where they come from, and one clear line when one is wrong."""

import re
from pathlib import Path

import pytest

from flows.settings import BadSettingError, Settings, load_settings


@pytest.fixture(autouse=True)
def _in_an_empty_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_nothing_needs_to_be_set() -> None:
    settings = load_settings()
    assert settings.kafka_brokers == ""
    assert settings.clickhouse_dsn is None
    assert (settings.policy / "policy.yaml").is_file()


def test_the_environment_wins_over_the_file_and_arguments_over_both(monkeypatch) -> None:
    Path("breakwater.toml").write_text('kafka_brokers = "file:1"\nkafka_group = "file"\n')
    monkeypatch.setenv("BREAKWATER_KAFKA_BROKERS", "environment:1")
    settings = load_settings(output=Path("x"))
    assert (settings.kafka_brokers, settings.kafka_group) == ("environment:1", "file")
    assert load_settings(kafka_group="argument").kafka_group == "argument"


def test_an_empty_variable_is_not_set(monkeypatch) -> None:
    monkeypatch.setenv("BREAKWATER_METRICS_PORT", "")
    assert load_settings().metrics_port is None


def test_prefixes_are_separated_by_commas(monkeypatch) -> None:
    monkeypatch.setenv("BREAKWATER_IMAGE_URI_PREFIXES", "file:///images/, s3://bucket/")
    assert load_settings().image_uri_prefixes == ("file:///images/", "s3://bucket/")


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("METRICS_PORT", "no", "valid integer"),
        ("METRICS_PORT", "0", "greater than or equal to 1"),
        ("METRICS_PORT", "65536", "less than or equal to 65535"),
        ("REDIS_URL", "localhost:6379", "redis://"),
        ("CLICKHOUSE_DSN", "localhost", "chdb://"),
        ("CLICKHOUSE_DSN", "chdb://", "chdb:///PATH"),
        ("SLACK_WEBHOOK_URL", "hooks.slack.com/x", "https://"),
        ("PAGERDUTY_URL", "ftp://events.pagerduty.com", "https://"),
        ("PAGERDUTY_URL", "http://[::1", "no host"),
    ],
)
def test_a_bad_value_is_named_with_what_was_expected(monkeypatch, name, value, expected) -> None:
    monkeypatch.setenv(f"BREAKWATER_{name}", value)
    with pytest.raises(BadSettingError, match=f"^BREAKWATER_{name}: [^\n]*{expected}"):
        load_settings()


@pytest.mark.parametrize(
    "name", ["CLICKHOUSE_DSN", "REDIS_URL", "SLACK_WEBHOOK_URL", "PAGERDUTY_URL"]
)
@pytest.mark.parametrize(
    ("what", "place"),
    [
        ("a slash in the password", "user:hunter2/x@localhost:8123"),
        ("digits before the slash, like a port", "user:222/hunter2@localhost:8123"),
        ("a hash sign", "user:hunter2#x@localhost:8123"),
        ("a question mark", "user:hunter2?x@localhost:8123"),
        ("an at sign and a slash", "user:a@hunter2/x@localhost:8123"),
        ("a bracket", "user:[hunter2]@localhost:8123"),
        ("a sign that NFKC makes a slash", "user:hunter2\N{ACCOUNT OF}@localhost:8123"),
        ("no host", "user:hunter2@"),
        ("no host before the port", "user:hunter2@:8123"),
        ("a port beyond 65535", "user:hunter2@localhost:65536"),
        ("a port that is no number", "localhost:hunter2"),
    ],
)
def test_a_password_that_cuts_its_url_is_refused_and_not_repeated(
    monkeypatch, name: str, what: str, place: str
) -> None:
    scheme = "redis" if name == "REDIS_URL" else "http"
    monkeypatch.setenv(f"BREAKWATER_{name}", f"{scheme}://{place}")
    with pytest.raises(
        BadSettingError, match=f"^BREAKWATER_{name}: [^\n]*/ as %2F[^\n]*$"
    ) as error:
        load_settings()
    assert not {"hunter2", "222", "8123", "65536"} & set(re.findall(r"\w+", str(error.value)))


@pytest.mark.parametrize(
    ("name", "url"),
    [
        ("CLICKHOUSE_DSN", "http://user:a%2Fb%23c%40d@localhost:8123/moderation?compress=1"),
        ("CLICKHOUSE_DSN", "http://user:a@b@localhost"),
        ("CLICKHOUSE_DSN", "https://[::1]:8443"),
        ("CLICKHOUSE_DSN", "chdb:///a@b"),
        ("REDIS_URL", "redis://:hunter2@localhost:65535/0"),
        ("REDIS_URL", "unix://:hunter2@/run/valkey.sock?db=1"),
        ("REDIS_URL", "unix:///run/valkey.sock"),
        ("PAGERDUTY_URL", "http://user:hunter2@proxy:8080/pagerduty"),
    ],
)
def test_urls_that_can_be_read(monkeypatch, name: str, url: str) -> None:
    monkeypatch.setenv(f"BREAKWATER_{name}", url)
    value = getattr(load_settings(), name.lower())
    assert value.get_secret_value() == url


def test_a_bad_value_is_not_repeated_since_it_may_be_a_secret(monkeypatch) -> None:
    monkeypatch.setenv("BREAKWATER_REDIS_URL", "rdis://:hunter2@host")
    with pytest.raises(BadSettingError) as error:
        load_settings()
    assert "hunter2" not in str(error.value)


@pytest.mark.parametrize(
    ("what", "text", "expected"),
    [
        ("a setting that is none", "kafka_broker = 'x'", "unknown setting `kafka_broker`"),
        ("no TOML", "kafka_brokers =", "breakwater.toml"),
    ],
)
def test_a_bad_file_is_named(what: str, text: str, expected: str) -> None:
    Path("breakwater.toml").write_text(text)
    with pytest.raises(BadSettingError, match=expected):
        load_settings()


def test_secrets_do_not_show(monkeypatch) -> None:
    monkeypatch.setenv("BREAKWATER_PAGERDUTY_ROUTING_KEY", "hunter2")
    monkeypatch.setenv("BREAKWATER_CLICKHOUSE_DSN", "http://u:hunter2@h")
    monkeypatch.setenv("BREAKWATER_PAGERDUTY_URL", "http://u:hunter2@h")
    assert "hunter2" not in repr(load_settings()) + str(load_settings())


def test_every_setting_has_a_description() -> None:
    assert all(field.description for field in Settings.model_fields.values())
