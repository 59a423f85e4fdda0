"""Every route of the Identity API.

Rules with `own` in their name let anyone in; the handler looks whose it is.
"""

from zones.api import faults
from zones.api.identity import app_credentials, projects, roles, tokens, users, versions
from zones.api.wsgi import Dialect, Route, Routes

ROUTES: Routes = {
    "/": {"GET": Route(versions.index, None)},
    "/v3": {"GET": Route(versions.show, None)},
    "/v3/auth/tokens": {
        "POST": Route(tokens.create, None),
        "GET": Route(tokens.show, "identity:own_token"),
        "DELETE": Route(tokens.revoke, "identity:own_token"),
    },
    "/v3/auth/catalog": {"GET": Route(tokens.catalog, "identity:get_auth_catalog")},
    "/v3/auth/projects": {"GET": Route(tokens.projects, "identity:get_auth_projects")},
    "/v3/auth/domains": {"GET": Route(versions.no_domains, "identity:get_auth_domains")},
    "/v3/domains": {"GET": Route(versions.domains, "identity:list_domains")},
    "/v3/domains/{domain_id}": {"GET": Route(versions.domain, "identity:get_domain")},
    "/v3/projects": {
        "GET": Route(projects.index, "identity:list_projects"),
        "POST": Route(projects.create, "identity:create_project"),
    },
    "/v3/projects/{project_id}": {
        "GET": Route(projects.show, "identity:own_project"),
        "PATCH": Route(projects.update, "identity:update_project"),
        "DELETE": Route(projects.delete, "identity:delete_project"),
    },
    "/v3/projects/{project_id}/users/{user_id}/roles": {
        "GET": Route(roles.granted, "identity:list_grants"),
    },
    "/v3/projects/{project_id}/users/{user_id}/roles/{role_id}": {
        "GET": Route(roles.check, "identity:check_grant"),
        "PUT": Route(roles.grant, "identity:create_grant"),
        "DELETE": Route(roles.withdraw, "identity:revoke_grant"),
    },
    "/v3/role_assignments": {"GET": Route(roles.assignments, "identity:own_role_assignments")},
    "/v3/roles": {
        "GET": Route(roles.index, "identity:list_roles"),
        "POST": Route(roles.create, "identity:create_role"),
    },
    "/v3/roles/{role_id}": {
        "GET": Route(roles.show, "identity:get_role"),
        "DELETE": Route(roles.delete, "identity:delete_role"),
    },
    "/v3/users": {
        "GET": Route(users.index, "identity:list_users"),
        "POST": Route(users.create, "identity:create_user"),
    },
    "/v3/users/{user_id}": {
        "GET": Route(users.show, "identity:own_user"),
        "PATCH": Route(users.update, "identity:update_user"),
        "DELETE": Route(users.delete, "identity:delete_user"),
    },
    "/v3/users/{user_id}/password": {"POST": Route(users.change_password, None)},
    "/v3/users/{user_id}/projects": {"GET": Route(users.projects, "identity:own_user")},
    "/v3/users/{user_id}/groups": {"GET": Route(users.groups, "identity:own_user")},
    "/v3/users/{user_id}/application_credentials": {
        "GET": Route(app_credentials.index, "identity:own_application_credentials"),
        "POST": Route(app_credentials.create, "identity:own_application_credentials"),
    },
    "/v3/users/{user_id}/application_credentials/{application_credential_id}": {
        "GET": Route(app_credentials.show, "identity:own_application_credentials"),
        "DELETE": Route(app_credentials.delete, "identity:own_application_credentials"),
    },
}

DIALECT = Dialect(
    version_of=lambda request: (0, 0),
    headers_of=lambda version: {"Vary": "X-Auth-Token"},
    fault=faults.keystone)
