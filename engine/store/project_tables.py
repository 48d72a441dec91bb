"""Tables of projects, and of what tenants share with each other."""

from sqlalchemy import Column, Float, Index, Integer, String, Table, Text, UniqueConstraint

from engine.store.schema import Id, Name, metadata, tenant

projects = Table(
    "project",
    metadata,
    tenant(),
    Column("project_id", Id, primary_key=True),
    Column("name", Name, nullable=False),
    Column("name_key", Name),  # equal for names that look alike; null once the project is deleted
    Column("description", Text, nullable=False),
    Column("created_by", Id, nullable=False),
    Column("version", Integer, nullable=False),
    Column("created_at", Float, nullable=False),
    Column("updated_at", Float, nullable=False),
    Column("archived_at", Float),
    UniqueConstraint("tenant_id", "name_key"),
    Index("ix_project_id", "project_id"),
)

shares = Table(
    "share",
    metadata,
    tenant(),  # whose project or dataset it is
    Column("share_id", Id, primary_key=True),
    Column("guest_tenant", Id, nullable=False),
    Column("project_tenant", Id, nullable=False),
    Column("project_id", Id, nullable=False),
    Column("dataset_id", Id, nullable=False),  # empty: the guest belongs to the project, and reads nothing for that
    Column("active_key", String(255)),  # guest, project and dataset; null once revoked
    Column("approval_id", Id, nullable=False),
    Column("created_at", Float, nullable=False),
    Column("revoked_at", Float),
    Column("revoked_by", Id, nullable=False),
    UniqueConstraint("tenant_id", "active_key"),
    Index("ix_share_guest", "guest_tenant", "revoked_at"),
)
