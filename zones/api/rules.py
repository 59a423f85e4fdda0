"""Every policy rule and its default, as data. Names and defaults are those of Nova, Keystone and Glance.

Rules depend on roles only: whose a server or an image is, is part of the query that finds it.
"""

from collections.abc import Mapping

ADMIN, MEMBER, READER, ANYONE = "rule:admin_api", "rule:member_api", "rule:reader_api", "@"
SERVICE, PEER = "rule:service_api", "rule:peer_api"

BASE: Mapping[str, str] = {
    "admin_api": "role:admin",
    "member_api": "role:member or rule:admin_api",
    "reader_api": "role:reader or rule:member_api",
    "service_api": "role:service or rule:admin_api",
    "peer_api": "role:zone_peer or rule:admin_api",
}


def _rules(prefix: str, default: str, names: str) -> dict[str, str]:
    """`prefix` + each of the names, with one default."""
    return {f"{prefix}{name}": default for name in names.split()}


COMPUTE: Mapping[str, str] = {
    # servers
    **_rules("os_compute_api:servers:", READER, "index detail show show:flavor-extra-specs"),
    **_rules("os_compute_api:servers:", MEMBER, """
        create create_image create_image:allow_volume_backed create:attach_network
        create:attach_volume create:trusted_certs rebuild rebuild:trusted_certs update delete
        confirm_resize revert_resize resize reboot start stop create:multiple"""),
    **_rules("os_compute_api:servers:", ADMIN, """
        index:get_all_tenants detail:get_all_tenants allow_all_filters create:forced_host
        create:zero_disk_flavor show:host_status show:host_status:unknown-only"""),
    "os_compute_api:servers:trigger_crash_dump": MEMBER,
    "os_compute_api:os-extended-server-attributes": ADMIN,
    "compute:servers:create:requested_destination": ADMIN,
    "compute:servers:resize:cross_cell": "!",
    # actions
    **_rules("os_compute_api:os-", MEMBER, """
        pause-server:pause pause-server:unpause suspend-server:suspend suspend-server:resume
        rescue unrescue lock-server:lock lock-server:unlock shelve:shelve shelve:unshelve
        create-backup console-output server-password:show server-password:clear
        remote-consoles deferred-delete:restore deferred-delete:force
        multinic:add multinic:remove"""),
    **_rules("os_compute_api:os-", ADMIN, """
        lock-server:unlock:unlock_override shelve:shelve_offload shelve:unshelve_to_host
        migrate-server:migrate migrate-server:migrate:host migrate-server:migrate_live
        migrate-server:migrate_live:host evacuate admin-actions:reset_state
        admin-actions:inject_network_info admin-actions:reset_network server-diagnostics console-auth-tokens
        server-external-events:create"""),
    "os_compute_api:os-admin-password": MEMBER,
    # metadata, tags, addresses, what hangs on a server
    **_rules("os_compute_api:server-metadata:", READER, "index show"),
    **_rules("os_compute_api:server-metadata:", MEMBER, "create update update_all delete"),
    **_rules("os_compute_api:os-server-tags:", READER, "index show"),
    **_rules("os_compute_api:os-server-tags:", MEMBER, "update update_all delete delete_all"),
    **_rules("os_compute_api:ips:", READER, "index show"),
    **_rules("os_compute_api:server-topology:", READER, "index"),
    "os_compute_api:server-topology:host:index": ADMIN,
    **_rules("os_compute_api:os-attach-interfaces:", READER, "list show"),
    **_rules("os_compute_api:os-attach-interfaces:", MEMBER, "create delete"),
    **_rules("os_compute_api:os-volumes-attachments:", READER, "index show"),
    **_rules("os_compute_api:os-volumes-attachments:", MEMBER, "create update delete"),
    "os_compute_api:os-volumes-attachments:swap": ADMIN,
    **_rules("os_compute_api:os-security-groups:", READER, "get show list rule:get"),
    **_rules("os_compute_api:os-security-groups:", MEMBER,
             "create update delete rule:create rule:delete add remove"),
    **_rules("os_compute_api:os-instance-actions:", READER, "list show"),
    **_rules("os_compute_api:os-instance-actions:", ADMIN, "events events:details"),
    "os_compute_api:os-migrations:index": ADMIN,
    **_rules("os_compute_api:servers:migrations:", ADMIN, "index show force_complete delete"),
    # flavors
    "os_compute_api:flavors": ANYONE,
    **_rules("os_compute_api:os-flavor-manage:", ADMIN, "create update delete"),
    **_rules("os_compute_api:os-flavor-extra-specs:", READER, "index show"),
    **_rules("os_compute_api:os-flavor-extra-specs:", ADMIN, "create update delete"),
    **_rules("os_compute_api:os-flavor-access", ADMIN, ":add_tenant_access :remove_tenant_access"),
    "os_compute_api:os-flavor-access": ADMIN,
    # key pairs belong to users, groups to projects
    **_rules("os_compute_api:os-keypairs:", ANYONE, "index show create delete"),
    "os_compute_api:os-keypairs:any_user": ADMIN,
    **_rules("os_compute_api:os-server-groups:", READER, "index show"),
    **_rules("os_compute_api:os-server-groups:", MEMBER, "create delete"),
    "os_compute_api:os-server-groups:index:all_projects": ADMIN,
    # what operators see
    "os_compute_api:os-availability-zone:list": ANYONE,
    "os_compute_api:os-availability-zone:detail": ADMIN,
    **_rules("os_compute_api:os-hypervisors:", ADMIN,
             "list list-detail show uptime search servers statistics"),
    **_rules("os_compute_api:os-services:", ADMIN, "list update delete"),
    **_rules("os_compute_api:os-aggregates:", ADMIN, """
        index show create update delete add_host remove_host set_metadata"""),
    "compute:aggregates:images": ADMIN,
    **_rules("os_compute_api:os-hosts:", ADMIN, "list show update start shutdown reboot"),
    # limits, quotas, usage
    "os_compute_api:limits": ANYONE,
    "os_compute_api:limits:other_project": ADMIN,
    "os_compute_api:os-quota-sets:defaults": ANYONE,
    **_rules("os_compute_api:os-quota-sets:", READER, "show detail"),
    **_rules("os_compute_api:os-quota-sets:", ADMIN, "update delete other_project"),
    **_rules("os_compute_api:os-quota-class-sets:", ADMIN, "show update"),
    "os_compute_api:os-simple-tenant-usage:show": READER,
    "os_compute_api:os-simple-tenant-usage:list": ADMIN,
    "os_compute_api:extensions": ANYONE,
    # proxies of old
    **_rules("os_compute_api:os-networks:", READER, "list show"),
    **_rules("os_compute_api:os-floating-ips:", READER, "list show"),
    **_rules("os_compute_api:os-floating-ips:", MEMBER, "add remove create delete"),
    "os_compute_api:os-floating-ip-pools": ANYONE,
    # zones
    "os_compute_api:os-zones:info": f"{READER} or {PEER}",
    "os_compute_api:os-zones:boot": f"{MEMBER} or {PEER}",
    **_rules("os_compute_api:os-zones:", READER, "dry-run explain"),
    **_rules("os_compute_api:os-zones:", ADMIN, """
        index detail show create update delete cordon tree peers settle dry-run:detail explain:detail"""),
    **_rules("os_compute_api:os-zones:", PEER, "recall changes select images"),
}

