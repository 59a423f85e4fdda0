"""One frozen `Config`, read in one place by oslo.config; every part gets only its own values.

`load(argv)` reads the command line and, when named, configuration files in oslo.config's INI form.
Every option has a default with which `bin/zone-manager` runs a whole zone by itself.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from oslo_config import cfg, types

from zones import __version__
from zones.errors import Invalid

ROLES = ("api", "manager", "scheduler", "compute")
"""What a process can be: serve HTTP, keep the zone's view, place and follow servers, own hosts."""


@dataclass(frozen=True)
class Api:
    """The endpoint. `workers` above one are processes that share the port (SO_REUSEPORT)."""

    host: str = "127.0.0.1"
    port: int = 8774
    public_url: str = ""
    workers: int = 1
    tls_cert: str = ""
    tls_key: str = ""
    max_backlog: int = 20000
    max_limit: int = 1000

    @property
    def url(self) -> str:
        """What clients are told: `public_url`, or what follows from host, port and TLS."""
        scheme = "https" if self.tls_cert else "http"
        return self.public_url.rstrip("/") or f"{scheme}://{self.host}:{self.port}"


@dataclass(frozen=True)
class Identity:
    """Who may log in. The embedded backend keeps users in the zone's database."""

    backend: str = "embedded"
    token_ttl: int = 3600
    admin_password: str = ""


@dataclass(frozen=True)
class Image:
    """The embedded image service, sizes in bytes; and where a compute service elsewhere finds it.

    With `auth_url` a process without the API sends snapshots there over HTTP, as `username`.
    """

    backend: str = "embedded"
    max_size: int = 64 * 2**30
    keep_free: int = 256 * 2**20
    auth_url: str = ""
    username: str = ""
    password: str = ""
    project: str = "service"
    cacert: str = ""


@dataclass(frozen=True)
class Quota:
    """Limits of a project that has none of its own; -1 is no limit. RAM in MiB."""

    instances: int = 100
    cores: int = 400
    ram: int = 1024 * 1024
    key_pairs: int = 100
    server_groups: int = 10
    server_group_members: int = 100
    metadata_items: int = 128
    injected_files: int = 5
    injected_file_content_bytes: int = 10240
    injected_file_path_bytes: int = 255


@dataclass(frozen=True)
class Placement:
    """What a host can hold: size × ratio − reserve."""

    cpu_allocation_ratio: float = 4.0
    ram_allocation_ratio: float = 1.0
    disk_allocation_ratio: float = 1.0
    reserved_ram: int = 0
    reserved_disk: int = 0
    ram_weight: float = 1.0
    cpu_weight: float = 1.0
    disk_weight: float = 1.0
    count_weight: float = 0.5
    default_availability_zone: str = "nova"


@dataclass(frozen=True)
class Timing:
    """Every interval and patience, in seconds."""

    capability_interval: float = 10.0
    resend: float = 5.0
    lease: float = 30.0
    poll_work: float = 1.0
    unknown_after: float = 600.0
    service_down: float = 30.0
    monitor: float = 10.0
    ask: float = 15.0
    shutdown: float = 20.0
    retention: float = 86400.0
    database_patience: float = 30.0


@dataclass(frozen=True)
class Compute:
    """One compute service: its name, its driver and the driver's own options."""

    name: str = "compute-1"
    driver: str = "simulated"
    concurrency: int = 64
    spawn_timeout: float = 300.0
    options: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Config:
    """All of it."""

    name: str = "zone"
    data_dir: Path = Path("zone-data")
    roles: tuple[str, ...] = ROLES
    region: str = "RegionOne"
    database_url: str = ""
    amqp_url: str = "memory://"
    capabilities: dict[str, list[str]] = field(default_factory=dict)
    log_level: str = "INFO"
    workers: int = 2
    api: Api = field(default_factory=Api)
    identity: Identity = field(default_factory=Identity)
    image: Image = field(default_factory=Image)
    quota: Quota = field(default_factory=Quota)
    placement: Placement = field(default_factory=Placement)
    timing: Timing = field(default_factory=Timing)
    compute: Compute = field(default_factory=Compute)

    @property
    def database(self) -> str:
        """The database's URL: SQLite in the data folder unless told otherwise."""
        return self.database_url or f"sqlite:///{self.data_dir / 'zone.sqlite'}"


_SECTIONS: dict[str, type] = {
    "api": Api, "identity": Identity, "image": Image, "quota": Quota, "placement": Placement,
    "timing": Timing,
}
_HELP = {
    "name": "the zone's name, as other zones will see it",
    "data_dir": "folder of the database, keys, images and ledgers (made when missing)",
    "roles": f"comma-separated roles of this process, of: {', '.join(ROLES)}",
    "region": "region name in the service catalog",
    "database_url": "SQLAlchemy URL (postgresql://…); default: SQLite in the data folder",
    "amqp_url": "broker URL (amqp://…); memory:// serves one process",
    "capability": "a static capability of this zone, key=value;value (repeat)",
    "log_level": "DEBUG, INFO, WARNING or ERROR",
    "workers": "scheduler workers in this process",
}


