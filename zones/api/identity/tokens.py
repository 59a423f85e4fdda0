"""POST, GET and DELETE /v3/auth/tokens, the catalog, and the projects of a token's user."""

import uuid
from typing import Any

import msgspec

from zones.api.bodies import checked, iso_time
from zones.api.identity.parts import Parts, check_own, listed, token_of
from zones.api.identity.projects import view as project_view
from zones.api.wsgi import Call, Reply
from zones.errors import NotFound, Unauthorized
from zones.identity.login import DOMAIN, Auth
from zones.identity.tokens import Token


class _Body(msgspec.Struct):
    auth: Auth


_body = checked(_Body)


def create(call: Call) -> Reply:
    """POST /v3/auth/tokens: log in, or get a token of another scope."""
    auth = call.json(_body).auth
    text, token = call.parts.identity.log_in.log_in(auth, call.request.remote_addr or "")
    return Reply(201, _view(call, token), {"X-Subject-Token": text})


def show(call: Call) -> Reply:
    """GET and HEAD /v3/auth/tokens: what the token in X-Subject-Token says."""
    text, token = _subject(call)
    check_own(call, _is_own(call, token), "identity:validate_token")
    return Reply(200, _view(call, token), {"X-Subject-Token": text})


def revoke(call: Call) -> Reply:
    """DELETE /v3/auth/tokens: end the token in X-Subject-Token."""
    _, token = _subject(call)
    check_own(call, _is_own(call, token), "identity:revoke_token")
    call.parts.identity.tokens.revoke(token)
    return Reply(204)


def catalog(call: Call) -> Reply:
    """GET /v3/auth/catalog."""
    return Reply(200, {"catalog": _catalog(call), "links": {"self": call.request.path_url}})


def projects(call: Call) -> Reply:
    """GET /v3/auth/projects: those to which the caller can scope a token."""
    rows = call.parts.identity.directory.projects_of(call.caller.user_id)
    return Reply(200, listed(call, "projects", [project_view(call, row) for row in rows]))


def _subject(call: Call) -> tuple[str, Token]:
    text = call.request.headers.get("X-Subject-Token", "")
    try:
        return text, call.parts.identity.tokens.check(text)
    except Unauthorized as error:
        raise NotFound("Could not find token.", code="no_such_token") from error


def _is_own(call: Call, token: Token) -> bool:
    return token_of(call).user_id == token.user_id


def _view(call: Call, token: Token) -> dict[str, Any]:
    shown: dict[str, Any] = {
        "methods": list(token.methods), "issued_at": iso_time(token.issued),
        "expires_at": iso_time(token.expires), "audit_ids": list(token.audit_ids),
        "user": {"id": token.user_id, "name": token.user_name, "domain": DOMAIN,
                 "password_expires_at": None},
    }
    if token.project_id:
        ids = {row["name"]: row["id"] for row in call.parts.identity.directory.rows("role")}
        shown["project"] = {"id": token.project_id, "name": token.project_name, "domain": DOMAIN}
        shown["is_domain"] = False
        shown["roles"] = [{"id": ids.get(name, name), "name": name} for name in token.roles]
        if "nocatalog" not in call.request.GET:
            shown["catalog"] = _catalog(call)
    if token.app_credential:
        shown["application_credential"] = {"id": token.app_credential, "restricted": token.restricted}
    return {"token": shown}


def _catalog(call: Call) -> list[dict[str, Any]]:
    parts: Parts = call.parts
    root = call.request.environ["zones.root_url"]
    return [{
        "type": kind, "name": name, "id": _stable_id(kind),
        "endpoints": [{"id": _stable_id(f"{kind}/{interface}"), "interface": interface,
                       "region": parts.region, "region_id": parts.region, "url": f"{root}{path}"}
                      for interface in ("public", "internal", "admin")],
    } for kind, (name, path) in sorted(parts.services.items())]


def _stable_id(name: str) -> str:
    return uuid.uuid5(uuid.NAMESPACE_OID, f"zones/{name}").hex
