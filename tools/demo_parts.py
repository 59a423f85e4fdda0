"""The parts of the demo, in their order: link, boot, act, a zone that dies, overflow, what came of it."""

import re
import time
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor

from rich.console import Console
from rich.markup import escape
from rich.table import Column, Table

from tools import demo_steps as steps
from tools.demo_stage import AT_ONCE, Seen, Stage, fault_of
from tools.demo_zone import Failed

RUNNING = re.compile(r"^\d+\. \S+ running after ([\d.]+) s$")
"""How zone-admin server-explain begins to tell of an attempt that came to run."""
WIDE = 120
"""Columns of a terminal in which the table has room for the reasons."""


# ------------------------------------------------------------------ zones

def start(stage: Stage) -> None:
    """Five zones, ready."""
    with stage.part("Start five zones, each with its own database and broker", 1) as done:
        began = time.monotonic()
        stage.tree.start()
        done()
        stage.expect(True, f"{', '.join(stage.tree)} are ready after {time.monotonic() - began:.1f} s")
        stage.console.print(f"    aws runs its servers in {stage.tree.ec2}", highlight=False)


def link(stage: Stage) -> None:
    """Each below its parent, by the line that the child's operator gives to the parent's."""
    below = [(plan.parent, name) for name, plan in steps.ZONES.items() if plan.parent]
    with stage.part("Link them", 2 * len(below)) as done, ThreadPoolExecutor(AT_ONCE) as pool:
        def one(pair: tuple[str, str]) -> None:
            parent, child = pair
            words = stage.tree.peer_line(parent, child)
            stage.tree.nova_at(parent, *words[:4], steps.ZONES[child].offset, *words[4:], "--name", child)
            done()
            stage.expect(True, f"at {parent}: nova {' '.join(words[:3])} *** {steps.ZONES[child].offset} "
                         f"--name {child} …")
        list(pool.map(one, below))
        for parent in sorted({parent for parent, _ in below}):
            wanted = {child: "True" for above, child in below if above == parent}
            _await_links(stage, parent, wanted)
            done()

        def whole() -> str:
            shown = stage.nova("zone-tree")
            heard = {row[0] for row in shown.rows() if row[4] not in ("", "-", "None")}
            return shown.text if heard >= {*steps.PATHS.values()} else ""
        shown = stage.waits.until("top has heard of every zone", whole)
        stage.expect(True, "nova zone-tree at top shows all that is below")
        stage.show(shown)


def _await_links(stage: Stage, parent: str, wanted: Mapping[str, str]) -> None:
    stage.waits.until(f"the links of {parent} are active", lambda: stage.links(parent) == wanted)
    names = ", ".join(wanted)
    stage.expect(True, f"nova zone-list at {parent}: {names} {'are' if len(wanted) > 1 else 'is'} active")


# ------------------------------------------------------------------ actions

def leaf(stage: Stage) -> None:
    """A server of the leaf's own: nobody above sees it."""
    with stage.part(f"Boot one at the endpoint of {steps.LEAF} itself", 1):
        boot = steps.AT_LEAF
        stage.boot(boot, steps.LEAF)
        seen = stage.settled([boot.name], steps.LEAF)[boot.name]
        stage.expect(seen.status == "ACTIVE" and seen.host in steps.ZONES[steps.LEAF].hosts,
                     f"nova boot {boot.name} at {steps.LEAF}: {seen.status} on {seen.host}", str(seen))
        stage.expect(boot.name not in stage.servers("top", "--all-tenants"),
                     "top shows nothing of it, for it did not boot it")


def act(stage: Stage) -> None:
    """Every story, several at a time."""
    count = sum(map(len, steps.STORIES.values()))
    with stage.part("Act on them at top", count) as done, ThreadPoolExecutor(AT_ONCE) as pool:
        list(pool.map(lambda story: stage.acts(story[0], story[1], done), steps.STORIES.items()))


def outage(stage: Stage) -> None:
    """A zone is killed: what is there is UNKNOWN, all else goes on; then it comes back, and all is well."""
    dead, tree = steps.DEAD, stage.tree
    with stage.part(f"Kill {dead} (SIGKILL), and bring it back", 7) as done:
        before = stage.servers()
        tree[dead].kill()
        stage.waits.until(f"{dead} is inactive", lambda: stage.links("top").get(dead) == "False")
        stage.expect(True, f"nova zone-list: {dead} is not active")
        done()
        found = stage.servers()
        there = sorted(name for name, seen in before.items() if seen.host == dead)
        wrong = {name: seen.status for name, seen in found.items()
                 if seen.status != ("UNKNOWN" if name in there else before[name].status)}
        stage.expect(not wrong and bool(there), f"nova list: {', '.join(there)} are UNKNOWN, the others as "
                     "they were", str(wrong))
        done()
        stage.acts(steps.DEAD_SERVER, [steps.WHILE_DEAD], done)
        stage.acts(steps.LIVING, [steps.MEANWHILE], done)
        tree[dead].start_again()
        stage.waits.until(f"{dead} is active", lambda: stage.links("top").get(dead) == "True")

        def as_before() -> bool:
            return {name: seen.status for name, seen in stage.servers().items()} == {
                name: seen.status for name, seen in before.items()}
        stage.waits.until("every server is as it was", as_before)
        stage.expect(True, f"{dead} runs again: its link is active, and every server is as it was")
        done()
        stage.acts(steps.DEAD_SERVER, steps.AFTERWARDS, done)


# ------------------------------------------------------------------ overflow

