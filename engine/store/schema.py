"""What all tables of the platform store have in common."""

from sqlalchemy import Column, MetaData, String

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(referred_table_name)s",
        "pk": "pk_%(table_name)s",
    }
)

Id = String(64)
Name = String(255)


def tenant(*, primary_key: bool = True) -> Column[str]:
    """The column that every row has."""
    return Column("tenant_id", Id, primary_key=primary_key, nullable=False)
