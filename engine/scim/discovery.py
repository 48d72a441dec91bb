"""What SCIM tells of itself: what it does, kinds of resources, and their schemas."""

from typing import Any

from core.errors import NotFound
from engine.scim.provisioning import MAX_PAGE


def about_service(base: str) -> str:
    """The ServiceProviderConfig, as JSON."""
    from scim2_models import Context, ServiceProviderConfig

    said = {
        "schemas": [str(ServiceProviderConfig.__schema__)],
        "patch": {"supported": True},
        "bulk": {"supported": False, "maxOperations": 0, "maxPayloadSize": 0},
        "filter": {"supported": True, "maxResults": MAX_PAGE},
        "changePassword": {"supported": False},
        "sort": {"supported": True},
        "etag": {"supported": False},
        "authenticationSchemes": [
            {
                "name": "Bearer token",
                "description": "A token of somebody who has users.manage.",
                "type": "oauthbearertoken",
                "specUri": "https://www.rfc-editor.org/info/rfc6750",
                "primary": True,
            }
        ],
        "meta": {"resourceType": "ServiceProviderConfig", "location": f"{base}/ServiceProviderConfig"},
    }
    text: str = ServiceProviderConfig.model_validate(said).model_dump_json(scim_ctx=Context.RESOURCE_QUERY_RESPONSE)
    return text


def resource_types(base: str, item_id: str = "") -> str:
    """All kinds of resources, or one, as JSON. Raises NotFound."""
    from scim2_models import Meta, ResourceType

    from engine.scim.models import Group, User

    found = []
    for shape in (User, Group):
        kind = ResourceType.from_resource(shape)
        kind.id = kind.name
        kind.meta = Meta(resource_type="ResourceType", location=f"{base}/ResourceTypes/{kind.name}")
        found.append(kind)
    return _answer(ResourceType, found, item_id)


def schemas(base: str, item_id: str = "") -> str:
    """All schemas, or one, as JSON. Raises NotFound."""
    from scim2_models import Meta, Schema

    from engine.scim.models import Group, User

    found = []
    for shape in (User, Group):
        schema = shape.to_schema()
        schema.meta = Meta(resource_type="Schema", location=f"{base}/Schemas/{schema.id}")
        found.append(schema)
    return _answer(Schema, found, item_id)


def _answer(shape: Any, found: list[Any], item_id: str) -> str:
    from scim2_models import Context, ListResponse

    context = Context.RESOURCE_QUERY_RESPONSE
    if item_id:
        one = next((item for item in found if str(item.id).casefold() == item_id.casefold()), None)
        if one is None:
            raise NotFound("There is no such resource.")
        text: str = one.model_dump_json(scim_ctx=context)
        return text
    whole: Any = ListResponse[shape](
        total_results=len(found), start_index=1, items_per_page=len(found), resources=found
    )
    listed: str = whole.model_dump_json(scim_ctx=context)
    return listed