PEER_ZONES = frozenset(f"os_compute_api:os-zones:{name}" for name in (
    "info", "boot", "recall", "changes", "select", "images"))
"""What a peer may do with zones, if its roles allow it."""
PEER_SERVERS = frozenset(_rules("os_compute_api:", PEER, """
    servers:show servers:update servers:delete servers:start servers:stop servers:reboot
    servers:resize servers:confirm_resize servers:revert_resize servers:rebuild servers:create_image
    servers:trigger_crash_dump servers:show:flavor-extra-specs servers:migrations:index
    os-pause-server:pause os-pause-server:unpause os-suspend-server:suspend os-suspend-server:resume
    os-rescue os-unrescue os-lock-server:lock os-lock-server:unlock os-admin-password
    os-shelve:shelve os-shelve:shelve_offload os-shelve:unshelve os-create-backup
    os-console-output os-remote-consoles os-server-diagnostics
    os-deferred-delete:force os-deferred-delete:restore
    os-migrate-server:migrate os-migrate-server:migrate_live os-evacuate
    os-admin-actions:reset_state os-admin-actions:reset_network os-admin-actions:inject_network_info
    os-multinic:add os-multinic:remove os-floating-ips:add os-floating-ips:remove
    os-security-groups:list os-security-groups:add os-security-groups:remove
    server-metadata:index server-metadata:show server-metadata:create server-metadata:update
    server-metadata:update_all server-metadata:delete
    os-server-tags:index os-server-tags:show os-server-tags:update os-server-tags:update_all
    os-server-tags:delete os-server-tags:delete_all
    ips:index ips:show os-instance-actions:list os-instance-actions:show
    os-attach-interfaces:list os-attach-interfaces:show os-attach-interfaces:create
    os-attach-interfaces:delete os-volumes-attachments:index os-volumes-attachments:show
    os-volumes-attachments:create os-volumes-attachments:update os-volumes-attachments:delete
    os-server-password:show os-server-password:clear"""))
"""What a peer may do with a server that it booted: everything below /servers/{id}, whatever roles its
user has, for policy was asked where that user entered. Nothing that shows this zone's hosts."""

IDENTITY: Mapping[str, str] = {
    # `own_…` guards routes that anyone may call for itself; the handler asks the other rule for the rest
    **_rules("identity:", ANYONE, """
        own_token own_project own_user own_role_assignments own_application_credentials
        get_auth_catalog get_auth_projects get_auth_domains list_domains get_domain"""),
    **_rules("identity:", SERVICE, "validate_token"),
    **_rules("identity:", READER, "list_roles get_role"),
    **_rules("identity:", ADMIN, """
        revoke_token list_projects get_project create_project update_project delete_project
        list_users get_user create_user update_user delete_user list_user_projects
        create_role delete_role list_grants check_grant create_grant revoke_grant
        list_role_assignments any_application_credential"""),
}

IMAGE: Mapping[str, str] = {
    **_rules("image:", READER, "get_images get_members get_member get_schemas"),
    **_rules("image:", f"{READER} or {SERVICE}", "get_image download_image"),
    **_rules("image:", MEMBER, """
        add_image modify_image delete_image communitize_image
        add_member modify_member delete_member set_tag delete_tag"""),
    "image:upload_image": f"{MEMBER} or {SERVICE}",
    **_rules("image:", ADMIN, "publicize_image deactivate reactivate any_owner set_owner"),
    "image:upload_for_any": SERVICE,
}
