"""Projects, shares between tenants, approvals, and notices."""

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table('approval',
    sa.Column('tenant_id', sa.String(length=64), nullable=False),
    sa.Column('approval_id', sa.String(length=64), nullable=False),
    sa.Column('kind', sa.String(length=32), nullable=False),
    sa.Column('status', sa.String(length=16), nullable=False),
    sa.Column('decider_tenant', sa.String(length=64), nullable=True),
    sa.Column('requested_by', sa.String(length=64), nullable=False),
    sa.Column('title', sa.Text(), nullable=False),
    sa.Column('subject', sa.Text(), nullable=False),
    sa.Column('tool', sa.String(length=64), nullable=False),
    sa.Column('argument_digest', sa.String(length=128), nullable=False),
    sa.Column('arguments', sa.LargeBinary(), nullable=True),
    sa.Column('snapshot', sa.Text(), nullable=False),
    sa.Column('request_reason', sa.Text(), nullable=False),
    sa.Column('pending_key', sa.String(length=128), nullable=True),
    sa.Column('created_at', sa.Float(), nullable=False),
    sa.Column('expires_at', sa.Float(), nullable=False),
    sa.Column('reviewed_by', sa.String(length=64), nullable=True),
    sa.Column('reviewer_tenant', sa.String(length=64), nullable=True),
    sa.Column('reviewed_at', sa.Float(), nullable=True),
    sa.Column('reason', sa.Text(), nullable=False),
    sa.Column('used_at', sa.Float(), nullable=True),
    sa.PrimaryKeyConstraint('tenant_id', 'approval_id', name='pk_approval'),
    sa.UniqueConstraint('tenant_id', 'pending_key', name='uq_approval_tenant_id_pending_key')
    )
    op.create_index('ix_approval_call', 'approval', ['tenant_id', 'tool', 'argument_digest'], unique=False)
    op.create_index('ix_approval_decider', 'approval', ['decider_tenant', 'status', 'created_at'], unique=False)
    op.create_index('ix_approval_status', 'approval', ['status', 'expires_at'], unique=False)
    op.create_table('approval_comment',
    sa.Column('tenant_id', sa.String(length=64), nullable=False),
    sa.Column('approval_id', sa.String(length=64), nullable=False),
    sa.Column('comment_id', sa.String(length=64), nullable=False),
    sa.Column('author', sa.String(length=64), nullable=False),
    sa.Column('author_tenant', sa.String(length=64), nullable=False),
    sa.Column('content', sa.Text(), nullable=False),
    sa.Column('created_at', sa.Float(), nullable=False),
    sa.PrimaryKeyConstraint('tenant_id', 'approval_id', 'comment_id', name='pk_approval_comment')
    )
    op.create_table('approval_rule',
    sa.Column('tenant_id', sa.String(length=64), nullable=False),
    sa.Column('rules', sa.Text(), nullable=False),
    sa.Column('version', sa.Integer(), nullable=False),
    sa.Column('updated_by', sa.String(length=64), nullable=False),
    sa.Column('updated_at', sa.Float(), nullable=False),
    sa.PrimaryKeyConstraint('tenant_id', name='pk_approval_rule')
    )
    op.create_table('notice',
    sa.Column('tenant_id', sa.String(length=64), nullable=False),
    sa.Column('notice_id', sa.String(length=64), nullable=False),
    sa.Column('destination_id', sa.String(length=64), nullable=False),
    sa.Column('event', sa.String(length=64), nullable=False),
    sa.Column('payload', sa.LargeBinary(), nullable=False),
    sa.Column('status', sa.String(length=16), nullable=False),
    sa.Column('attempt', sa.Integer(), nullable=False),
    sa.Column('due_at', sa.Float(), nullable=True),
    sa.Column('error', sa.Text(), nullable=False),
    sa.Column('created_at', sa.Float(), nullable=False),
    sa.PrimaryKeyConstraint('tenant_id', 'notice_id', name='pk_notice')
    )
    op.create_index('ix_notice_created', 'notice', ['tenant_id', 'created_at'], unique=False)
    op.create_index('ix_notice_due', 'notice', ['due_at'], unique=False)
    op.create_table('notice_destination',
    sa.Column('tenant_id', sa.String(length=64), nullable=False),
    sa.Column('destination_id', sa.String(length=64), nullable=False),
    sa.Column('name', sa.String(length=255), nullable=False),
    sa.Column('kind', sa.String(length=16), nullable=False),
    sa.Column('target', sa.Text(), nullable=False),
    sa.Column('events', sa.Text(), nullable=False),
    sa.Column('secret', sa.LargeBinary(), nullable=True),
    sa.Column('created_at', sa.Float(), nullable=False),
    sa.Column('updated_at', sa.Float(), nullable=False),
    sa.PrimaryKeyConstraint('tenant_id', 'destination_id', name='pk_notice_destination')
    )
    op.create_table('project',
    sa.Column('tenant_id', sa.String(length=64), nullable=False),
    sa.Column('project_id', sa.String(length=64), nullable=False),
    sa.Column('name', sa.String(length=255), nullable=False),
    sa.Column('name_key', sa.String(length=255), nullable=True),
    sa.Column('description', sa.Text(), nullable=False),
    sa.Column('created_by', sa.String(length=64), nullable=False),
    sa.Column('version', sa.Integer(), nullable=False),
    sa.Column('created_at', sa.Float(), nullable=False),
    sa.Column('updated_at', sa.Float(), nullable=False),
    sa.Column('archived_at', sa.Float(), nullable=True),
    sa.PrimaryKeyConstraint('tenant_id', 'project_id', name='pk_project'),
    sa.UniqueConstraint('tenant_id', 'name_key', name='uq_project_tenant_id_name_key')
    )
    op.create_index('ix_project_id', 'project', ['project_id'], unique=False)
    op.create_table('share',
    sa.Column('tenant_id', sa.String(length=64), nullable=False),
    sa.Column('share_id', sa.String(length=64), nullable=False),
    sa.Column('guest_tenant', sa.String(length=64), nullable=False),
    sa.Column('project_tenant', sa.String(length=64), nullable=False),
    sa.Column('project_id', sa.String(length=64), nullable=False),
    sa.Column('dataset_id', sa.String(length=64), nullable=False),
    sa.Column('active_key', sa.String(length=255), nullable=True),
    sa.Column('approval_id', sa.String(length=64), nullable=False),
    sa.Column('created_at', sa.Float(), nullable=False),
    sa.Column('revoked_at', sa.Float(), nullable=True),
    sa.Column('revoked_by', sa.String(length=64), nullable=False),
    sa.PrimaryKeyConstraint('tenant_id', 'share_id', name='pk_share'),
    sa.UniqueConstraint('tenant_id', 'active_key', name='uq_share_tenant_id_active_key')
    )
    op.create_index('ix_share_guest', 'share', ['guest_tenant', 'revoked_at'], unique=False)
    op.create_index('ix_dataset_id', 'dataset', ['dataset_id'], unique=False)


def downgrade() -> None:
    op.drop_index('ix_dataset_id', table_name='dataset')
    op.drop_index('ix_share_guest', table_name='share')
    op.drop_table('share')
    op.drop_index('ix_project_id', table_name='project')
    op.drop_table('project')
    op.drop_table('notice_destination')
    op.drop_index('ix_notice_due', table_name='notice')
    op.drop_index('ix_notice_created', table_name='notice')
    op.drop_table('notice')
    op.drop_table('approval_rule')
    op.drop_table('approval_comment')
    op.drop_index('ix_approval_status', table_name='approval')
    op.drop_index('ix_approval_decider', table_name='approval')
    op.drop_index('ix_approval_call', table_name='approval')
    op.drop_table('approval')
