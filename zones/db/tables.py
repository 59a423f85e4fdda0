"""Every table of a zone's database, in one place. Times are seconds since the epoch (UTC).

Queries stand in the file of their noun; the schema's history in `migrations/`.
"""

from typing import Any

import orjson
import sqlalchemy as sa
from sqlalchemy.engine import Dialect

metadata = sa.MetaData()


class Json(sa.types.TypeDecorator[Any]):
    """A JSON value in a text column, encoded by orjson (17 times faster than json)."""

    impl = sa.Text
    cache_ok = True

    def process_bind_param(self, value: Any, dialect: Dialect) -> str | None:
        """Python value → text."""
        return None if value is None else orjson.dumps(value).decode()

    def process_result_value(self, value: Any, dialect: Dialect) -> Any:
        """Text → Python value."""
        return None if value is None else orjson.loads(value)


BigId = sa.BigInteger().with_variant(sa.Integer, "sqlite")
Time = sa.Double


def _key(name: str, length: int = 64) -> sa.Column[str]:
    return sa.Column(name, sa.String(length), primary_key=True)


def _str(name: str, length: int = 255, default: str | None = None) -> sa.Column[str]:
    return sa.Column(name, sa.String(length), nullable=default is None, default=default)


def _int(name: str, default: int = 0) -> sa.Column[int]:
    return sa.Column(name, sa.Integer, nullable=False, default=default)


def _flag(name: str, default: bool = False) -> sa.Column[bool]:
    return sa.Column(name, sa.Boolean, nullable=False, default=default)


def _time(name: str) -> sa.Column[float]:
    return sa.Column(name, Time)


def _json(name: str) -> sa.Column[Any]:
    return sa.Column(name, Json)


# ------------------------------------------------------------------ the zone itself

zone = sa.Table(
    "zone", metadata, _key("uuid"), _str("name"), _str("epoch", 36),
    sa.Column("feed_head", sa.BigInteger, nullable=False, default=0),
    sa.Column("feed_floor", sa.BigInteger, nullable=False, default=0),
    _json("summary"), sa.Column("summary_generation", sa.BigInteger, nullable=False, default=0),
    _time("summary_at"), _time("created_at"),
)

lease = sa.Table(
    "lease", metadata, _key("name"), _str("holder"), _int("generation"), _time("expires_at"),
)

service = sa.Table(
    "service", metadata, _key("host", 255), sa.Column("id", sa.String(36), unique=True),
    _str("binary", 64), _str("zone", 64), _int("boot"), _str("holder"), _time("heartbeat_at"),
    _json("hosts"), _flag("disabled"), _str("disabled_reason"), _flag("forced_down"),
    _time("created_at"), _time("updated_at"),
)

# ------------------------------------------------------------------ neighbours

link = sa.Table(
    "link", metadata, sa.Column("id", BigId, primary_key=True, autoincrement=True),
    sa.Column("zone_uuid", sa.String(36), unique=True), sa.Column("name", sa.String(255), unique=True),
    _str("relation", 8, "child"), _str("api_url", 1024), _str("auth_url", 1024), _str("username"),
    sa.Column("password", sa.Text), _str("project"), _str("domain", 64, "default"),
    sa.Column("cacert", sa.Text), sa.Column("weight_offset", sa.Double, nullable=False, default=0.0),
    sa.Column("weight_scale", sa.Double, nullable=False, default=1.0), _str("state", 16, "enabled"),
    _flag("is_active"), _str("reason", 64), sa.Column("message", sa.Text), _int("failures"),
    _time("seen_at"), _time("polled_at"), _str("epoch", 36), _str("etag", 128),
    sa.Column("generation", sa.BigInteger, nullable=False, default=0), _json("summary"),
    _time("summary_at"), sa.Column("feed_head", sa.BigInteger, nullable=False, default=0),
    _str("cursor", 64), _str("max_microversion", 8), _int("version", 1), _time("created_at"),
    _time("updated_at"),
)
"""Credentials are sealed. `state`: enabled, cordoned or draining, as the operator says; `is_active`,
`reason` and `message`: as polling finds. `summary` is the last whole answer's `zones`."""

peer = sa.Table(
    "peer", metadata, _key("id", 36), sa.Column("name", sa.String(255), unique=True),
    _str("identity", 8, "foreign"), _flag("enabled", True), _str("zone_uuid", 36), _time("created_at"),
)

peer_user = sa.Table("peer_user", metadata, _key("user_id"),
                     sa.Column("peer_id", sa.String(36), index=True))

peer_project = sa.Table(
    "peer_project", metadata, _key("project_id"), sa.Column("peer_id", sa.String(36), index=True),
    _str("their_id", 64), _time("created_at"),
)
"""A peer's project and the id that it has here, which no other peer's and no local project has."""

