"""One frozen `Config`, read in one place by oslo.config; every part gets only its own values.

`load(argv)` reads the command line and, when named, configuration files in oslo.config's INI form.
Every option has a default with which `bin/zone-manager` runs a whole zone by itself, and says here,
beside that default, what it does: `--help` and docs/options.md are made of it.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import Field, dataclass, field, fields
from itertools import chain
from pathlib import Path
from typing import Any, TypeVar

from oslo_config import cfg, types

from zones import __version__
from zones.errors import Invalid

ROLES = ("api", "manager", "scheduler", "compute")
"""What a process can be: serve HTTP, keep the zone's view, place and follow servers, own hosts."""

DATA_DIR = Path("zone-data")
LOG_LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR")
T = TypeVar("T")


def _option(default: T, text: str, least: float | None = None) -> T:
    """An option: its default, what it does, and the least number that it may be."""
    return field(default=default, metadata={"help": text, "least": least})


@dataclass(frozen=True)
class Api:
    """The endpoint. `workers` above one are processes that share the port (SO_REUSEPORT)."""

    host: str = _option("127.0.0.1", "address to listen on; 0.0.0.0 or :: for all")
    port: int = _option(8774, "port to listen on", 1)
    public_url: str = _option("", "the endpoint as clients reach it, such as https://cloud.example.org; "
                              "needed behind a proxy (default: scheme, host and port of this endpoint)")
    workers: int = _option(1, "processes that serve the API on one port", 1)
    tls_cert: str = _option("", "file with the TLS certificate and its chain (PEM); turns TLS on")
    tls_key: str = _option("", "file with the private key of tls_cert (PEM)")
    max_backlog: int = _option(20000, "pieces of durable work that may wait before new boots get 503", 1)
    max_limit: int = _option(1000, "rows in one page of a list, at most", 1)

    @property
    def url(self) -> str:
        """What clients are told: `public_url`, or what follows from host, port and TLS."""
        scheme = "https" if self.tls_cert else "http"
        return self.public_url.rstrip("/") or f"{scheme}://{self.host}:{self.port}"


@dataclass(frozen=True)
class Identity:
    """Who may log in. Users are kept in the zone's database."""

    token_ttl: int = _option(3600, "seconds that a token is valid", 60)
    admin_password: str = _option("", "password of the user admin when a new zone makes it "
                                  "(default: a random one, written to openrc)")


@dataclass(frozen=True)
class Image:
    """The embedded image service, sizes in bytes; and where a compute service elsewhere finds it.

    With `auth_url` a process without the API sends snapshots there over HTTP, as `username`.
    """

    max_size: int = _option(64 * 2**30, "bytes of one image, at most", 1)
    keep_free: int = _option(256 * 2**20, "bytes of the disk that uploads leave free", 0)
    auth_url: str = _option("", "for zone-compute on another machine: the identity URL of the zone "
                            "(http://…/identity/v3), by which snapshots are uploaded over HTTP")
    username: str = _option("", "user with the role service, for auth_url")
    password: str = _option("", "its password")
    project: str = _option("service", "its project")
    cacert: str = _option("", "file with the CA of the zone's endpoint (default: the system's CAs)")


@dataclass(frozen=True)
class Quota:
    """Limits of a project that has none of its own; -1 is no limit. RAM in MiB."""

    instances: int = _option(100, "servers of a project", -1)
    cores: int = _option(400, "vCPUs of a project", -1)
    ram: int = _option(1024 * 1024, "MiB of RAM of a project", -1)
    key_pairs: int = _option(100, "key pairs of a user", -1)
    server_groups: int = _option(10, "server groups of a project", -1)
    server_group_members: int = _option(100, "servers in one server group", -1)
    metadata_items: int = _option(128, "metadata items of a server", -1)
    injected_files: int = _option(5, "files that a boot may inject", -1)
    injected_file_content_bytes: int = _option(10240, "bytes of one injected file", -1)
    injected_file_path_bytes: int = _option(255, "bytes of one injected file's path", -1)


@dataclass(frozen=True)
class Placement:
    """What a host can hold: size × ratio − reserve."""

    cpu_allocation_ratio: float = _option(4.0, "vCPUs that a host sells for each that it has", 0)
    ram_allocation_ratio: float = _option(1.0, "MiB of RAM that a host sells for each that it has", 0)
    disk_allocation_ratio: float = _option(1.0, "GiB of disk that a host sells for each that it has", 0)
    reserved_ram: int = _option(0, "MiB of RAM that each host keeps for itself", 0)
    reserved_disk: int = _option(0, "GiB of disk that each host keeps for itself", 0)
    ram_weight: float = _option(1.0, "weight of free RAM; below 0 packs instead of spreading")
    cpu_weight: float = _option(1.0, "weight of free vCPUs; below 0 packs")
    disk_weight: float = _option(1.0, "weight of free disk; below 0 packs")
    count_weight: float = _option(0.5, "weight of few servers on a host; below 0 packs")
    default_availability_zone: str = _option("nova", "availability zone of hosts that name none")