def _opt(name: str, default: Any, help_text: str = "") -> cfg.Opt:
    kind: Any = {bool: types.Boolean(), int: types.Integer(), float: types.Float()}.get(
        type(default), types.String())
    return cfg.Opt(name.replace("_", "-"), type=kind, default=default, help=help_text)


def _options() -> tuple[list[cfg.Opt], dict[str, list[cfg.Opt]], list[cfg.Opt]]:
    plain = Config()
    top = [_opt(name, str(getattr(plain, name)), _HELP[name])
           for name in ("name", "data_dir", "region", "database_url", "amqp_url", "log_level")]
    top += [_opt("workers", plain.workers, _HELP["workers"]),
            cfg.ListOpt("roles", default=list(ROLES), help=_HELP["roles"]),
            cfg.MultiStrOpt("capability", default=[], help=_HELP["capability"])]
    sections = {name: [_opt(key, value, "") for key, value in vars(kind()).items()]
                for name, kind in _SECTIONS.items()}
    compute = [_opt(key, value, "") for key, value in vars(Compute()).items() if key != "options"]
    return top, sections, compute


def load(argv: Sequence[str], program: str = "zone-manager") -> Config:
    """The configuration that `argv` and the files it names give. Raises `Invalid` with the reason."""
    conf = cfg.ConfigOpts()
    top, sections, compute = _options()
    conf.register_cli_opts(top)
    conf.register_cli_opts([_opt("host", None, "address to listen on (default 127.0.0.1)"),
                            cfg.IntOpt("port", help="port to listen on (default 8774)", min=1, max=65535)])
    for name, options in sections.items():
        conf.register_opts(options, group=name)
    conf.register_opts(compute, group="compute")
    conf.register_opt(cfg.MultiStrOpt("option", default=[], help="driver option, name=value"),
                      group="compute")
    try:
        conf(list(argv), project="zones", prog=program, version=__version__,
             default_config_files=[])
        return _config(conf)
    except cfg.ConfigFilesNotFoundError as error:
        raise Invalid(f"no such configuration file: {next(iter(error.config_files))}",
                      code="bad_config") from error
    except (cfg.Error, ValueError) as error:
        raise Invalid(f"configuration: {error}", code="bad_config") from error


def _config(conf: cfg.ConfigOpts) -> Config:
    parts = {name: kind(**{key: getattr(conf[name], key) for key in vars(kind())})
             for name, kind in _SECTIONS.items()}
    if conf.host or conf.port:
        given = {**vars(parts["api"])}
        given.update({key: conf[key] for key in ("host", "port") if conf[key]})
        parts["api"] = Api(**given)
    options = {key: conf.compute[key] for key in vars(Compute()) if key != "options"}
    compute = Compute(**options, options=dict(_pair(text) for text in conf.compute.option))
    roles = tuple(conf.roles)
    for role in roles:
        if role not in ROLES:
            raise ValueError(f"unknown role {role!r}; the roles are {', '.join(ROLES)}")
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,62}", conf.name):
        raise ValueError(f"zone name {conf.name!r}: letters, digits, '_', '.', '-' only")
    if not parts["api"].tls_cert == parts["api"].tls_key == "" and not (
            parts["api"].tls_cert and parts["api"].tls_key):
        raise ValueError("tls_cert and tls_key must be given together")
    return Config(
        name=conf.name, data_dir=Path(conf.data_dir).absolute(), roles=roles, region=conf.region,
        database_url=conf.database_url, amqp_url=conf.amqp_url, log_level=conf.log_level.upper(),
        workers=conf.workers, capabilities=parse_capabilities(conf.capability), compute=compute,
        **parts)


def _pair(text: str) -> tuple[str, str]:
    key, separator, value = text.partition("=")
    if not separator or not key.strip():
        raise ValueError(f"{text!r} is not of the form name=value")
    return key.strip(), value.strip()


def parse_capabilities(texts: Sequence[str]) -> dict[str, list[str]]:
    """`["hypervisor=kvm;qemu"]` → `{"hypervisor": ["kvm", "qemu"]}`, the 2011 form."""
    found: dict[str, list[str]] = {}
    for text in texts:
        key, values = _pair(text)
        found[key] = [value.strip() for value in values.split(";") if value.strip()]
        if not found[key]:
            raise ValueError(f"capability {text!r} has no value")
    return found
