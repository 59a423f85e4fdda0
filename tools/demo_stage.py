"""What every part of the demo works with: the zones, what is printed, and which expectations did not hold."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field

from rich.console import Console
from rich.markup import escape
from rich.progress import Progress

from tools import demo_steps as steps
from tools.demo_tree import Tree
from tools.demo_zone import Failed, Output, Waits

AT_ONCE = 3
"""`nova` commands at a time: each takes half a second of CPU."""
FIELDS = "name,status,OS-EXT-SRV-ATTR:host"


@dataclass
class Seen:
    """One server as `nova list` at one zone shows it."""

    id: str
    name: str
    status: str
    host: str
    """Where it is, as this zone's administrator sees it: a host, or the way to a zone below."""


@dataclass
class Stage:
    """One run of the demo."""

    tree: Tree
    waits: Waits
    console: Console
    progress: Progress
    wrong: list[str] = field(default_factory=list)
    right: int = 0

    def expect(self, holds: bool, what: str, otherwise: str = "") -> None:
        """Print ✓ or ✗ for one expectation, and count it."""
        if self.waits.stopped.is_set():
            return
        if holds:
            self.right += 1
            self.console.print(f"  [green]✓[/] {escape(what)}", highlight=False)
        else:
            told = f"{what}: {otherwise}" if otherwise else what
            self.wrong.append(told)
            self.console.print(f"  [red]✗[/] {escape(told)}", highlight=False)

    def show(self, text: str) -> None:
        """Print what a command printed."""
        for line in text.rstrip().splitlines():
            self.console.print(f"    [dim]{escape(line)}[/]", highlight=False, soft_wrap=True)

    @contextmanager
    def part(self, title: str, count: int) -> Iterator[Callable[[], None]]:
        """One line of the progress display; call what is given for each step that is done."""
        self.console.print(f"[bold]{title}[/]")
        line = self.progress.add_task(title, total=count)
        try:
            yield lambda: self.progress.advance(line)
        finally:
            self.progress.remove_task(line)

    # ---------------------------------------------------------------- nova at top

    def nova(self, *words: str) -> Output:
        """A `nova` command at `top` that must succeed. Raises `Failed`."""
        return self.tree.nova_at("top", *words)

    def servers(self, zone: str = "top", *options: str) -> dict[str, Seen]:
        """Every server of a zone by name."""
        rows = self.tree.nova_at(zone, "list", "--fields", FIELDS, *options).rows()
        return {name: Seen(server, name, status, "" if host == "None" else host)
                for server, name, status, host in rows}

    def settled(self, names: Sequence[str], zone: str = "top") -> dict[str, Seen]:
        """Every server of a zone by name, once none of `names` is missing or builds."""
        def look() -> dict[str, Seen] | None:
            found = self.servers(zone)
            ready = all(name in found and found[name].status != "BUILD" for name in names)
            return found if ready else None
        return self.waits.until(f"{', '.join(names)} are built", look) or {}

    def links(self, parent: str) -> dict[str, str]:
        """The names of a zone's links, and whether they are active: "True", "False"."""
        return {row[1]: row[2] for row in self.tree.nova_at(parent, "zone-list").rows()}

    # ---------------------------------------------------------------- boots and actions

    def boot(self, boot: steps.Boot, zone: str = "top") -> None:
        """Ask for one server."""
        self.tree.nova_at(zone, "boot", "--image", boot.image, "--flavor", boot.flavor, *boot.options,
                          boot.name)

    def boot_all(self, title: str, boots: Sequence[steps.Boot]) -> None:
        """Boot servers at `top`; each must become ACTIVE in one of its zones."""
        with self.part(title, 2 * len(boots)) as done, ThreadPoolExecutor(AT_ONCE) as pool:
            for _ in pool.map(self.boot, boots):
                done()
            found = self.settled([boot.name for boot in boots])
            for boot in boots:
                seen = found[boot.name]
                self.expect(seen.status == "ACTIVE" and seen.host in boot.paths,
                            f"nova boot {' '.join([f'--flavor {boot.flavor}', *boot.options, boot.name])}: "
                            f"{seen.status} in {seen.host}",
                            f"expected to be ACTIVE in {' or '.join(boot.paths)}")
                done()

    def acts(self, server: str, acts: Sequence[steps.Act], done: Callable[[], None]) -> None:
        """One action after another on one server; the first that is not as told ends the story."""
        for act in acts:
            try:
                told = self.act(server, act)
            except Failed as error:
                self.expect(False, f"nova {act.command}", str(error))
                return
            self.expect(True, f"nova {act.command} → {act.ends}{f': {told}' if told else ''}")
            done()

    def act(self, server: str, act: steps.Act) -> str:
        """Do one action and wait for what must then be so; the words of a refusal. Raises `Failed`."""
        output = self.tree["top"].nova(*act.words)
        if act.refused:
            said = output.errors.strip().partition(" (Request-ID")[0]
            if output.status == 0 or act.refused not in said:
                raise Failed(f"it should be refused with {act.refused!r}: {said or output.text}")
            return said
        if output.status != 0:
            raise Failed(output.errors.strip() or output.text.strip())
        if act.prints not in output.text:
            raise Failed(f"{act.prints!r} is not in what it printed: {output.text[-300:]}")
        if act.gone:
            self.waits.until("it is gone", lambda: self.tree["top"].nova("show", server).status != 0)
        elif act.shows:
            self.await_shown(server, act.shows)
        return ""

    def await_shown(self, server: str, wanted: Mapping[str, str]) -> None:
        """Wait until `nova show` has all of that and no task is under way. Raises `Failed`."""
        last: dict[str, str] = {}

        def look() -> bool:
            last.update(self.nova("show", server).fields())
            return last.get("OS-EXT-STS:task_state") == "-" and all(
                text in last.get(name, "") for name, text in wanted.items())
        try:
            self.waits.until("", look)
        except Failed as error:
            raise Failed(f"wanted {dict(wanted)}, last seen "
                         f"{ {name: last.get(name) for name in wanted} }") from error


def fault_of(fields: Mapping[str, str]) -> str:
    """The words of a fault as `nova show` prints it: JSON in a cell. A long one is cut by the zone."""
    words = fields.get("fault", "").partition('"message": "')[2].partition('", "')[0]
    return words if words.endswith(".") or not words else f"{words}…"