@dataclass(frozen=True)
class Timing:
    """Every interval and patience, in seconds."""

    capability_interval: float = _option(
        10.0, "between two reports of a host that does not change; silent for three, it is out", 0.1)
    resend: float = _option(5.0, "after which an unanswered message is sent again", 0.1)
    lease: float = _option(30.0, "after which another process takes over what one holds", 1)
    poll_work: float = _option(1.0, "between two looks for work that nobody woke for", 0.01)
    unknown_after: float = _option(
        600.0, "without an answer after which a server that builds is shown as ERROR", 1)
    service_down: float = _option(30.0, "without a heartbeat after which a compute service is down", 0.3)
    monitor: float = _option(10.0, "between two comparisons with what the hypervisor runs", 0.1)
    ask: float = _option(15.0, "to wait for a console or diagnostics", 0.1)
    shutdown: float = _option(20.0, "that requests and builds under way get after SIGTERM", 0)
    retention: float = _option(86400.0, "that deleted servers are remembered", 0)
    database_patience: float = _option(
        30.0, "that a transaction is repeated while the database is away", 0)


@dataclass(frozen=True)
class Links:
    """How this zone gets on with its neighbours. Seconds."""

    poll: float = _option(10.0, "between two polls of a link that answers", 0.1)
    connect: float = _option(3.0, "to wait for a connection to a neighbour", 0.1)
    deadline: float = _option(20.0, "to wait for a neighbour's answer", 0.1)
    failures_to_offline: int = _option(3, "failed polls in a row after which a link is inactive", 1)
    breaker: float = _option(2.0, "that nothing is sent to a neighbour that could not be reached; doubles "
                             "with each failure up to 30", 0.1)
    feed_wait: float = _option(5.0, "that a neighbour may hold the request for its changes open", 0)
    feed_interval: float = _option(
        0.05, "between two looks for changes that neighbours want to hear of", 0.01)
    senders: int = _option(8, "boots and recalls under way to one neighbour at a time", 1)
    max_hops: int = _option(8, "zones that a boot may pass through", 1)


@dataclass(frozen=True)
class Compute:
    """One compute service: its name, its driver and the driver's own options."""

    name: str = _option("compute-1", "the service's name, unique in the zone; its hosts' names begin so")
    driver: str = _option("simulated", "what runs the servers: the name of an entry point zones.drivers")
    concurrency: int = _option(64, "builds, removals and actions at a time", 1)
    options: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Config:
    """All of it."""

    name: str = _option("zone", "the zone's name, as other zones will see it")
    data_dir: Path = field(default=DATA_DIR, metadata={
        "help": "folder of the database, keys, images and ledgers; made when missing", "least": None})
    roles: tuple[str, ...] = _option(ROLES, f"comma-separated roles of this process, of: {', '.join(ROLES)}")
    region: str = _option("RegionOne", "region name in the service catalog")
    database_url: str = _option("", "SQLAlchemy URL (postgresql://…); default: SQLite in the data folder")
    amqp_url: str = _option("memory://", "broker URL (amqp://…, several separated by ';' are a cluster); "
                            "memory:// serves one process")
    capabilities: dict[str, list[str]] = field(default_factory=dict)
    log_level: str = _option("INFO", "DEBUG, INFO, WARNING or ERROR")
    workers: int = _option(2, "scheduler workers in this process", 1)
    api: Api = field(default_factory=Api)
    identity: Identity = field(default_factory=Identity)
    image: Image = field(default_factory=Image)
    quota: Quota = field(default_factory=Quota)
    placement: Placement = field(default_factory=Placement)
    timing: Timing = field(default_factory=Timing)
    links: Links = field(default_factory=Links)
    compute: Compute = field(default_factory=Compute)

    @property
    def database(self) -> str:
        """The database's URL: SQLite in the data folder unless told otherwise."""
        return self.database_url or f"sqlite:///{self.data_dir / 'zone.sqlite'}"


SECTIONS: dict[str, type] = {
    "api": Api, "identity": Identity, "image": Image, "quota": Quota, "placement": Placement,
    "timing": Timing, "links": Links, "compute": Compute,
}
_KINDS: dict[type, Callable[..., Any]] = {int: types.Integer, float: types.Float, tuple: types.List}
_SECRET = frozenset(("password", "admin_password", "database_url", "amqp_url"))
REPEATED = {
    "": cfg.MultiStrOpt("capability", default=[], metavar="KEY=VALUE;VALUE",
                        help="a static capability of this zone (repeat)"),
    "compute": cfg.MultiStrOpt("option", default=[], metavar="NAME=VALUE",
                               help="an option of the driver (repeat)"),
}
"""Options that may be given several times, by section ("" is the first)."""
_SHORT = (cfg.StrOpt("host", help="the same as --api-host"),
          cfg.IntOpt("port", help="the same as --api-port", min=1, max=65535))