def fill(stage: Stage) -> None:
    """Ask for more than the local zones have room for: the rest goes to EC2, and what is too much nowhere."""
    names = [f"{steps.FILL_NAME}-{number + 1}" for number in range(steps.FILL_COUNT)]
    with stage.part("Fill the local zones, and overflow to EC2", 3) as done:
        stage.nova("boot", "--image", "demo", "--flavor", steps.FILL, "--max-count", str(steps.FILL_COUNT),
                   steps.FILL_NAME)
        done()
        found = stage.settled(names)
        places = Counter(found[name].host if found[name].status == "ACTIVE" else found[name].status
                         for name in names)
        told = ", ".join(f"{count} in {place}" for place, count in sorted(places.items()))
        stage.expect(places["aws"] == steps.OVERFLOW and "ERROR" not in places and "" not in places,
                     f"{steps.FILL_COUNT} more {steps.FILL} in one command, all ACTIVE: {told}")
        check_room(stage)
        done()
        stage.boot(steps.TOO_MUCH)
        seen = stage.settled([steps.TOO_MUCH.name])[steps.TOO_MUCH.name]
        fault = fault_of(stage.nova("show", seen.id).fields())
        stage.expect(seen.status == "ERROR" and steps.NO_ROOM in fault,
                     f"{seen.name}, one more {steps.FILL}, is in {seen.status}: {fault}")
        done()


def check_room(stage: Stage) -> None:
    """No host holds more than it has, and none that could hold one more was left out."""
    used, room = Counter[str](), dict[str, int]()
    for zone, plan in steps.ZONES.items():
        room |= plan.hosts
        if plan.hosts:
            for seen in stage.servers(zone, "--all-tenants").values():
                used[seen.host] += steps.FLAVORS[steps.flavor_of(seen.name)]
    told = ", ".join(f"{host} {used[host]} of {size} MiB" for host, size in room.items())
    stage.expect(all(used[host] <= size for host, size in room.items()),
                 f"no host holds more than it has: {told}")
    stage.expect(all(size - used[host] < steps.FLAVORS[steps.FILL] for host, size in room.items()),
                 f"no local host has room for one more {steps.FILL}", told)


# ------------------------------------------------------------------ what came of it

def tell(stage: Stage) -> None:
    """The table: where each server is, why, and how long it took; and that it is nowhere else."""
    zones = [name for name in stage.tree if name != "top"]
    with stage.part("Where they are, and why", 2 + len(zones)) as done:
        found = stage.servers()
        done()
        explained = _explained(stage, [seen.id for seen in found.values()])
        done()
        with ThreadPoolExecutor(AT_ONCE) as pool:
            listed = dict(zip(zones, pool.map(lambda zone: stage.servers(zone, "--all-tenants"), zones),
                              strict=True))
        hosts = {seen.id: _hosts(listed, seen) for seen in found.values()}
        lost = [seen.name for seen in found.values()
                if (len(hosts[seen.id]) != 1) is (seen.status != "ERROR")]
        stage.expect(not lost, "each is on one host of the zone that top names, and nowhere else", str(lost))
        unknown = [seen.name for seen in found.values() if not explained.get(seen.id, ("", None))[0]
                   or (explained[seen.id][1] is None) is (seen.status != "ERROR")]
        stage.expect(not unknown, "zone-admin server-explain at top tells why, and how long it took",
                     str(unknown))
        _print_table(stage.console, found.values(), hosts, explained)


def _hosts(listed: Mapping[str, Mapping[str, Seen]], wanted: Seen) -> list[str]:
    """The hosts on which a server is, by what each zone says of its own."""
    return [seen.host for zone, servers in listed.items() for seen in servers.values()
            if seen.id == wanted.id and seen.host not in _below(zone)]


def _below(zone: str) -> set[str]:
    """How a zone names the zones below it, and that it does not know."""
    return {"", *(name for name, plan in steps.ZONES.items() if plan.parent == zone)}


def _explained(stage: Stage, ids: Sequence[str]) -> dict[str, tuple[str, float | None]]:
    """By id: why the last attempt of a server went where it went, and its seconds to ACTIVE."""
    told = stage.tree["top"].admin("server-explain", *ids)
    if told.status != 0:
        raise Failed(f"zone-admin server-explain: {told.errors}")
    found: dict[str, tuple[str, float | None]] = {}
    server, seconds = "", None
    for line in told.text.splitlines():
        if line.startswith("server "):
            server, seconds = line.removeprefix("server "), None
        elif timed := RUNNING.search(line):
            seconds = float(timed[1])
        elif line.startswith("   "):
            found[server] = line.strip(), seconds
        elif line.startswith("ERROR: "):
            found[server] = line.removeprefix("ERROR: "), None
    return found


def _print_table(console: Console, found: Iterable[Seen], hosts: Mapping[str, Sequence[str]],
                 explained: Mapping[str, tuple[str, float | None]]) -> None:
    """Where there is little room, the reasons follow the table."""
    wide = console.width >= WIDE
    titles = ("server", "flavor", "status", "zone", "host", "s to ACTIVE")
    table = Table(*(Column(title, no_wrap=title != titles[-1]) for title in titles),
                  *(["why there, or nowhere"] if wide else []))
    rows = sorted(found, key=lambda one: (one.status == "ERROR", one.host, one.name))
    for seen in rows:
        why, seconds = explained.get(seen.id, ("", None))
        colour = "green" if seen.status == "ACTIVE" else "red"
        table.add_row(seen.name, steps.flavor_of(seen.name), f"[{colour}]{seen.status}[/]", seen.host,
                      ", ".join(hosts[seen.id]), "" if seconds is None else f"{seconds:.2f}",
                      *([escape(why)] if wide else []))
    console.print(table)
    for seen in () if wide else rows:
        console.print(f"  {seen.name}: {escape(explained.get(seen.id, ('', None))[0])}", highlight=False)
