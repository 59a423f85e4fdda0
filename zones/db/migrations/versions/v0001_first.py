"""The first schema."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make every table."""
    _aggregate()
    _app_credential()
    _attempt()
    _flavor()
    _flavor_access()
    _image()
    _image_member()
    _instance_action()
    _keypair()
    _lease()
    _project()
    _quota_limit()
    _quota_usage()
    _revoked_token()
    _role()
    _role_assignment()
    _server()
    _server_group()
    _service()
    _user()
    _work()
    _zone()


def downgrade() -> None:
    """Drop every table."""
    for table in (
        "zone", "work", "user", "service", "server_group", "server", "role_assignment", "role",
        "revoked_token", "quota_usage", "quota_limit", "project", "lease", "keypair", "instance_action",
        "image_member", "image", "flavor_access", "flavor", "attempt", "app_credential", "aggregate",
    ):
        op.drop_table(table)


def _aggregate() -> None:
    op.create_table(
        "aggregate",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False),
        sa.Column("uuid", sa.String(length=36), nullable=True),
        sa.Column("name", sa.String(length=255), nullable=True),
        sa.Column("availability_zone", sa.String(length=255), nullable=True),
        sa.Column("metadata", sa.Text(), nullable=True), sa.Column("hosts", sa.Text(), nullable=True),
        sa.Column("created_at", sa.Double(), nullable=True),
        sa.Column("updated_at", sa.Double(), nullable=True), sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("name"),
    )


def _app_credential() -> None:
    op.create_table(
        "app_credential", sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("user_id", sa.String(length=64), nullable=True),
        sa.Column("project_id", sa.String(length=64), nullable=True),
        sa.Column("name", sa.String(length=255), nullable=True),
        sa.Column("secret_hash", sa.String(length=255), nullable=True),
        sa.Column("roles", sa.Text(), nullable=True),
        sa.Column("unrestricted", sa.Boolean(), nullable=False),
        sa.Column("description", sa.Text(), nullable=True),
        sa.Column("expires_at", sa.Double(), nullable=True),
        sa.Column("created_at", sa.Double(), nullable=True), sa.PrimaryKeyConstraint("id"),
    )
    op.create_index(op.f("ix_app_credential_user_id"), "app_credential", ["user_id"], unique=False)


