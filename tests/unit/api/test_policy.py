"""Who may do what: by the defaults, by an operator's file, and never by a rule that is not there."""

import os
import re
from pathlib import Path

import pytest

from zones.api import rules
from zones.api.compute.routes import ROUTES as COMPUTE
from zones.api.identity.routes import ROUTES as IDENTITY
from zones.api.image.routes import ROUTES as IMAGE
from zones.api.policy import DEFAULTS, Policy
from zones.api.wsgi import Routes
from zones.errors import Invalid
from zones.protocol import Caller

SERVERS = "os_compute_api:servers:"


def _caller(*roles: str, user: str = "u", project: str = "p") -> Caller:
    return Caller(user_id=user, project_id=project, roles=frozenset(roles))


@pytest.mark.parametrize("routes", [COMPUTE, IDENTITY, IMAGE])
def test_every_route_names_a_rule_that_there_is(routes: Routes) -> None:
    named = {one.rule for methods in routes.values() for route in methods.values()
             for one in (route if isinstance(route, tuple) else (route,)) if one.rule is not None}
    assert named <= set(DEFAULTS)


def test_every_rule_that_the_code_names_is_there() -> None:
    folder = Path(rules.__file__).parent
    named = {rule for path in folder.rglob("*.py") if path.name != "rules.py"
             for rule in re.findall(r'"((?:os_compute_api|identity|image):[^"{}\s]+)"', path.read_text())}
    assert named <= set(DEFAULTS)
    assert len(named) > 50


def test_the_tables_do_not_name_a_rule_twice() -> None:
    tables = (rules.BASE, rules.COMPUTE, rules.IDENTITY, rules.IMAGE)
    assert sum(len(table) for table in tables) == len(DEFAULTS)


@pytest.mark.parametrize(("roles", "allowed"), [
    ((), {"os_compute_api:flavors"}),
    (("reader",), {"os_compute_api:flavors", f"{SERVERS}index"}),
    (("member",), {"os_compute_api:flavors", f"{SERVERS}index", f"{SERVERS}create",
                   "os_compute_api:os-zones:boot"}),
    (("admin",), {"os_compute_api:flavors", f"{SERVERS}index", f"{SERVERS}create",
                  "os_compute_api:os-services:list", "os_compute_api:os-zones:boot"}),
    (("zone_peer",), {"os_compute_api:flavors", "os_compute_api:os-zones:boot"}),
    (("service",), {"os_compute_api:flavors"}),
])
def test_defaults(roles: tuple[str, ...], allowed: set[str]) -> None:
    policy = Policy()
    asked = {"os_compute_api:flavors", f"{SERVERS}index", f"{SERVERS}create",
             "os_compute_api:os-services:list", "os_compute_api:os-zones:boot"}
    for _ in range(2):
        assert {rule for rule in asked if policy.may(rule, _caller(*roles))} == allowed


def test_a_rule_that_is_not_there_is_our_mistake() -> None:
    with pytest.raises(KeyError):
        Policy().may("os_compute_api:nonsense", _caller("admin"))


class _Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def test_the_file_is_read_again_when_it_changes_once_a_second_at_most(tmp_path: Path) -> None:
    clock, path = _Clock(), tmp_path / "policy.yaml"
    policy = Policy(path, clock=clock)
    rule, member = f"{SERVERS}create", _caller("member")

    def after(text: str | None, seconds: float = 1.0) -> bool:
        if text is None:
            path.unlink()
        else:
            path.write_text(text)
            os.utime(path, ns=(0, int((clock.now + 1) * 1e9)))
        clock.now += seconds
        return policy.may(rule, member)

    assert policy.may(rule, member)
    assert after(f'"{rule}": "role:admin"\n', 0.5)
    clock.now += 0.5
    assert not policy.may(rule, member)
    assert not after(f'"{rule}": "role:member role:admin"\n'), "a bad file leaves the policy as it was"
    assert not after("- no mapping\n")
    assert after(f'"{rule}": "rule:member_api"\n"member_api": "role:member"\n')
    assert not after('"member_api": "role:other"\n')
    assert after(None)


@pytest.mark.parametrize("text", [
    "a: [", "- a", f'"{SERVERS}create": 3', f'"{SERVERS}create": "member"',
    f'"{SERVERS}create": "role:a or or"',
    f'"{SERVERS}create": "rule:nobody"', '"member_api": "rule:reader_api"',
])
def test_a_bad_file_at_the_start_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "policy.yaml"
    path.write_text(text)
    with pytest.raises(Invalid):
        Policy(path)


def test_a_rule_on_users_or_projects_is_not_remembered_by_roles(tmp_path: Path) -> None:
    path = tmp_path / "policy.yaml"
    path.write_text(f'"{SERVERS}create": "rule:ann"\n"ann": "user_id:ann and role:member"\n')
    policy = Policy(path)
    for _ in range(2):
        assert policy.may(f"{SERVERS}create", _caller("member", user="ann"))
        assert not policy.may(f"{SERVERS}create", _caller("member", user="bob"))
        assert not policy.may(f"{SERVERS}create", _caller("reader", user="ann"))
