"""Projects through the gate."""

import pytest

from core.errors import Conflict, InvalidArgument, NotFound, Unauthorized
from tests.fixtures_town import Town, town

__all__ = ["town"]


async def test_a_project_is_made_changed_deleted_and_restored(town: Town) -> None:
    made = await town.call("create_project", "ada", name="Sales", description="Numbers.", project_id="sales")
    assert (made.id, made.tenant_id, made.version, made.archived_at) == ("sales", "default", 1, None)
    changed = await town.call("update_project", "ada", project_id="sales", name="Sales EU", expected_version=1)
    assert (changed.name, changed.description, changed.version) == ("Sales EU", "Numbers.", 2)
    assert (await town.call("list_projects", "vic")).projects == [changed]
    await town.call("delete_project", "ada", project_id="sales")
    with pytest.raises(NotFound):
        await town.call("get_project", "ada", project_id="sales")
    [gone] = (await town.call("list_projects", "ada", archived=True)).projects
    assert gone.archived_at is not None
    back = await town.call("restore_project", "ada", project_id="sales")
    assert back == await town.call("get_project", "vic", project_id="sales")


async def test_a_stale_change_of_a_project_changes_nothing(town: Town) -> None:
    await town.call("create_project", "ada", name="Sales", project_id="sales")
    await town.call("update_project", "ada", project_id="sales", description="One.", expected_version=1)
    with pytest.raises(Conflict):
        await town.call("update_project", "ada", project_id="sales", description="Two.", expected_version=1)
    assert (await town.call("get_project", "ada", project_id="sales")).description == "One."


@pytest.mark.parametrize("name", ["Sales", "sales", "\uff33ales", "Sa\u217ces", "S\u0430les"])
async def test_names_of_projects_are_unlike_each_other(town: Town, name: str) -> None:
    await town.call("create_project", "ada", name="Sales")
    with pytest.raises(Conflict):
        await town.call("create_project", "ada", name=name)
    assert (await town.call("list_projects", "ada")).total_count == 1


async def test_projects_of_another_tenant_do_not_exist(town: Town) -> None:
    await town.call("create_project", "ada", name="Sales", project_id="sales")
    await town.call("create_project", "otto", name="Sales", project_id="own")
    for tool in ("get_project", "update_project", "delete_project", "restore_project", "list_datasets_by_project"):
        with pytest.raises(NotFound):
            await town.call(tool, "otto", project_id="sales")
    with pytest.raises(NotFound):
        await town.call("create_dataset", "otto", name="x", project_id="sales")
    assert [item.id for item in (await town.call("list_projects", "otto")).projects] == ["own"]


async def test_who_only_reads_makes_no_project(town: Town) -> None:
    with pytest.raises(Unauthorized):
        await town.call("create_project", "vic", name="Sales")


@pytest.mark.parametrize("wrong", [{"name": " "}, {"name": "a\nb"}, {"name": "x" * 300}, {"project_id": "a/b"}])
async def test_a_project_that_cannot_be_is_refused(town: Town, wrong: dict[str, str]) -> None:
    with pytest.raises(InvalidArgument):
        await town.call("create_project", "ada", **{"name": "Sales", **wrong})
    assert (await town.call("list_projects", "ada")).total_count == 0


async def test_a_dataset_belongs_to_a_project(town: Town) -> None:
    await town.call("create_project", "ada", name="Sales", project_id="sales")
    made = await town.call("create_dataset", "ada", name="orders", project_id="sales")
    assert (await town.call("list_datasets_by_project", "ada", project_id="sales")).datasets == [made]
