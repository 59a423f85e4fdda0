"""`make demo`: a zone, servers of several flavors by the unmodified `nova`, a zone run full, and why.

At a terminal the zone stays up until Ctrl-C; with --once, or without a terminal, it is stopped at the
end. Exit status: 0 all was as told (also after Ctrl-C while it stays up), 1 something was not, 130 Ctrl-C
before the end.
"""

import argparse
import re
import signal
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from tools import demo_steps as steps
from tools.demo_zone import HOME, DemoZone, Failed, Output, wait_for
from zones import folder
from zones.errors import Invalid

AT_ONCE = 3
"""`nova` commands at a time: each takes half a second of CPU."""
RUNNING = re.compile(r"^\d+\. \S+ running after ([\d.]+) s$")
"""How zone-admin server-explain begins to tell of an attempt that came to run."""


@dataclass
class Seen:
    """One server at the end: what `nova list` says, and what was found out about it."""

    id: str
    name: str
    status: str
    host: str
    flavor: str = ""
    why: str = ""
    seconds: float | None = None


@dataclass
class Demo:
    """One run: the zone, what is printed, and which expectations did not hold."""

    zone: DemoZone
    console: Console
    progress: Progress
    wrong: list[str] = field(default_factory=list)
    right: int = 0
    stopped: threading.Event = field(default_factory=threading.Event)
    """Set by Ctrl-C: nothing more is begun."""

    def expect(self, holds: bool, what: str, otherwise: str = "") -> None:
        """Print ✓ or ✗ for one expectation, and count it."""
        if self.stopped.is_set():
            return
        if holds:
            self.right += 1
            self.console.print(f"  [green]✓[/] {escape(what)}", highlight=False)
        else:
            told = f"{what}: {otherwise}" if otherwise else what
            self.wrong.append(told)
            self.console.print(f"  [red]✗[/] {escape(told)}", highlight=False)

    @contextmanager
    def part(self, title: str, count: int) -> Iterator[Callable[[], None]]:
        """One line of the progress display; call what is given for each step that is done."""
        self.console.print(f"[bold]{title}[/]")
        line = self.progress.add_task(title, total=count)
        try:
            yield lambda: self.progress.advance(line)
        finally:
            self.progress.remove_task(line)

    # ---------------------------------------------------------------- nova

    def nova(self, *words: str) -> Output:
        """A `nova` command that must succeed."""
        if self.stopped.is_set():
            raise Failed("stopped")
        done = self.zone.nova(*words)
        if done.status != 0:
            raise Failed(f"nova {' '.join(words)}: {done.errors.strip() or done.text.strip()}")
        return done

    def servers(self) -> dict[str, Seen]:
        """Every server by name."""
        rows = self.nova("list", "--fields", "name,status,OS-EXT-SRV-ATTR:host").rows()
        return {name: Seen(server, name, status, "" if host == "None" else host)
                for server, name, status, host in rows}

    def settled(self, names: Sequence[str]) -> dict[str, Seen]:
        """Every server by name, once none of `names` is missing or builds."""
        def look() -> dict[str, Seen] | None:
            found = self.servers()
            return found if all(found[name].status != "BUILD" for name in names if name in found) and (
                found.keys() >= set(names)) else None
        return wait_for(f"{', '.join(names)} are built", look) or {}

    # ---------------------------------------------------------------- parts

    def boot(self, boot: steps.Boot) -> None:
        """Ask for one server."""
        self.nova("boot", "--image", boot.image, "--flavor", boot.flavor, *boot.options, boot.name)

    def boot_all(self, title: str, boots: Sequence[steps.Boot]) -> None:
        """Boot servers of several flavors; each must become ACTIVE on one of its hosts."""
        with self.part(title, 2 * len(boots)) as done, ThreadPoolExecutor(AT_ONCE) as pool:
            for _ in pool.map(self.boot, boots):
                done()
            found = self.settled([boot.name for boot in boots])
            for boot in boots:
                seen = found[boot.name]
                self.expect(seen.status == "ACTIVE" and seen.host in boot.hosts,
                            f"{boot.name} ({' '.join([boot.flavor, *boot.options])}) is ACTIVE on "
                            f"{seen.host}", f"it is {seen.status}; expected on {' or '.join(boot.hosts)}")
                done()

    def act_all(self) -> None:
        """Every story, several at a time."""
        count = sum(map(len, steps.STORIES.values()))
        with self.part("Act on them", count) as done, ThreadPoolExecutor(AT_ONCE) as pool:
            list(pool.map(lambda item: self.story(item[0], item[1], done), steps.STORIES.items()))

    def story(self, server: str, acts: Sequence[steps.Act], done: Callable[[], None]) -> None:
        """One action after another on one server; the first that is not as told ends the story."""
        for act in acts:
            server = act.renames or server
            try:
                self.act(server, act)
            except Failed as error:
                self.expect(False, f"nova {act.command}", str(error))
                return
            ends = "; ".join(filter(None, [*act.shows.values(), act.prints, "gone" if act.gone else ""]))
            self.expect(True, f"nova {act.command} → {ends}")
            done()

    def act(self, server: str, act: steps.Act) -> None:
        """Do one action and wait for what must then be so. Raises `Failed`."""
        output = self.nova(*act.words)
        if act.prints not in output.text:
            raise Failed(f"{act.prints!r} is not in what it printed: {output.text[-300:]}")
        if act.gone:
            wait_for("it is gone", lambda: self.zone.nova("show", server).status != 0)
        elif act.shows:
            self.await_shown(server, act.shows)

    def await_shown(self, server: str, wanted: Mapping[str, str]) -> None:
        """Wait until `nova show` has all of that and no task is under way. Raises `Failed`."""
        last: dict[str, str] = {}

        def look() -> bool:
            last.update(self.nova("show", server).fields())
            return last.get("OS-EXT-STS:task_state") == "-" and all(
                text in last.get(name, "") for name, text in wanted.items())
        try:
            wait_for("", look)
        except Failed as error:
            raise Failed(f"wanted {dict(wanted)}, last seen "
                         f"{ {name: last.get(name) for name in wanted} }") from error

    def fill(self) -> None:
        """Ask for more than there is room for: exactly the room is filled, the rest says why not."""
        names = [f"{steps.FILL_NAME}-{number + 1}" for number in range(steps.FILL_COUNT)]
        with self.part("Fill the zone", 4) as done:
            self.nova("boot", "--image", "demo", "--flavor", steps.FILL, "--max-count",
                      str(steps.FILL_COUNT), steps.FILL_NAME)
            done()
            found = self.settled(names)
            states = Counter(found[name].status for name in names)
            self.expect(states.keys() == {"ACTIVE", "ERROR"}, f"{steps.FILL_COUNT} more {steps.FILL} in one "
                        f"command: {states['ACTIVE']} ACTIVE, {states['ERROR']} in ERROR", str(states))
            self.check_room(found)
            done()
            failed = next((name for name in names if found[name].status == "ERROR"), "")
            fault = self.nova("show", failed).fields().get("fault", "") if failed else ""
            self.expect(steps.NO_ROOM in fault and "RAM" in fault, f"{failed} says why: {_message(fault)}")
            done()
            self.use_again(next(name for name in names if found[name].status == "ACTIVE"), found)
            done()

    def check_room(self, found: Mapping[str, Seen]) -> None:
        """No host holds more than it has, and none that could hold one more was left out."""
        used = Counter[str]()
        for seen in found.values():
            if seen.status != "ERROR":
                used[seen.host] += steps.FLAVORS[self.flavor_of(seen.name)]
        told = ", ".join(f"{host} {used[host]} of {size} MiB" for host, size in steps.HOSTS.items())
        self.expect(all(used[host] <= size for host, size in steps.HOSTS.items()),
                    f"no host holds more than it has: {told}")
        self.expect(all(size - used[host] < steps.FLAVORS[steps.FILL] for host, size in steps.HOSTS.items()),
                    f"no host has room for one more {steps.FILL}", told)

    def flavor_of(self, name: str) -> str:
        """The flavor that a server has by now."""
        resized = [act.shows["flavor:original_name"] for act in steps.STORIES.get(name, ())
                   if "flavor:original_name" in act.shows]
        booted = [boot.flavor for boot in (*steps.BOOTS, steps.LATER) if boot.name == name]
        return [steps.FILL, *booted, *resized][-1]

    def use_again(self, victim: str, found: Mapping[str, Seen]) -> None:
        """Room that a deleted server gives back is used by the next one."""
        self.nova("delete", victim)
        wait_for(f"{victim} is gone", lambda: self.zone.nova("show", victim).status != 0)
        self.boot(steps.Boot("again-1", steps.FILL))
        again, host = self.settled(["again-1"])["again-1"], found[victim].host
        self.expect((again.status, again.host) == ("ACTIVE", host),
                    f"{victim} is deleted, and again-1 takes its room on {host}", str(again))

    # ---------------------------------------------------------------- what came of it

    def tell(self) -> None:
        """The table: where each server landed, why, and how long it took."""
        found = list(self.servers().values())
        with self.part("Where they are, and why", len(found)) as done, ThreadPoolExecutor(AT_ONCE) as pool:
            explained = self.explained([seen.id for seen in found])
            for seen in pool.map(lambda one: self.look_up(one, explained), found):
                done()
                if not seen.why or (seen.seconds is None) != (seen.status == "ERROR"):
                    self.expect(False, f"it is known why {seen.name} is where it is", str(seen))
        table = Table("server", "flavor", "status", "host", "why there, or nowhere", "seconds to ACTIVE")
        for seen in sorted(found, key=lambda one: (one.status == "ERROR", one.seconds or 0, one.name)):
            table.add_row(seen.name, seen.flavor, _coloured(seen.status), seen.host, escape(seen.why),
                          "" if seen.seconds is None else f"{seen.seconds:.2f}")
        self.console.print(table)

    def explained(self, ids: Sequence[str]) -> dict[str, tuple[str, float | None]]:
        """By id: why the last attempt of a server went where it went, and its seconds to ACTIVE."""
        told = self.zone.admin("server-explain", *ids)
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
        return found

    def look_up(self, seen: Seen, explained: Mapping[str, tuple[str, float | None]]) -> Seen:
        """Add flavor, reason and time."""
        seen.flavor = self.flavor_of(seen.name)
        if seen.status == "ERROR":
            seen.why = _message(self.nova("show", seen.id).fields().get("fault", ""))
        else:
            why, seen.seconds = explained.get(seen.id, ("", None))
            seen.why = why.partition("; next:")[0].removeprefix(f"Placed on {seen.host} ")
        return seen

    def how_to_go_on(self) -> None:
        """What a user would do next."""
        here = _short(self.zone.folder)
        self.console.print(
            f"\n[bold]Go on[/] in another terminal:\n"
            f"  source {here / 'openrc'}\n"
            f"  nova list; nova boot --image demo --flavor m1.tiny --poll mine; nova show mine\n"
            f"  nova hypervisor-list; nova availability-zone-list; nova flavor-list\n"
            f"  openstack --os-cloud {self.zone.name} server list     (openrc names clouds.yaml)\n"
            f"  bin/zone-admin --data-dir {_short(self.zone.data)} server-explain ID\n"
            f"  {self.zone.url}/metrics, /readyz; the log is {_short(self.zone.log)}", highlight=False)


