"""Settings from the environment (`BREAKWATER_*`) or `breakwater.toml`; the environment wins."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr, ValidationError
from pydantic_settings import (
    BaseSettings,
    NoDecode,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    SettingsError,
    TomlConfigSettingsSource,
)

from policy.policy import BUILT_IN

TOML_FILE = "breakwater.toml"


class BadSettingError(ValueError):
    """A setting cannot be used: one line that names it and says what was expected."""


def _url(*schemes: str) -> AfterValidator:
    def check(value: SecretStr | None) -> SecretStr | None:
        if value is None:
            return None
        url = value.get_secret_value()
        if not url.startswith(schemes):
            raise ValueError(f"expected a URL that starts with {' or '.join(schemes)}")
        if url == "chdb://":
            raise ValueError("expected a path, chdb:///PATH: without one nothing would be kept")
        if not url.startswith("chdb://") and not _names_a_host(url):
            raise ValueError(
                "the URL has no host, or no port, that can be read; of a password write"
                " / as %2F, ? as %3F, # as %23, @ as %40, [ as %5B"
            )
        return value

    return AfterValidator(check)


def _names_a_host(url: str) -> bool:
    """Whether `url` has a host (a Unix socket has none), and a port if any is named.

    An `@` behind them ends a password that a `/`, `?` or `#` has cut: clients would repeat parts of
    it as a host, a port or a path in their errors, as the parser does in its own.
    """
    try:
        parts = urlsplit(url)
        named = parts.scheme == "unix" or parts.hostname
        _ = parts.port
    except ValueError:
        return False
    return bool(named) and "@" not in parts.path + parts.query + parts.fragment


def _split(value: object) -> object:
    if isinstance(value, str):
        return tuple(part.strip() for part in value.split(",") if part.strip())
    return value


class Settings(BaseSettings):
    """Everything that can be set; URLs that may hold a password are never printed."""

    model_config = SettingsConfigDict(
        env_prefix="BREAKWATER_", toml_file=TOML_FILE, extra="forbid", env_ignore_empty=True
    )

    kafka_brokers: str = Field("", description="Kafka brokers, `host:port` separated by commas")
    kafka_group: str = Field(
        "breakwater", description="consumer group that offsets are committed under"
    )
    kafka_config: Path | None = Field(
        None, description="TOML file of further librdkafka settings (TLS, SASL)"
    )
    clickhouse_dsn: Annotated[
        SecretStr | None,
        _url("clickhouse://", "clickhouses://", "http://", "https://", "chdb://"),
    ] = Field(None, description="ClickHouse; by default the embedded engine under the output")
    redis_url: Annotated[SecretStr | None, _url("redis://", "rediss://", "unix://")] = Field(
        None, description="Redis or Valkey; by default features are kept in memory"
    )
    policy: Path = Field(BUILT_IN, description="directory of policy.yaml, rules/ and hashes/")
    shadow_model: Path | None = Field(
        None, description="directory of text models that score in shadow; by default there are none"
    )
    models: Path | None = Field(
        None, description="directory of promoted models; by default the built-in ones score"
    )
    slack_webhook_url: Annotated[SecretStr | None, _url("http://", "https://")] = Field(
        None, description="incoming webhook that alerts are posted to"
    )
    pagerduty_routing_key: SecretStr | None = Field(
        None, description="integration key that alerts are sent to"
    )
    pagerduty_url: Annotated[SecretStr, _url("http://", "https://")] = Field(
        SecretStr("https://events.pagerduty.com"), description="base URL of the Events API v2"
    )
    image_uri_prefixes: Annotated[tuple[str, ...], NoDecode, BeforeValidator(_split)] = Field(
        (), description="prefixes that image URIs may have (file://, s3://), separated by commas"
    )
    output: Path = Field(
        Path("out"), description="directory of the embedded store and of alerts not yet sent"
    )
    ocr: Literal["off", "on", "suspicion"] | None = Field(
        None,
        description="which images are read: none, all, or those of suspicious items; by default"
        " what the policy says",
    )
    recovery_dir: Path | None = Field(
        None, description="where state and positions are kept over restarts"
    )
    batch: int = Field(
        8000, ge=1, le=10_000, description="messages that a process takes at once, at most"
    )
    store_rows: int = Field(
        10_000, ge=100, le=1_000_000, description="decisions gathered for an insert, at most"
    )
    epoch_seconds: float = Field(
        30.0,
        ge=0.1,
        le=300,
        description="how often positions and deliveries are settled (in a cluster: `-s`)",
    )
    metrics_port: int | None = Field(
        None,
        ge=1,
        le=65535,
        description="port of /metrics, /startedz, /livez and /readyz on loopback",
    )
    console_password: SecretStr | None = Field(
        None, description="password of the console, needed when it is open beyond loopback"
    )
    token_key: SecretStr | None = Field(
        None, description="secret of the tokens that stand for personal data in the store"
    )
    metrics_host: str = Field("127.0.0.1", description="address that metrics are served on")

    @property
    def store_dsn(self) -> str:
        """Where the store is: what is set, or the embedded engine under the output directory."""
        if self.clickhouse_dsn is not None:
            return self.clickhouse_dsn.get_secret_value()
        return f"chdb://{(self.output / 'clickhouse').resolve()}"

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003 (pydantic's signature)
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003 (pydantic's signature)
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """The order of precedence: arguments, environment, file."""
        return init_settings, env_settings, TomlConfigSettingsSource(settings_cls)


def load_settings(*, output: Path | None = None, **overrides: Any) -> Settings:
    """The settings in force: `output` (where one is given) and `overrides` are the command line's.

    Raises:
        BadSettingError: a value is not what was expected, or the file cannot be read.
    """
    if output is not None:
        overrides["output"] = output
    try:
        return Settings(**overrides)
    except ValidationError as error:
        raise BadSettingError("; ".join(map(_explain, error.errors()))) from None
    except (SettingsError, OSError, ValueError) as error:
        raise BadSettingError(f"{TOML_FILE}: {error}") from None


def _explain(error: Any) -> str:
    name = "BREAKWATER_" + "_".join(str(part) for part in error["loc"][:1]).upper()
    message = error["msg"].removeprefix("Value error, ")
    if error["type"] == "extra_forbidden":
        return f"{TOML_FILE}: unknown setting `{error['loc'][0]}`"
    # The value may hold a secret: it is not repeated.
    return f"{name}: {message[:1].lower()}{message[1:]}"
