"""The catalog's configuration: where the tenant's lakehouse lies."""

from typing import Literal

from pydantic import Field

from core.portable import Model
from core.tool import Empty, tool
from engine.catalog.config import CATALOG_NAME, CatalogConfig
from engine.context import Ctx


class CatalogSettings(Model):
    """Where the lakehouse lies."""

    configured: bool = Field(description="Whether it was set; false shows the built-in values.")
    catalog_type: str = Field(
        description="`sql`, `rest`, `hive` or `glue`; `sql` without `uri`, like `hadoop`, is the embedded catalog."
    )
    warehouse: str | None = Field(description="Folder or bucket of the tables; null is the built-in place.")
    catalog_name: str = Field(description="Name that tables may be prefixed with, beside `headwater`.")
    uri: str | None = Field(
        description="Address of the catalog, a password in it masked; null for the embedded one and Glue."
    )
    extra_props: dict[str, str] = Field(description="Further properties; secrets are shown as `***`.")


class SetCatalogConfig(Model):
    """A new configuration, as a whole."""

    catalog_type: Literal["sql", "hadoop", "rest", "hive", "glue"] = Field(
        "sql", description="`sql` without `uri`, like `hadoop`, is the embedded catalog."
    )
    warehouse: str | None = Field(
        None,
        pattern=r"^((file://)?/[^\x00]*|(s3|s3a|s3n|gs|gcs|abfs|abfss)://[^\x00-\x20?#]+)$",
        max_length=4096,
        description="Where the tables' files lie: an absolute folder under a root that the operator allows, made if it "
        "is not there, or s3://bucket/prefix, gs://bucket/prefix, abfss://container/prefix. Nothing outside is read.",
    )
    catalog_name: str = Field(
        "headwater",
        pattern=CATALOG_NAME,
        description="Name that tables may be prefixed with: letters, digits and `_`.",
    )
    uri: str | None = Field(
        None,
        max_length=2048,
        description="With `sql`: postgresql://user:password@host/database, for a catalog that several hosts share; "
        "with `rest`: the catalog's https address; with `hive`: thrift://host:port.",
    )
    extra_props: dict[str, str] = Field(
        {},
        description="Properties of catalog and bucket as pyiceberg names them, such as `credential` or `s3.region`; "
        "`***` keeps a stored secret where nothing else changes.",
    )


@tool("GET /config", needs="catalog.read", effect="read")
async def get_catalog_config(ctx: Ctx, request: Empty) -> CatalogSettings:
    """Show where the lakehouse lies. Secrets are masked."""
    return show(await ctx.engine.catalog.configs.get(ctx.principal.tenant))


@tool("PUT /config", needs="tenant.manage", effect="write")
async def set_catalog_config(ctx: Ctx, request: SetCatalogConfig) -> CatalogSettings:
    """Set where the lakehouse lies: the folder or bucket of its files, and its catalog.

    Nothing is moved: tables of the folder before are no longer seen, and come back when it is set back."""
    asked = CatalogConfig(
        catalog_type=request.catalog_type,
        warehouse=request.warehouse,
        catalog_name=request.catalog_name,
        uri=request.uri,
        extra_props=request.extra_props,
    )
    return show(await ctx.engine.catalog.set_config(ctx.principal, asked))


def show(config: CatalogConfig) -> CatalogSettings:
    return CatalogSettings(
        configured=config.is_configured,
        catalog_type=config.catalog_type,
        warehouse=config.warehouse,
        catalog_name=config.catalog_name,
        uri=config.uri,
        extra_props=dict(config.extra_props),
    )
