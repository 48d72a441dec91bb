"""Reads the settings once: command line, then environment, then `HOME/headwater.toml`, then defaults."""

import os
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from pydantic_settings import (
    BaseSettings,
    EnvSettingsSource,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)

from core.errors import InvalidArgument
from core.settings import Settings

DEFAULT_HOME = Path(".headwater")


def find_home(given: Path | None = None) -> Path:
    """The home folder: `--home`, else HEADWATER_HOME, else `.headwater` here."""
    return (given or Path(os.environ.get("HEADWATER_HOME") or DEFAULT_HOME)).expanduser().absolute()


def read_settings(home: Path | None = None, **overrides: Any) -> Settings:
    """All settings for one home; `overrides` are nested dicts by group, as the command line gives them.

    Raises InvalidArgument naming the setting that is wrong."""
    folder = find_home(home)
    toml = folder / "headwater.toml"

    class Reader(Settings, BaseSettings):
        model_config = SettingsConfigDict(
            env_prefix="HEADWATER_", env_nested_delimiter="__", frozen=True, extra="forbid", toml_file=toml
        )

        @classmethod
        def settings_customise_sources(
            cls,
            settings_cls: type[BaseSettings],
            init_settings: PydanticBaseSettingsSource,
            env_settings: PydanticBaseSettingsSource,
            dotenv_settings: PydanticBaseSettingsSource,
            file_secret_settings: PydanticBaseSettingsSource,
        ) -> tuple[PydanticBaseSettingsSource, ...]:
            return init_settings, EnvSettingsSource(settings_cls), TomlConfigSettingsSource(settings_cls)

    try:
        read = Reader(home=folder, **overrides)
    except ValidationError as error:
        wrong = "; ".join(f"{'.'.join(map(str, item['loc']))}: {item['msg']}" for item in error.errors())
        raise InvalidArgument(f"The settings are not valid: {wrong}", hint=f"See {toml} and HEADWATER_* variables.")
    return Settings.model_construct(**{name: getattr(read, name) for name in Settings.model_fields})
