from pathlib import Path

import pytest

from core.errors import Conflict, InvalidArgument
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
        "relative",
        str(home),
        str(home / "lake" / "other"),
        "/",
        str(roots / "link" / "x"),
    ):
        with pytest.raises(InvalidArgument, match="operator"):
            await catalog.set_config(ADA, CatalogConfig(warehouse=folder))


async def test_the_tenants_own_folder_is_allowed(catalog: Catalog, home: Path) -> None:
    own = str(home / "lake" / "acme")
    assert (await catalog.set_config(ADA, CatalogConfig(warehouse=own))).warehouse == own


async def test_two_tenants_cannot_share_a_folder(catalog: Catalog, roots: Path) -> None:
    await catalog.set_config(ADA, CatalogConfig(warehouse=str(roots / "one")))
    for folder in (roots, roots / "one", roots / "one" / "inner"):
        with pytest.raises(Conflict):
            await catalog.set_config(BOB, CatalogConfig(warehouse=str(folder)))


@pytest.mark.parametrize(
    "wrong",
    [
        CatalogConfig(catalog_type="glue"),
        CatalogConfig(catalog_type="rest", uri="http://x"),
        CatalogConfig(uri="x"),
    ],
)
async def test_catalogs_elsewhere_are_refused_saying_what_is_supported(catalog: Catalog, wrong: CatalogConfig) -> None:
    with pytest.raises(InvalidArgument, match="sql"):
        await catalog.set_config(ADA, wrong)


async def test_secret_properties_are_masked_and_survive_being_sent_back(catalog: Catalog) -> None:
    props = {"s3.secret-access-key": "abc", "s3.region": "eu"}
    shown = await catalog.set_config(ADA, CatalogConfig(extra_props=props))
    assert shown.extra_props == {"s3.region": "eu", "s3.secret-access-key": "***"}
    assert await catalog.set_config(ADA, shown) == shown


async def test_a_configured_catalog_name_may_begin_a_tables_name(catalog: Catalog) -> None:
    await catalog.set_config(ADA, CatalogConfig(catalog_name="drls"))
    assert (await catalog.snapshot(ADA, "lakehouse")).catalog_names == {"headwater", "drls"}
