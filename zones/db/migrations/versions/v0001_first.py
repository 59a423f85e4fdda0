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
    _incoming()
    _instance_action()
    _keypair()
    _lease()
    _link()
    _operation()
    _peer()
    _peer_project()
    _peer_user()
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
        "revoked_token", "quota_usage", "quota_limit", "project", "peer_user", "peer_project", "peer",
        "operation", "link", "lease", "keypair", "instance_action", "incoming", "image_member", "image",
        "flavor_access", "flavor", "attempt", "app_credential", "aggregate",
    ):
        op.drop_table(table)


def _aggregate() -> None:
    op.create_table(
        "aggregate", sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("uuid", sa.String(36)), sa.Column("name", sa.String(255)),
        sa.Column("availability_zone", sa.String(255)), sa.Column("metadata", sa.Text()),
        sa.Column("hosts", sa.Text()), sa.Column("created_at", sa.Double()),
        sa.Column("updated_at", sa.Double()), sa.PrimaryKeyConstraint("id"), sa.UniqueConstraint("name"),
    )


def _app_credential() -> None:
    op.create_table(
        "app_credential", sa.Column("id", sa.String(64), nullable=False),
        sa.Column("user_id", sa.String(64)), sa.Column("project_id", sa.String(64)),
        sa.Column("name", sa.String(255)), sa.Column("secret_hash", sa.String(255)),
        sa.Column("roles", sa.Text()), sa.Column("unrestricted", sa.Boolean(), nullable=False),
        sa.Column("description", sa.Text()), sa.Column("expires_at", sa.Double()),
        sa.Column("created_at", sa.Double()), sa.PrimaryKeyConstraint("id"),
    )
    op.create_index(op.f("ix_app_credential_user_id"), "app_credential", ["user_id"])