incoming = sa.Table(
    "incoming", metadata, _key("peer_id", 36), _key("attempt_id", 36),
    sa.Column("server_id", sa.String(36), index=True), _str("state", 16), _str("code", 64),
    sa.Column("message", sa.Text), _time("created_at"), _time("updated_at"),
)
"""Peers' attempts at this zone: accepted, refused, or cancelled, which also tombstones one never seen."""

operation = sa.Table(
    "operation", metadata, _key("id", 64), sa.Column("peer_id", sa.String(36), nullable=False),
    _str("server_id", 36), _int("status"), _json("headers"), sa.Column("body", sa.LargeBinary),
    sa.Column("created_at", Time, index=True),
)
"""Answers to changes that peers forwarded, replayed to a repeat; status 0 while under way."""

# ------------------------------------------------------------------ servers

server = sa.Table(
    "server", metadata, _key("id", 36), _str("owner_peer", 36, ""), _str("peer_id", 36, ""),
    _str("project_id", 64),
    _str("user_id", 64), _str("name"), _str("hostname"), sa.Column("description", sa.Text),
    _str("flavor_id"), _json("flavor"), _json("old_flavor"), _str("image_id", 36),
    _str("vm_state", 32), _str("task_state", 32), _int("power_state"), _flag("hidden"),
    _str("host"), _str("zone_uuid", 36), _str("availability_zone"), _flag("locked"),
    _str("locked_by", 16), _str("locked_reason"), _str("key_name"), _json("metadata"),
    _json("tags"), _json("addresses"),
    _json("fault"), sa.Column("user_data", sa.Text), _flag("config_drive"), _str("access_ip_v4", 64),
    _str("access_ip_v6", 64), _str("reservation_id", 64), _int("launch_index"), _int("progress"),
    _str("group_id", 36), _time("created_at"), _time("updated_at"), _time("launched_at"),
    _time("terminated_at"), _flag("deleted"), sa.Column("spec", sa.LargeBinary),
    _str("attempt_id", 36), _int("attempts"), _int("news_version"), _int("version", 1),
    sa.Column("feed_seq", sa.BigInteger), _int("quota_cores"), _int("quota_ram"),
    _str("shelved_image_id", 36), _str("origin_attempt", 36), _int("held_version"), _json("host_path"),
)
"""`owner_peer`, `project_id`: whose it is. `peer_id`: the peer that booted it ("" none), under its
attempt `origin_attempt`. `zone_uuid`: the neighbour that has it, by whose documents the row is kept;
None while it is in this zone or nowhere. `hidden`: in no list (deleted while its host is down, or
refused to the peer that booted it). Quota is settled by a document of `held_version` or later."""
sa.Index("server_by_owner", server.c.owner_peer, server.c.project_id, server.c.deleted,
         server.c.created_at, server.c.id)
sa.Index("server_by_time", server.c.deleted, server.c.created_at, server.c.id)
sa.Index("server_by_host", server.c.host)
sa.Index("server_by_reservation", server.c.reservation_id)
sa.Index("server_by_update", server.c.updated_at)
sa.Index("server_by_feed", server.c.peer_id, server.c.feed_seq)
sa.Index("server_by_zone", server.c.zone_uuid)

attempt = sa.Table(
    "attempt", metadata, _key("id", 36), sa.Column("server_id", sa.String(36), index=True),
    _int("n"), _str("kind", 8, "host"), _str("target"), _str("state", 16), _flag("maybe"),
    _int("vcpus"), _int("ram"), _int("disk"), _json("explanation"), _json("reason"),
    sa.Column("counted_boot", sa.BigInteger, nullable=False, default=0),
    sa.Column("counted_seq", sa.BigInteger, nullable=False, default=0),
    _time("created_at"), _time("updated_at"), _time("answered_at"),
)
sa.Index("attempt_by_state", attempt.c.state)
sa.Index("attempt_by_update", attempt.c.updated_at)

work = sa.Table(
    "work", metadata, sa.Column("id", BigId, primary_key=True, autoincrement=True),
    _str("kind", 16), sa.Column("server_id", sa.String(36), index=True), _str("attempt_id", 36),
    _str("op", 36), _str("host"), _str("zone_uuid", 36), _json("args"), _time("due_at"), _str("holder"),
    _time("lease_until"), _int("tries"), _time("created_at"),
)
sa.Index("work_by_due", work.c.due_at)
sa.Index("work_by_op", work.c.op)

