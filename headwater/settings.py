"""Reads the settings once: command line, then environment, then `HOME/headwater.toml`, then defaults."""

import errno
import os
from pathlib import Path
from tomllib import TOMLDecodeError
from typing import Any

from pydantic import ValidationError
from pydantic.fields import FieldInfo
from pydantic_settings import (
    BaseSettings,
    EnvSettingsSource,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    SettingsError,
    TomlConfigSettingsSource,
)

from core.errors import InvalidArgument, Unavailable
from core.settings import Settings

DEFAULT_HOME = Path(".headwater")
DATA_FILE = "data.path"
"""In the home: what `serve --data` was given last, which its connection may go on reading."""
BUILT = "built"
"""In the folder of evaluations: databases that shipped suites have made, which hold nobody's data."""


class _Environment(EnvSettingsSource):
    """Variables, whose lists may also be written `a,b`."""

    def decode_complex_value(self, field_name: str, field: FieldInfo, value: Any) -> Any:
        if isinstance(value, str) and not value.lstrip().startswith(("[", "{")):
            return [item.strip() for item in value.split(",") if item.strip()]
        return super().decode_complex_value(field_name, field, value)


def find_home(given: Path | None = None) -> Path:
    """The home folder: `--home`, else HEADWATER_HOME, else `.headwater` here."""
    return (given or Path(os.environ.get("HEADWATER_HOME") or DEFAULT_HOME)).expanduser().absolute()


def prepare_home(home: Path) -> None:
    """Make the home folder, readable by its owner alone. Raises Unavailable when it cannot be written."""
    try:
        home.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not os.access(home, os.W_OK):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
    except OSError as error:
        hint = "Choose another folder with --home or HEADWATER_HOME."
        raise Unavailable(f"The home {home} cannot be written: {error.strerror}.", hint=hint) from None


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
            return init_settings, _Environment(settings_cls), TomlConfigSettingsSource(settings_cls)

    try:
        read = Reader(home=folder, **overrides)
    except ValidationError as error:
        wrong = "; ".join(f"{'.'.join(map(str, item['loc']))}: {item['msg']}" for item in error.errors())
        raise InvalidArgument(f"The settings are not valid: {wrong}", hint=f"See {toml} and HEADWATER_* variables.")
    except SettingsError as error:
        hint = "Lists are written `a,b` or as JSON; groups are set value by value."
        raise InvalidArgument(f"A HEADWATER_* variable cannot be read: {error}.", hint=hint) from None
    except (TOMLDecodeError, UnicodeDecodeError) as error:
        raise InvalidArgument(f"{toml} is not TOML: {error}", hint="See docs/reference/settings.md.") from None
    query = read.query.model_copy(
        update={"allowed_roots": [*read.query.allowed_roots, *_served_data(folder), *_built(folder)]}
    )
    values = {name: getattr(read, name) for name in Settings.model_fields}
    return Settings.model_construct(**{**values, "query": query})


def _served_data(home: Path) -> list[Path]:
    try:
        return [Path((home / DATA_FILE).read_text().strip())]
    except OSError:
        return []


def evals_folder(home: Path) -> Path:
    """What evaluations keep beside a home, whose own files no connection may read."""
    return home.with_name(f"{home.name}-evals")


def _built(home: Path) -> list[Path]:
    folder = evals_folder(home) / BUILT
    return [folder] if folder.is_dir() else []