def _attempt() -> None:
    op.create_table(
        "attempt", sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("server_id", sa.String(length=36), nullable=True),
        sa.Column("n", sa.Integer(), nullable=False), sa.Column("kind", sa.String(length=8), nullable=False),
        sa.Column("target", sa.String(length=255), nullable=True),
        sa.Column("state", sa.String(length=16), nullable=True),
        sa.Column("maybe", sa.Boolean(), nullable=False), sa.Column("vcpus", sa.Integer(), nullable=False),
        sa.Column("ram", sa.Integer(), nullable=False), sa.Column("disk", sa.Integer(), nullable=False),
        sa.Column("explanation", sa.Text(), nullable=True), sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("counted_boot", sa.Integer(), nullable=False),
        sa.Column("counted_seq", sa.BigInteger(), nullable=False),
        sa.Column("created_at", sa.Double(), nullable=True),
        sa.Column("updated_at", sa.Double(), nullable=True),
        sa.Column("answered_at", sa.Double(), nullable=True), sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("attempt_by_state", "attempt", ["state", "updated_at"], unique=False)
    op.create_index(op.f("ix_attempt_server_id"), "attempt", ["server_id"], unique=False)


def _flavor() -> None:
    op.create_table(
        "flavor", sa.Column("id", sa.String(length=255), nullable=False),
        sa.Column("name", sa.String(length=255), nullable=True),
        sa.Column("vcpus", sa.Integer(), nullable=False), sa.Column("ram", sa.Integer(), nullable=False),
        sa.Column("disk", sa.Integer(), nullable=False),
        sa.Column("ephemeral", sa.Integer(), nullable=False),
        sa.Column("swap", sa.Integer(), nullable=False),
        sa.Column("rxtx_factor", sa.Double(), nullable=False),
        sa.Column("is_public", sa.Boolean(), nullable=False),
        sa.Column("disabled", sa.Boolean(), nullable=False),
        sa.Column("description", sa.Text(), nullable=True),
        sa.Column("extra_specs", sa.Text(), nullable=True),
        sa.Column("created_at", sa.Double(), nullable=True),
        sa.Column("updated_at", sa.Double(), nullable=True), sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("name"),
    )


def _flavor_access() -> None:
    op.create_table(
        "flavor_access", sa.Column("flavor_id", sa.String(length=255), nullable=False),
        sa.Column("project_id", sa.String(length=64), nullable=False),
        sa.PrimaryKeyConstraint("flavor_id", "project_id"),
    )


def _image() -> None:
    op.create_table(
        "image", sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("name", sa.String(length=255), nullable=True),
        sa.Column("owner", sa.String(length=64), nullable=True),
        sa.Column("status", sa.String(length=16), nullable=True),
        sa.Column("visibility", sa.String(length=16), nullable=True),
        sa.Column("disk_format", sa.String(length=16), nullable=True),
        sa.Column("container_format", sa.String(length=16), nullable=True),
        sa.Column("size", sa.BigInteger(), nullable=True),
        sa.Column("checksum", sa.String(length=32), nullable=True),
        sa.Column("os_hash_algo", sa.String(length=16), nullable=True),
        sa.Column("os_hash_value", sa.String(length=128), nullable=True),
        sa.Column("min_disk", sa.Integer(), nullable=False),
        sa.Column("min_ram", sa.Integer(), nullable=False),
        sa.Column("protected", sa.Boolean(), nullable=False), sa.Column("tags", sa.Text(), nullable=True),
        sa.Column("properties", sa.Text(), nullable=True),
        sa.Column("created_at", sa.Double(), nullable=True),
        sa.Column("updated_at", sa.Double(), nullable=True),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("feed_seq", sa.BigInteger(), nullable=True), sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("image_by_hash", "image", ["os_hash_value"], unique=False)
    op.create_index("image_by_owner", "image", ["owner", "created_at"], unique=False)


def _image_member() -> None:
    op.create_table(
        "image_member", sa.Column("image_id", sa.String(length=36), nullable=False),
        sa.Column("member", sa.String(length=64), nullable=False),
        sa.Column("status", sa.String(length=16), nullable=True),
        sa.Column("created_at", sa.Double(), nullable=True),
        sa.Column("updated_at", sa.Double(), nullable=True), sa.PrimaryKeyConstraint("image_id", "member"),
    )


def _instance_action() -> None:
    op.create_table(
        "instance_action",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False),
        sa.Column("server_id", sa.String(length=36), nullable=True),
        sa.Column("action", sa.String(length=64), nullable=True),
        sa.Column("request_id", sa.String(length=64), nullable=True),
        sa.Column("op", sa.String(length=36), nullable=True),
        sa.Column("user_id", sa.String(length=64), nullable=True),
        sa.Column("project_id", sa.String(length=64), nullable=True),
        sa.Column("start_time", sa.Double(), nullable=True),
        sa.Column("finish_time", sa.Double(), nullable=True),
        sa.Column("updated_at", sa.Double(), nullable=True),
        sa.Column("result", sa.String(length=16), nullable=True),
        sa.Column("message", sa.Text(), nullable=True),
        sa.Column("host", sa.String(length=255), nullable=True),
        sa.Column("details", sa.Text(), nullable=True), sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("instance_action_by_op", "instance_action", ["op"], unique=False)
    op.create_index(op.f("ix_instance_action_server_id"), "instance_action", ["server_id"], unique=False)


def _keypair() -> None:
    op.create_table(
        "keypair", sa.Column("user_id", sa.String(length=64), nullable=False),
        sa.Column("name", sa.String(length=255), nullable=False),
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("type", sa.String(length=16), nullable=True),
        sa.Column("public_key", sa.Text(), nullable=True),
        sa.Column("fingerprint", sa.String(length=255), nullable=True),
        sa.Column("created_at", sa.Double(), nullable=True), sa.PrimaryKeyConstraint("user_id", "name"),
    )


def _lease() -> None:
    op.create_table(
        "lease", sa.Column("name", sa.String(length=64), nullable=False),
        sa.Column("holder", sa.String(length=255), nullable=True),
        sa.Column("generation", sa.Integer(), nullable=False),
        sa.Column("expires_at", sa.Double(), nullable=True), sa.PrimaryKeyConstraint("name"),
    )


def _project() -> None:
    op.create_table(
        "project", sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("name", sa.String(length=255), nullable=True),
        sa.Column("description", sa.Text(), nullable=True),
        sa.Column("enabled", sa.Boolean(), nullable=False),
        sa.Column("created_at", sa.Double(), nullable=True), sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("name"),
    )


def _quota_limit() -> None:
    op.create_table(
        "quota_limit", sa.Column("project_id", sa.String(length=64), nullable=False),
        sa.Column("resource", sa.String(length=64), nullable=False),
        sa.Column("hard_limit", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("project_id", "resource"),
    )


def _quota_usage() -> None:
    op.create_table(
        "quota_usage", sa.Column("owner_peer", sa.String(length=36), nullable=False),
        sa.Column("project_id", sa.String(length=64), nullable=False),
        sa.Column("instances", sa.Integer(), nullable=False),
        sa.Column("cores", sa.Integer(), nullable=False), sa.Column("ram", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("owner_peer", "project_id"),
    )


def _revoked_token() -> None:
    op.create_table(
        "revoked_token", sa.Column("audit_id", sa.String(length=64), nullable=False),
        sa.Column("expires_at", sa.Double(), nullable=True), sa.PrimaryKeyConstraint("audit_id"),
    )


def _role() -> None:
    op.create_table(
        "role", sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("name", sa.String(length=255), nullable=True), sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("name"),
    )


def _role_assignment() -> None:
    op.create_table(
        "role_assignment", sa.Column("user_id", sa.String(length=64), nullable=False),
        sa.Column("project_id", sa.String(length=64), nullable=False),
        sa.Column("role_id", sa.String(length=64), nullable=False),
        sa.PrimaryKeyConstraint("user_id", "project_id", "role_id"),
    )


def _server() -> None:
    op.create_table(
        "server", sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("owner_peer", sa.String(length=36), nullable=False),
        sa.Column("project_id", sa.String(length=64), nullable=True),
        sa.Column("user_id", sa.String(length=64), nullable=True),
        sa.Column("name", sa.String(length=255), nullable=True),
        sa.Column("hostname", sa.String(length=255), nullable=True),
        sa.Column("description", sa.Text(), nullable=True),
        sa.Column("flavor_id", sa.String(length=255), nullable=True),
        sa.Column("flavor", sa.Text(), nullable=True), sa.Column("old_flavor", sa.Text(), nullable=True),
        sa.Column("image_id", sa.String(length=36), nullable=True),
        sa.Column("vm_state", sa.String(length=32), nullable=True),
        sa.Column("task_state", sa.String(length=32), nullable=True),
        sa.Column("power_state", sa.Integer(), nullable=False),
        sa.Column("hidden", sa.Boolean(), nullable=False),
        sa.Column("host", sa.String(length=255), nullable=True),
        sa.Column("link_id", sa.String(length=36), nullable=True),
        sa.Column("availability_zone", sa.String(length=255), nullable=True),
        sa.Column("locked", sa.Boolean(), nullable=False),
        sa.Column("locked_reason", sa.String(length=255), nullable=True),
        sa.Column("key_name", sa.String(length=255), nullable=True),
        sa.Column("metadata", sa.Text(), nullable=True), sa.Column("tags", sa.Text(), nullable=True),
        sa.Column("addresses", sa.Text(), nullable=True), sa.Column("fault", sa.Text(), nullable=True),
        sa.Column("user_data", sa.Text(), nullable=True),
        sa.Column("config_drive", sa.Boolean(), nullable=False),
        sa.Column("access_ip_v4", sa.String(length=64), nullable=True),
        sa.Column("access_ip_v6", sa.String(length=64), nullable=True),
        sa.Column("reservation_id", sa.String(length=64), nullable=True),
        sa.Column("launch_index", sa.Integer(), nullable=False),
        sa.Column("progress", sa.Integer(), nullable=False),
        sa.Column("group_id", sa.String(length=36), nullable=True),
        sa.Column("created_at", sa.Double(), nullable=True),
        sa.Column("updated_at", sa.Double(), nullable=True),
        sa.Column("launched_at", sa.Double(), nullable=True),
        sa.Column("terminated_at", sa.Double(), nullable=True),
        sa.Column("deleted", sa.Boolean(), nullable=False),
        sa.Column("spec", sa.LargeBinary(), nullable=True),
        sa.Column("attempt_id", sa.String(length=36), nullable=True),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("news_version", sa.Integer(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("feed_seq", sa.BigInteger(), nullable=True),
        sa.Column("quota_cores", sa.Integer(), nullable=False),
        sa.Column("quota_ram", sa.Integer(), nullable=False),
        sa.Column("shelved_image_id", sa.String(length=36), nullable=True), sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("server_by_feed", "server", ["feed_seq"], unique=False)
    op.create_index("server_by_host", "server", ["host"], unique=False)
    op.create_index(
        "server_by_owner", "server", ["owner_peer", "project_id", "deleted", "created_at", "id"],
        unique=False,
    )
    op.create_index("server_by_reservation", "server", ["reservation_id"], unique=False)
    op.create_index("server_by_time", "server", ["deleted", "created_at", "id"], unique=False)
    op.create_index("server_by_update", "server", ["updated_at"], unique=False)


def _server_group() -> None:
    op.create_table(
        "server_group", sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("project_id", sa.String(length=64), nullable=True),
        sa.Column("user_id", sa.String(length=64), nullable=True),
        sa.Column("name", sa.String(length=255), nullable=True),
        sa.Column("policy", sa.String(length=32), nullable=True),
        sa.Column("rules", sa.Text(), nullable=True),
        sa.Column("anchor", sa.String(length=255), nullable=True),
        sa.Column("created_at", sa.Double(), nullable=True), sa.PrimaryKeyConstraint("id"),
    )


def _service() -> None:
    op.create_table(
        "service", sa.Column("host", sa.String(length=255), nullable=False),
        sa.Column("id", sa.String(length=36), nullable=True),
        sa.Column("binary", sa.String(length=64), nullable=True),
        sa.Column("zone", sa.String(length=64), nullable=True),
        sa.Column("boot", sa.Integer(), nullable=False),
        sa.Column("holder", sa.String(length=255), nullable=True),
        sa.Column("heartbeat_at", sa.Double(), nullable=True), sa.Column("hosts", sa.Text(), nullable=True),
        sa.Column("disabled", sa.Boolean(), nullable=False),
        sa.Column("disabled_reason", sa.String(length=255), nullable=True),
        sa.Column("forced_down", sa.Boolean(), nullable=False),
        sa.Column("created_at", sa.Double(), nullable=True),
        sa.Column("updated_at", sa.Double(), nullable=True), sa.PrimaryKeyConstraint("host"),
        sa.UniqueConstraint("id"),
    )


def _user() -> None:
    op.create_table(
        "user", sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("name", sa.String(length=255), nullable=True),
        sa.Column("password_hash", sa.String(length=255), nullable=True),
        sa.Column("enabled", sa.Boolean(), nullable=False),
        sa.Column("default_project_id", sa.String(length=64), nullable=True),
        sa.Column("email", sa.String(length=255), nullable=True),
        sa.Column("description", sa.Text(), nullable=True),
        sa.Column("tokens_from", sa.Integer(), nullable=False),
        sa.Column("created_at", sa.Double(), nullable=True), sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("name"),
    )


def _work() -> None:
    op.create_table(
        "work",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=True),
        sa.Column("server_id", sa.String(length=36), nullable=True),
        sa.Column("attempt_id", sa.String(length=36), nullable=True),
        sa.Column("op", sa.String(length=36), nullable=True),
        sa.Column("host", sa.String(length=255), nullable=True), sa.Column("args", sa.Text(), nullable=True),
        sa.Column("due_at", sa.Double(), nullable=True),
        sa.Column("holder", sa.String(length=255), nullable=True),
        sa.Column("lease_until", sa.Double(), nullable=True),
        sa.Column("tries", sa.Integer(), nullable=False),
        sa.Column("created_at", sa.Double(), nullable=True), sa.PrimaryKeyConstraint("id"),
    )
    op.create_index(op.f("ix_work_server_id"), "work", ["server_id"], unique=False)
    op.create_index("work_by_due", "work", ["due_at"], unique=False)
    op.create_index("work_by_op", "work", ["op"], unique=False)


def _zone() -> None:
    op.create_table(
        "zone", sa.Column("uuid", sa.String(length=64), nullable=False),
        sa.Column("name", sa.String(length=255), nullable=True),
        sa.Column("epoch", sa.String(length=36), nullable=True),
        sa.Column("feed_head", sa.BigInteger(), nullable=False),
        sa.Column("summary", sa.Text(), nullable=True),
        sa.Column("summary_generation", sa.BigInteger(), nullable=False),
        sa.Column("created_at", sa.Double(), nullable=True), sa.PrimaryKeyConstraint("uuid"),
    )