instance_action = sa.Table(
    "instance_action", metadata, sa.Column("id", BigId, primary_key=True, autoincrement=True),
    sa.Column("server_id", sa.String(36), index=True), _str("action", 64), _str("request_id", 64),
    _str("op", 36), _str("user_id", 64), _str("project_id", 64), _time("start_time"),
    _time("finish_time"), _time("updated_at"), _str("result", 16), sa.Column("message", sa.Text),
    _str("host"), _json("details"),
)
sa.Index("instance_action_by_op", instance_action.c.op)

server_group = sa.Table(
    "server_group", metadata, _key("id", 36), _str("project_id", 64), _str("user_id", 64),
    _str("name"), _str("policy", 32), _json("rules"), _str("anchor"), _time("created_at"),
)

# ------------------------------------------------------------------ what servers are made of

flavor = sa.Table(
    "flavor", metadata, _key("id", 255), sa.Column("name", sa.String(255), unique=True),
    _int("vcpus"), _int("ram"), _int("disk"), _int("ephemeral"), _int("swap"),
    sa.Column("rxtx_factor", sa.Double, nullable=False, default=1.0), _flag("is_public", True),
    _flag("disabled"), sa.Column("description", sa.Text), _json("extra_specs"),
    _time("created_at"), _time("updated_at"),
)

flavor_access = sa.Table("flavor_access", metadata, _key("flavor_id", 255), _key("project_id"))

keypair = sa.Table(
    "keypair", metadata, _key("user_id"), _key("name", 255), _int("id"), _str("type", 16),
    sa.Column("public_key", sa.Text), _str("fingerprint"), _time("created_at"),
)

quota_limit = sa.Table(
    "quota_limit", metadata, _key("project_id"), _key("resource"), _int("hard_limit"),
)

quota_usage = sa.Table(
    "quota_usage", metadata, _key("owner_peer", 36), _key("project_id"), _int("instances"),
    sa.Column("cores", sa.BigInteger, nullable=False, default=0),
    sa.Column("ram", sa.BigInteger, nullable=False, default=0),
)
"""Sums of what one server's columns hold, so wider: of servers in neighbours these are as those say."""

aggregate = sa.Table(
    "aggregate", metadata, sa.Column("id", BigId, primary_key=True, autoincrement=True),
    sa.Column("uuid", sa.String(36)), sa.Column("name", sa.String(255), unique=True),
    _str("availability_zone"), _json("metadata"), _json("hosts"), _time("created_at"),
    _time("updated_at"),
)

# ------------------------------------------------------------------ identity (embedded)

user = sa.Table(
    "user", metadata, _key("id"), sa.Column("name", sa.String(255), unique=True),
    _str("password_hash"), _flag("enabled", True), _str("default_project_id", 64), _str("email"),
    sa.Column("description", sa.Text), _int("tokens_from"), _time("created_at"),
)

project = sa.Table(
    "project", metadata, _key("id"), sa.Column("name", sa.String(255), unique=True),
    sa.Column("description", sa.Text), _flag("enabled", True), _time("created_at"),
)

role = sa.Table("role", metadata, _key("id"), sa.Column("name", sa.String(255), unique=True))

role_assignment = sa.Table(
    "role_assignment", metadata, _key("user_id"), _key("project_id"), _key("role_id"),
)

app_credential = sa.Table(
    "app_credential", metadata, _key("id"), sa.Column("user_id", sa.String(64), index=True),
    _str("project_id", 64), _str("name"), _str("secret_hash"), _json("roles"),
    _flag("unrestricted"), sa.Column("description", sa.Text), _time("expires_at"),
    _time("created_at"),
)

revoked_token = sa.Table("revoked_token", metadata, _key("audit_id"), _time("expires_at"))

# ------------------------------------------------------------------ image (embedded)

image = sa.Table(
    "image", metadata, _key("id", 36), _str("name"), _str("owner", 64), _str("status", 16),
    _str("visibility", 16), _str("disk_format", 16), _str("container_format", 16),
    sa.Column("size", sa.BigInteger), _str("checksum", 32), _str("os_hash_algo", 16),
    _str("os_hash_value", 128), _int("min_disk"), _int("min_ram"), _flag("protected"),
    _json("tags"), _json("properties"), _time("created_at"), _time("updated_at"),
    _int("version", 1), sa.Column("feed_seq", sa.BigInteger), _str("peer_id", 36, ""),
    _str("zone_uuid", 36),
)
"""`peer_id`: the peer whose user's it is. `zone_uuid`: the neighbour that has the content, None: here."""
sa.Index("image_by_feed", image.c.peer_id, image.c.feed_seq)
sa.Index("image_by_owner", image.c.owner, image.c.created_at)
sa.Index("image_by_hash", image.c.os_hash_value)

image_member = sa.Table(
    "image_member", metadata, _key("image_id", 36), _key("member"), _str("status", 16),
    _time("created_at"), _time("updated_at"),
)