def options(section: type) -> list[Field[Any]]:
    """The options of a section (`Config` is the first), in order; the metadata has `help` and `least`."""
    return [each for each in fields(section) if "help" in each.metadata]


def _opt(option: Field[Any]) -> cfg.Opt:
    default, least = option.default, option.metadata["least"]
    kind = _KINDS.get(type(default), types.String)
    plain = ",".join(default) if isinstance(default, tuple) else str(default)
    told = f" (default: {plain})" if plain else ""
    return cfg.Opt(option.name.replace("_", "-"), type=kind() if least is None else kind(min=least),
                   default=default if isinstance(default, int | float) else plain,
                   metavar="N" if isinstance(default, int | float) else "TEXT",
                   help=option.metadata["help"] + told, secret=option.name in _SECRET)


def load(argv: Sequence[str], program: str = "zone-manager", about: str | None = None) -> Config:
    """The configuration that `argv` and the files it names give. Raises `Invalid` with the reason."""
    conf = cfg.ConfigOpts()
    conf.register_cli_opts([*map(_opt, options(Config)), REPEATED[""], *_SHORT])
    for name, section in SECTIONS.items():
        conf.register_cli_opts([*map(_opt, options(section)), *filter(None, [REPEATED.get(name)])],
                               group=cfg.OptGroup(name, help=(section.__doc__ or "").partition("\n")[0]))
    try:
        conf(list(argv), project="zones", prog=program, version=__version__, description=about,
             usage="%(prog)s [option …]", default_config_files=[], default_config_dirs=[])
        folders = [Path(name).glob("*.conf") for name in conf.config_dir or ()]
        for path in [*(conf.config_file or ()), *map(str, chain(*folders))]:
            _no_strangers(path)
        return _config(conf)
    except cfg.ConfigFilesNotFoundError as error:
        raise Invalid(f"no such configuration file: {next(iter(error.config_files))}",
                      code="bad_config") from error
    except (cfg.Error, ValueError) as error:
        raise Invalid(f"configuration: {error}", code="bad_config") from error


def _no_strangers(path: str) -> None:
    """A misspelt option would be silently ignored: refuse the file instead."""
    found: dict[str, dict[str, Any]] = {}
    cfg.ConfigParser(path, found).parse()
    for name, given in found.items():
        section = Config if name == "DEFAULT" else SECTIONS.get(name)
        if section is None:
            raise ValueError(f"{path}: there is no section [{name}]; the sections are "
                             f"DEFAULT, {', '.join(SECTIONS)}")
        known = {option.name for option in options(section)}
        if repeated := REPEATED.get("" if name == "DEFAULT" else name):
            known.add(repeated.name)
        for option in given:
            if option.replace("-", "_") not in known:
                raise ValueError(f"{path}: section [{name}] has no option {option!r}; its options are "
                                 f"{', '.join(sorted(known))}")


def _config(conf: cfg.ConfigOpts) -> Config:
    parts = {name: {option.name: conf[name][option.name] for option in options(section)}
             for name, section in SECTIONS.items()}
    parts["api"].update({key: conf[key] for key in ("host", "port") if conf[key]})
    parts["compute"]["options"] = dict(_pair(text) for text in conf.compute.option)
    top = {option.name: conf[option.name] for option in options(Config)}
    config = Config(**{
        **top, **{name: section(**parts[name]) for name, section in SECTIONS.items()},
        "data_dir": Path(conf.data_dir).absolute(), "roles": tuple(conf.roles),
        "log_level": conf.log_level.upper(), "capabilities": parse_capabilities(conf.capability)})
    _check(config)
    return config


def _check(config: Config) -> None:
    """Raises `ValueError` for what no single option can tell."""
    for role in config.roles:
        if role not in ROLES:
            raise ValueError(f"unknown role {role!r}; the roles are {', '.join(ROLES)}")
    if not config.roles:
        raise ValueError(f"no role; the roles are {', '.join(ROLES)}")
    for what, name in (("zone", config.name), ("compute service", config.compute.name)):
        if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,62}", name):
            raise ValueError(f"{what} name {name!r}: letters, digits, '_', '.', '-' only")
    if config.log_level not in LOG_LEVELS:
        raise ValueError(f"log_level {config.log_level!r} is none of {', '.join(LOG_LEVELS)}")
    if bool(config.api.tls_cert) != bool(config.api.tls_key):
        raise ValueError("tls_cert and tls_key must be given together")


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
