import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest

from core.errors import Conflict, InvalidArgument, PlatformError, Unauthorized
from engine.catalog.catalog import Catalog
from engine.catalog.config import CatalogConfig
from tests.engine.catalog.conftest import ADA, BOB


async def test_without_a_row_the_built_in_values_show(catalog: Catalog) -> None:
    assert await catalog.configs.get("acme") == CatalogConfig()


async def test_a_warehouse_under_an_allowed_root_is_kept(catalog: Catalog, roots: Path) -> None:
    config = CatalogConfig(catalog_type="hadoop", warehouse=str(roots / "warehouse"), catalog_name="drls")
    kept = await catalog.set_config(ADA, config)
    assert (kept.is_configured, kept.warehouse, kept.catalog_name) == (True, str(roots / "warehouse"), "drls")
    assert not (await catalog.configs.get("other")).is_configured


async def test_other_folders_are_refused(catalog: Catalog, roots: Path, home: Path, tmp_path: Path) -> None:
    (roots / "link").symlink_to(tmp_path)
    for folder in (
        "/tmp/warehouse",
        str(home),
        str(home / "lake" / "other"),
        str(home / "lake" / "acme" / "inner"),
        f"file://{home}",
        str(roots / ".." / "home"),
        "/",
        str(roots / "link" / "x"),
    ):
        with pytest.raises(Unauthorized, match="operator"):
            await catalog.set_config(ADA, CatalogConfig(warehouse=folder))
    assert not (await catalog.configs.get("acme")).is_configured


async def test_the_tenants_own_folder_is_allowed(catalog: Catalog, home: Path) -> None:
    own = str(home / "lake" / "acme")
    assert (await catalog.set_config(ADA, CatalogConfig(warehouse=own))).warehouse == own


async def test_two_tenants_cannot_share_a_folder(catalog: Catalog, roots: Path) -> None:
    await catalog.set_config(ADA, CatalogConfig(warehouse=str(roots / "one")))
    (roots / "link").symlink_to(roots / "one")
    for folder in (roots, roots / "one", roots / "one" / "inner", roots / "link"):
        with pytest.raises(Conflict):
            await catalog.set_config(BOB, CatalogConfig(warehouse=str(folder)))


async def test_of_two_tenants_at_once_one_gets_the_folder(open_catalog: Callable[[], Catalog], roots: Path) -> None:
    asked = [(ADA, roots / "one"), (BOB, roots / "one" / "inner")]
    results = await asyncio.gather(
        *(open_catalog().set_config(who, CatalogConfig(warehouse=str(folder))) for who, folder in asked),
        return_exceptions=True,
    )
    assert sorted(type(result).__name__ for result in results) == ["CatalogConfig", "Conflict"]


async def test_a_folder_that_a_connection_reads_is_no_warehouse(catalog: Catalog, roots: Path) -> None:
    (roots / "files").mkdir()
    await catalog.connections.create("other", name="F", kind="files", options={"path": str(roots / "files")})
    for folder in (roots, roots / "files", roots / "files" / "inner"):
        with pytest.raises(Conflict):
            await catalog.set_config(ADA, CatalogConfig(warehouse=str(folder)))


async def test_a_connection_cannot_read_a_warehouse(catalog: Catalog, roots: Path) -> None:
    await catalog.set_config(ADA, CatalogConfig(warehouse=str(roots / "one")))
    for tenant in ("acme", "other"):
        for folder in (roots, roots / "one"):
            with pytest.raises(Unauthorized):
                await catalog.connections.create(tenant, name="F", kind="files", options={"path": str(folder)})


@pytest.mark.parametrize("name", ["a-file", "a-file/inner", "x" * 300])
async def test_a_folder_that_cannot_be_made_is_refused(catalog: Catalog, roots: Path, name: str) -> None:
    (roots / "a-file").touch()
    with pytest.raises(Conflict, match="folder"):
        await catalog.set_config(ADA, CatalogConfig(warehouse=str(roots / name)))
    assert not (await catalog.configs.get("acme")).is_configured


@pytest.mark.parametrize(
    "wrong",
    [
        CatalogConfig(catalog_type="glue"),
        CatalogConfig(catalog_type="rest", uri="http://x"),
        CatalogConfig(catalog_type="hive", uri="http://x", warehouse="s3://bucket/lake"),
        CatalogConfig(catalog_type="hadoop", uri="http://x"),
        CatalogConfig(uri="x"),
        CatalogConfig(catalog_type="sql or not", catalog_name="a b"),
    ],
)
async def test_configurations_that_do_not_fit_together_are_refused_with_a_next_step(
    catalog: Catalog, wrong: CatalogConfig
) -> None:
    with pytest.raises((Conflict, InvalidArgument)) as refused:
        await catalog.set_config(ADA, wrong)
    assert isinstance(refused.value, PlatformError) and refused.value.hint
    assert not (await catalog.configs.get("acme")).is_configured


async def test_secret_properties_are_masked_and_survive_being_sent_back(catalog: Catalog) -> None:
    props = {"s3.secret-access-key": "abc", "s3.region": "eu"}
    shown = await catalog.set_config(ADA, CatalogConfig(extra_props=props))
    assert shown.extra_props == {"s3.region": "eu", "s3.secret-access-key": "***"}
    assert await catalog.set_config(ADA, shown) == shown


async def test_a_configured_catalog_name_may_begin_a_tables_name(catalog: Catalog) -> None:
    await catalog.set_config(ADA, CatalogConfig(catalog_name="drls"))
    assert (await catalog.snapshot(ADA, "lakehouse")).catalog_names == {"headwater", "drls"}