def _short(path: Path) -> Path:
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path


def _message(fault: str) -> str:
    """The words of a fault as `nova show` prints it: JSON in a cell."""
    return fault.partition('"message": "')[2].partition('", "')[0]


def _coloured(status: str) -> str:
    return f"[{'green' if status == 'ACTIVE' else 'red' if status == 'ERROR' else 'yellow'}]{status}[/]"


def run(demo: Demo) -> None:
    """Everything that the demo shows and checks."""
    with demo.part("Start a zone", 1) as done:
        began = time.monotonic()
        demo.zone.start()
        done()
        demo.expect(True, f"{demo.zone.url} is ready after {time.monotonic() - began:.1f} s")
    for words in steps.PREPARE:
        demo.nova(*words)
    demo.boot_all("Boot servers", steps.BOOTS)
    demo.act_all()
    demo.boot_all("Boot a server of the snapshot", [steps.LATER])
    demo.fill()
    demo.tell()


def stay(demo: Demo) -> None:
    """Until Ctrl-C, or until the zone has ended by itself."""
    try:
        demo.how_to_go_on()
        demo.console.print("\nThe zone stays up. Ctrl-C stops it.")
        while demo.zone.alive:
            time.sleep(0.5)
    except KeyboardInterrupt:
        return
    raise Failed(f"the zone ended by itself; its log says:\n{demo.zone.log_end()}")


