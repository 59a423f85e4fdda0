"""May this caller do that? oslo.policy over a table of defaults and an operator's policy.yaml.

A decision by roles alone is made once per (rule, roles) and remembered. The file is looked at once a
second at most; one that can't be understood is refused with the reason, and the last good one stays.
"""

import logging
import re
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from oslo_config import cfg
from oslo_policy import policy as oslo

from zones.api.rules import BASE, COMPUTE, IDENTITY, IMAGE, PEER_SERVERS, PEER_ZONES
from zones.errors import Invalid
from zones.protocol import Caller

LOG = logging.getLogger(__name__)
DEFAULTS: Mapping[str, str] = {**BASE, **COMPUTE, **IDENTITY, **IMAGE}
REMEMBERED = 20000
_CHECK = re.compile(r"([^\s():]+):([^\s()]+)")
_WORD = re.compile(r"(?i:and|or|not)|@|!|[^\s():]+:('[^']*'|[^\s()]+)|'[^']*':[^\s()]+")


class Policy:
    """`may(rule, caller)` by `rules` (name → oslo.policy check) and the file at `path`, if there is one."""

    def __init__(self, path: Path | None = None, rules: Mapping[str, str] = DEFAULTS,
                 clock: Callable[[], float] = time.monotonic) -> None:
        self._path = path
        self._defaults = rules
        self._clock = clock
        self._lock = threading.Lock()
        self._looked = clock()
        self._stamp = _stamp(path)
        self._install(rules if self._stamp is None else {**rules, **read(path, rules)})

    def _install(self, rules: Mapping[str, str]) -> None:
        self._enforcer = enforcer_of(rules)
        self._by_roles = {name for name in rules if _depends_on_roles_only(name, rules, frozenset())}
        self._known: dict[tuple[str, frozenset[str]], bool] = {}

    def __contains__(self, rule: str) -> bool:
        """Whether there is a rule of that name."""
        return rule in self._defaults

    def may(self, rule: str, caller: Caller) -> bool:
        """Whether policy allows it on the caller's own project. `KeyError`: no such rule, our mistake.

        A peer may do what peers may, no matter which roles it says that its user has.
        """
        if caller.peer and rule not in PEER_ZONES:
            return rule in PEER_SERVERS
        if self._clock() - self._looked >= 1.0:
            self._look()
        key = (rule, caller.roles)
        known = self._known.get(key)
        if known is None:
            known = self._decide(rule, caller)
            if rule in self._by_roles and len(self._known) < REMEMBERED:
                self._known[key] = known
        return known

    def _decide(self, rule: str, caller: Caller) -> bool:
        if rule not in self._defaults:
            raise KeyError(rule)
        who: dict[str, Any] = {"user_id": caller.user_id, "project_id": caller.project_id}
        return bool(self._enforcer.enforce(rule, who, {**who, "roles": sorted(caller.roles)}))

    def _look(self) -> None:
        with self._lock:
            self._looked = self._clock()
            stamp = _stamp(self._path)
            if stamp == self._stamp:
                return
            self._stamp = stamp
            try:
                self._install(self._defaults if stamp is None
                              else {**self._defaults, **read(self._path, self._defaults)})
                LOG.info("policy was read again from %s", self._path)
            except Invalid as error:
                LOG.error("%s; the policy stays as it was", error)


def read(path: Path | None, defaults: Mapping[str, str]) -> dict[str, str]:
    """The rules in a policy.yaml. Raises `Invalid` with the place and the reason."""
    if path is None:
        return {}
    try:
        found: Any = oslo.parse_file_contents(path.read_text())
    except (OSError, ValueError) as error:
        raise Invalid(f"{path}: {error}", code="bad_policy") from error
    if not isinstance(found, dict):
        raise Invalid(f"{path}: not a mapping of rules", code="bad_policy")
    for name, check in found.items():
        if not isinstance(name, str) or not isinstance(check, str) or not _parses(check):
            raise Invalid(f"{path}: rule {name!r} is not a policy check: {check!r}", code="bad_policy")
        if name not in defaults and ":" in name:
            LOG.warning("%s: rule %s guards nothing here", path, name)
    try:
        enforcer_of({**defaults, **found}).check_rules(raise_on_violation=True)
    except oslo.InvalidDefinitionError as error:
        raise Invalid(f"{path}: {error}", code="bad_policy") from error
    return found


def _parses(check: str) -> bool:
    """oslo.policy makes «never» of what it does not understand; that must not happen unseen."""
    if _WORD.sub("", check).strip(" ()\t\n"):
        return False
    return str(oslo.Rules.from_dict({"it": check})["it"]) != "!" or check.strip() == "!"


def enforcer_of(rules: Mapping[str, str]) -> Any:
    """An enforcer of exactly these rules, with a configuration of its own."""
    conf = cfg.ConfigOpts()
    conf([], project="zones-policy", default_config_files=[], default_config_dirs=[])
    return oslo.Enforcer(conf, rules=oslo.Rules.from_dict(dict(rules)), use_conf=False)


def _depends_on_roles_only(name: str, rules: Mapping[str, str], above: frozenset[str]) -> bool:
    if name in above or name not in rules:
        return False
    return all(kind == "role" or (kind == "rule" and _depends_on_roles_only(match, rules, above | {name}))
               for kind, match in _CHECK.findall(rules[name]))


def _stamp(path: Path | None) -> tuple[int, int] | None:
    """What changes when the file does; None while there is none."""
    try:
        found = path.stat() if path is not None else None
    except FileNotFoundError:
        return None
    return None if found is None else (found.st_mtime_ns, found.st_size)
