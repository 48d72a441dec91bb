"""What a tenant's file may declare: each kind of thing with the tools that list, make, change and delete it."""

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Kind:
    """One section of the file. `fields` are those it may say; `fixed` ones are given once and never changed."""

    section: str
    noun: str
    id: str
    listing: str
    create: str
    update: str
    delete: str
    fields: tuple[str, ...]
    fixed: tuple[str, ...] = ()
    shown_id: str = ""  # the id's name in listings, where it is another
    ours: tuple[str, ...] = ()  # listed fields that are true of what nobody declares
    sets: tuple[str, ...] = field(default=())  # lists whose order means nothing

    @property
    def listed_id(self) -> str:
        return self.shown_id or self.id


KINDS = (
    Kind(
        section="roles",
        noun="role",
        id="role",
        listing="list_roles",
        create="create_role",
        update="update_role",
        delete="delete_role",
        fields=("permissions", "description"),
        ours=("built_in",),
        sets=("permissions",),
    ),
    Kind(
        section="users",
        noun="user",
        id="user_id",
        listing="list_users",
        create="create_user",
        update="update_user",
        delete="delete_user",
        fields=("email", "name", "roles", "attributes", "identity_provider_id", "external_subject"),
        shown_id="id",
        ours=("deleted_at",),
        sets=("roles",),
    ),
    Kind(
        section="clients",
        noun="client",
        id="client_id",
        listing="list_clients",
        create="create_client",
        update="",
        delete="delete_client",
        fields=(),
        fixed=("name", "description", "roles"),
        sets=("roles",),
    ),
    Kind(
        section="connections",
        noun="connection",
        id="connection_id",
        listing="list_connections",
        create="create_connection",
        update="update_connection",
        delete="delete_connection",
        fields=("name", "description", "options"),
        fixed=("kind",),
        ours=("is_built_in",),
    ),
    Kind(
        section="policies",
        noun="policy",
        id="policy_id",
        listing="list_policies",
        create="create_policy",
        update="update_policy",
        delete="delete_policy",
        fields=(
            *("name", "description", "privacy", "mask", "columns", "filter", "min_group_size"),
            *("applies_to", "except_for", "enabled", "expires_at"),
        ),
        fixed=("kind", "connection_id", "table", "tag"),
    ),
)
"""In the order in which they are made; what is deleted goes in the opposite one."""

QUOTA_FIELDS = ("daily_limit_usd", "monthly_limit_usd", "limits")
LIMIT_FIELDS = ("metric", "scope", "scope_id", "span", "soft", "hard")
TENANT_FIELDS = ("name", "configuration")
SECTIONS = ("tenant", "quota", *(kind.section for kind in KINDS))