def main(argv: Sequence[str]) -> int:
    """One whole demo; the exit status."""
    parser = argparse.ArgumentParser(prog="demo", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--once", action="store_true", help="stop at the end, also at a terminal")
    once = parser.parse_args(argv).once or not sys.stdout.isatty()
    home = HOME / "demo"
    console = Console(width=None if sys.stdout.isatty() else 160)
    try:
        let_go = folder.hold(home)
    except Invalid:
        console.print(f"A demo runs here already (pid {(home / folder.LOCK_FILE).read_text().strip()}): "
                      "stop it with Ctrl-C in its terminal.")
        return 1
    began = time.monotonic()
    with Progress(SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn(),
                  console=console, transient=True, disable=not console.is_terminal) as progress:
        demo = Demo(DemoZone("zone", home, steps.OPTIONS), console, progress)
        _on_signals(demo)
        try:
            status = _guarded(demo, lambda: run(demo))
            progress.stop()
            if status == 0:
                console.print(f"\n[bold]{demo.right} of {demo.right + len(demo.wrong)}[/] expectations hold, "
                              f"after {time.monotonic() - began:.1f} s", highlight=False)
                status = 1 if demo.wrong else 0
                if not once:
                    status = max(status, _guarded(demo, lambda: stay(demo)))
        finally:
            demo.stopped.set()
            demo.zone.stop()
            console.print("The zone is stopped.")
            let_go()
    return status


def _guarded(demo: Demo, job: Callable[[], None]) -> int:
    """Run `job`: 0, or the exit status when it did not come to its end."""
    try:
        job()
    except Failed as error:
        demo.console.print(f"[red]✗[/] {escape(str(error))}", highlight=False)
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


def _on_signals(demo: Demo) -> None:
    """Ctrl-C and SIGTERM end the demo in good order; once is enough."""
    def interrupt(_number: int, _frame: FrameType | None) -> None:
        if not demo.stopped.is_set():
            demo.stopped.set()
            raise KeyboardInterrupt
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, interrupt)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