def _attempt() -> None:
    op.create_table(
        "attempt", sa.Column("id", sa.String(36), nullable=False), sa.Column("server_id", sa.String(36)),
        sa.Column("n", sa.Integer(), nullable=False), sa.Column("kind", sa.String(8), nullable=False),
        sa.Column("target", sa.String(255)), sa.Column("state", sa.String(16)),
        sa.Column("maybe", sa.Boolean(), nullable=False), sa.Column("vcpus", sa.Integer(), nullable=False),
        sa.Column("ram", sa.Integer(), nullable=False), sa.Column("disk", sa.Integer(), nullable=False),
        sa.Column("explanation", sa.Text()), sa.Column("reason", sa.Text()),
        sa.Column("counted_boot", sa.BigInteger(), nullable=False),
        sa.Column("counted_seq", sa.BigInteger(), nullable=False), sa.Column("created_at", sa.Double()),
        sa.Column("updated_at", sa.Double()), sa.Column("answered_at", sa.Double()),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("attempt_by_state", "attempt", ["state"])
    op.create_index("attempt_by_update", "attempt", ["updated_at"])
    op.create_index(op.f("ix_attempt_server_id"), "attempt", ["server_id"])


def _flavor() -> None:
    op.create_table(
        "flavor", sa.Column("id", sa.String(255), nullable=False), sa.Column("name", sa.String(255)),
        sa.Column("vcpus", sa.Integer(), nullable=False), sa.Column("ram", sa.Integer(), nullable=False),
        sa.Column("disk", sa.Integer(), nullable=False),
        sa.Column("ephemeral", sa.Integer(), nullable=False),
        sa.Column("swap", sa.Integer(), nullable=False),
        sa.Column("rxtx_factor", sa.Double(), nullable=False),
        sa.Column("is_public", sa.Boolean(), nullable=False),
        sa.Column("disabled", sa.Boolean(), nullable=False), sa.Column("description", sa.Text()),
        sa.Column("extra_specs", sa.Text()), sa.Column("created_at", sa.Double()),
        sa.Column("updated_at", sa.Double()), sa.PrimaryKeyConstraint("id"), sa.UniqueConstraint("name"),
    )


def _flavor_access() -> None:
    op.create_table(
        "flavor_access", sa.Column("flavor_id", sa.String(255), nullable=False),
        sa.Column("project_id", sa.String(64), nullable=False),
        sa.PrimaryKeyConstraint("flavor_id", "project_id"),
    )


def _image() -> None:
    op.create_table(
        "image", sa.Column("id", sa.String(36), nullable=False), sa.Column("name", sa.String(255)),
        sa.Column("owner", sa.String(64)), sa.Column("status", sa.String(16)),
        sa.Column("visibility", sa.String(16)), sa.Column("disk_format", sa.String(16)),
        sa.Column("container_format", sa.String(16)), sa.Column("size", sa.BigInteger()),
        sa.Column("checksum", sa.String(32)), sa.Column("os_hash_algo", sa.String(16)),
        sa.Column("os_hash_value", sa.String(128)), sa.Column("min_disk", sa.Integer(), nullable=False),
        sa.Column("min_ram", sa.Integer(), nullable=False),
        sa.Column("protected", sa.Boolean(), nullable=False), sa.Column("tags", sa.Text()),
        sa.Column("properties", sa.Text()), sa.Column("created_at", sa.Double()),
        sa.Column("updated_at", sa.Double()), sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("feed_seq", sa.BigInteger()), sa.Column("peer_id", sa.String(36), nullable=False),
        sa.Column("zone_uuid", sa.String(36)), sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("image_by_feed", "image", ["peer_id", "feed_seq"])
    op.create_index("image_by_hash", "image", ["os_hash_value"])
    op.create_index("image_by_owner", "image", ["owner", "created_at"])


def _image_member() -> None:
    op.create_table(
        "image_member", sa.Column("image_id", sa.String(36), nullable=False),
        sa.Column("member", sa.String(64), nullable=False), sa.Column("status", sa.String(16)),
        sa.Column("created_at", sa.Double()), sa.Column("updated_at", sa.Double()),
        sa.PrimaryKeyConstraint("image_id", "member"),
    )


def _incoming() -> None:
    op.create_table(
        "incoming", sa.Column("peer_id", sa.String(36), nullable=False),
        sa.Column("attempt_id", sa.String(36), nullable=False), sa.Column("server_id", sa.String(36)),
        sa.Column("state", sa.String(16)), sa.Column("code", sa.String(64)), sa.Column("message", sa.Text()),
        sa.Column("created_at", sa.Double()), sa.Column("updated_at", sa.Double()),
        sa.PrimaryKeyConstraint("peer_id", "attempt_id"),
    )
    op.create_index(op.f("ix_incoming_server_id"), "incoming", ["server_id"])


def _instance_action() -> None:
    op.create_table(
        "instance_action",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("server_id", sa.String(36)), sa.Column("action", sa.String(64)),
        sa.Column("request_id", sa.String(64)), sa.Column("op", sa.String(36)),
        sa.Column("user_id", sa.String(64)), sa.Column("project_id", sa.String(64)),
        sa.Column("start_time", sa.Double()), sa.Column("finish_time", sa.Double()),
        sa.Column("updated_at", sa.Double()), sa.Column("result", sa.String(16)),
        sa.Column("message", sa.Text()), sa.Column("host", sa.String(255)), sa.Column("details", sa.Text()),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("instance_action_by_op", "instance_action", ["op"])
    op.create_index(op.f("ix_instance_action_server_id"), "instance_action", ["server_id"])


def _keypair() -> None:
    op.create_table(
        "keypair", sa.Column("user_id", sa.String(64), nullable=False),
        sa.Column("name", sa.String(255), nullable=False), sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("type", sa.String(16)), sa.Column("public_key", sa.Text()),
        sa.Column("fingerprint", sa.String(255)), sa.Column("created_at", sa.Double()),
        sa.PrimaryKeyConstraint("user_id", "name"),
    )


def _lease() -> None:
    op.create_table(
        "lease", sa.Column("name", sa.String(64), nullable=False), sa.Column("holder", sa.String(255)),
        sa.Column("generation", sa.Integer(), nullable=False), sa.Column("expires_at", sa.Double()),
        sa.PrimaryKeyConstraint("name"),
    )


def _link() -> None:
    op.create_table(
        "link", sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("zone_uuid", sa.String(36)), sa.Column("name", sa.String(255)),
        sa.Column("relation", sa.String(8), nullable=False), sa.Column("api_url", sa.String(1024)),
        sa.Column("auth_url", sa.String(1024)), sa.Column("username", sa.String(255)),
        sa.Column("password", sa.Text()), sa.Column("project", sa.String(255)),
        sa.Column("domain", sa.String(64), nullable=False), sa.Column("cacert", sa.Text()),
        sa.Column("weight_offset", sa.Double(), nullable=False),
        sa.Column("weight_scale", sa.Double(), nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("is_active", sa.Boolean(), nullable=False), sa.Column("reason", sa.String(64)),
        sa.Column("message", sa.Text()), sa.Column("failures", sa.Integer(), nullable=False),
        sa.Column("seen_at", sa.Double()), sa.Column("polled_at", sa.Double()),
        sa.Column("epoch", sa.String(36)), sa.Column("etag", sa.String(128)),
        sa.Column("generation", sa.BigInteger(), nullable=False), sa.Column("summary", sa.Text()),
        sa.Column("summary_at", sa.Double()), sa.Column("feed_head", sa.BigInteger(), nullable=False),
        sa.Column("cursor", sa.String(64)), sa.Column("max_microversion", sa.String(8)),
        sa.Column("version", sa.Integer(), nullable=False), sa.Column("created_at", sa.Double()),
        sa.Column("updated_at", sa.Double()), sa.PrimaryKeyConstraint("id"), sa.UniqueConstraint("name"),
        sa.UniqueConstraint("zone_uuid"),
    )


def _operation() -> None:
    op.create_table(
        "operation", sa.Column("id", sa.String(64), nullable=False),
        sa.Column("peer_id", sa.String(36), nullable=False), sa.Column("server_id", sa.String(36)),
        sa.Column("status", sa.Integer(), nullable=False), sa.Column("headers", sa.Text()),
        sa.Column("body", sa.LargeBinary()), sa.Column("created_at", sa.Double()),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index(op.f("ix_operation_created_at"), "operation", ["created_at"])


def _peer() -> None:
    op.create_table(
        "peer", sa.Column("id", sa.String(36), nullable=False), sa.Column("name", sa.String(255)),
        sa.Column("identity", sa.String(8), nullable=False),
        sa.Column("enabled", sa.Boolean(), nullable=False), sa.Column("zone_uuid", sa.String(36)),
        sa.Column("created_at", sa.Double()), sa.PrimaryKeyConstraint("id"), sa.UniqueConstraint("name"),
    )


def _peer_project() -> None:
    op.create_table(
        "peer_project", sa.Column("project_id", sa.String(64), nullable=False),
        sa.Column("peer_id", sa.String(36)), sa.Column("their_id", sa.String(64)),
        sa.Column("created_at", sa.Double()), sa.PrimaryKeyConstraint("project_id"),
    )
    op.create_index(op.f("ix_peer_project_peer_id"), "peer_project", ["peer_id"])


def _peer_user() -> None:
    op.create_table(
        "peer_user", sa.Column("user_id", sa.String(64), nullable=False),
        sa.Column("peer_id", sa.String(36)), sa.PrimaryKeyConstraint("user_id"),
    )
    op.create_index(op.f("ix_peer_user_peer_id"), "peer_user", ["peer_id"])


def _project() -> None:
    op.create_table(
        "project", sa.Column("id", sa.String(64), nullable=False), sa.Column("name", sa.String(255)),
        sa.Column("description", sa.Text()), sa.Column("enabled", sa.Boolean(), nullable=False),
        sa.Column("created_at", sa.Double()), sa.PrimaryKeyConstraint("id"), sa.UniqueConstraint("name"),
    )


def _quota_limit() -> None:
    op.create_table(
        "quota_limit", sa.Column("project_id", sa.String(64), nullable=False),
        sa.Column("resource", sa.String(64), nullable=False),
        sa.Column("hard_limit", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("project_id", "resource"),
    )


def _quota_usage() -> None:
    op.create_table(
        "quota_usage", sa.Column("owner_peer", sa.String(36), nullable=False),
        sa.Column("project_id", sa.String(64), nullable=False),
        sa.Column("instances", sa.Integer(), nullable=False),
        sa.Column("cores", sa.BigInteger(), nullable=False),
        sa.Column("ram", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("owner_peer", "project_id"),
    )


def _revoked_token() -> None:
    op.create_table(
        "revoked_token", sa.Column("audit_id", sa.String(64), nullable=False),
        sa.Column("expires_at", sa.Double()), sa.PrimaryKeyConstraint("audit_id"),
    )


def _role() -> None:
    op.create_table(
        "role", sa.Column("id", sa.String(64), nullable=False), sa.Column("name", sa.String(255)),
        sa.PrimaryKeyConstraint("id"), sa.UniqueConstraint("name"),
    )


def _role_assignment() -> None:
    op.create_table(
        "role_assignment", sa.Column("user_id", sa.String(64), nullable=False),
        sa.Column("project_id", sa.String(64), nullable=False),
        sa.Column("role_id", sa.String(64), nullable=False),
        sa.PrimaryKeyConstraint("user_id", "project_id", "role_id"),
    )


def _server() -> None:
    op.create_table(
        "server", sa.Column("id", sa.String(36), nullable=False),
        sa.Column("owner_peer", sa.String(36), nullable=False),
        sa.Column("peer_id", sa.String(36), nullable=False), sa.Column("project_id", sa.String(64)),
        sa.Column("user_id", sa.String(64)), sa.Column("name", sa.String(255)),
        sa.Column("hostname", sa.String(255)), sa.Column("description", sa.Text()),
        sa.Column("flavor_id", sa.String(255)), sa.Column("flavor", sa.Text()),
        sa.Column("old_flavor", sa.Text()), sa.Column("image_id", sa.String(36)),
        sa.Column("vm_state", sa.String(32)), sa.Column("task_state", sa.String(32)),
        sa.Column("power_state", sa.Integer(), nullable=False),
        sa.Column("hidden", sa.Boolean(), nullable=False), sa.Column("host", sa.String(255)),
        sa.Column("zone_uuid", sa.String(36)), sa.Column("availability_zone", sa.String(255)),
        sa.Column("locked", sa.Boolean(), nullable=False), sa.Column("locked_by", sa.String(16)),
        sa.Column("locked_reason", sa.String(255)), sa.Column("key_name", sa.String(255)),
        sa.Column("metadata", sa.Text()), sa.Column("tags", sa.Text()), sa.Column("addresses", sa.Text()),
        sa.Column("fault", sa.Text()), sa.Column("user_data", sa.Text()),
        sa.Column("config_drive", sa.Boolean(), nullable=False), sa.Column("access_ip_v4", sa.String(64)),
        sa.Column("access_ip_v6", sa.String(64)), sa.Column("reservation_id", sa.String(64)),
        sa.Column("launch_index", sa.Integer(), nullable=False),
        sa.Column("progress", sa.Integer(), nullable=False), sa.Column("group_id", sa.String(36)),
        sa.Column("created_at", sa.Double()), sa.Column("updated_at", sa.Double()),
        sa.Column("launched_at", sa.Double()), sa.Column("terminated_at", sa.Double()),
        sa.Column("deleted", sa.Boolean(), nullable=False), sa.Column("spec", sa.LargeBinary()),
        sa.Column("attempt_id", sa.String(36)), sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("news_version", sa.Integer(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False), sa.Column("feed_seq", sa.BigInteger()),
        sa.Column("quota_cores", sa.Integer(), nullable=False),
        sa.Column("quota_ram", sa.Integer(), nullable=False), sa.Column("shelved_image_id", sa.String(36)),
        sa.Column("origin_attempt", sa.String(36)), sa.Column("held_version", sa.Integer(), nullable=False),
        sa.Column("host_path", sa.Text()), sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("server_by_feed", "server", ["peer_id", "feed_seq"])
    op.create_index("server_by_host", "server", ["host"])
    op.create_index("server_by_owner", "server", ["owner_peer", "project_id", "deleted", "created_at", "id"])
    op.create_index("server_by_reservation", "server", ["reservation_id"])
    op.create_index("server_by_time", "server", ["deleted", "created_at", "id"])
    op.create_index("server_by_update", "server", ["updated_at"])
    op.create_index("server_by_zone", "server", ["zone_uuid"])


def _server_group() -> None:
    op.create_table(
        "server_group", sa.Column("id", sa.String(36), nullable=False),
        sa.Column("project_id", sa.String(64)), sa.Column("user_id", sa.String(64)),
        sa.Column("name", sa.String(255)), sa.Column("policy", sa.String(32)), sa.Column("rules", sa.Text()),
        sa.Column("anchor", sa.String(255)), sa.Column("created_at", sa.Double()),
        sa.PrimaryKeyConstraint("id"),
    )


def _service() -> None:
    op.create_table(
        "service", sa.Column("host", sa.String(255), nullable=False), sa.Column("id", sa.String(36)),
        sa.Column("binary", sa.String(64)), sa.Column("zone", sa.String(64)),
        sa.Column("boot", sa.Integer(), nullable=False), sa.Column("holder", sa.String(255)),
        sa.Column("heartbeat_at", sa.Double()), sa.Column("hosts", sa.Text()),
        sa.Column("disabled", sa.Boolean(), nullable=False), sa.Column("disabled_reason", sa.String(255)),
        sa.Column("forced_down", sa.Boolean(), nullable=False), sa.Column("created_at", sa.Double()),
        sa.Column("updated_at", sa.Double()), sa.PrimaryKeyConstraint("host"), sa.UniqueConstraint("id"),
    )


def _user() -> None:
    op.create_table(
        "user", sa.Column("id", sa.String(64), nullable=False), sa.Column("name", sa.String(255)),
        sa.Column("password_hash", sa.String(255)), sa.Column("enabled", sa.Boolean(), nullable=False),
        sa.Column("default_project_id", sa.String(64)), sa.Column("email", sa.String(255)),
        sa.Column("description", sa.Text()), sa.Column("tokens_from", sa.Integer(), nullable=False),
        sa.Column("created_at", sa.Double()), sa.PrimaryKeyConstraint("id"), sa.UniqueConstraint("name"),
    )


def _work() -> None:
    op.create_table(
        "work", sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("kind", sa.String(16)), sa.Column("server_id", sa.String(36)),
        sa.Column("attempt_id", sa.String(36)), sa.Column("op", sa.String(36)),
        sa.Column("host", sa.String(255)), sa.Column("zone_uuid", sa.String(36)),
        sa.Column("args", sa.Text()), sa.Column("due_at", sa.Double()), sa.Column("holder", sa.String(255)),
        sa.Column("lease_until", sa.Double()), sa.Column("tries", sa.Integer(), nullable=False),
        sa.Column("created_at", sa.Double()), sa.PrimaryKeyConstraint("id"),
    )
    op.create_index(op.f("ix_work_server_id"), "work", ["server_id"])
    op.create_index("work_by_due", "work", ["due_at"])
    op.create_index("work_by_op", "work", ["op"])


def _zone() -> None:
    op.create_table(
        "zone", sa.Column("uuid", sa.String(64), nullable=False), sa.Column("name", sa.String(255)),
        sa.Column("epoch", sa.String(36)), sa.Column("feed_head", sa.BigInteger(), nullable=False),
        sa.Column("feed_floor", sa.BigInteger(), nullable=False), sa.Column("summary", sa.Text()),
        sa.Column("summary_generation", sa.BigInteger(), nullable=False),
        sa.Column("summary_at", sa.Double()), sa.Column("created_at", sa.Double()),
        sa.PrimaryKeyConstraint("uuid"),
    )
