"""`make demo`: five zones in a tree, used by the unmodified `nova`; one dies, and they overflow to EC2.

At a terminal the zones stay up until Ctrl-C; with --once, or without a terminal, they are stopped at the
end. Exit status: 0 all was as told (also after Ctrl-C while they stay up), 1 something was not, 130 Ctrl-C
before the end.
"""

import argparse
import os
import signal
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import FrameType

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from tools import demo_parts as parts
from tools import demo_steps as steps
from tools.demo_stage import Stage
from tools.demo_tree import Tree
from tools.demo_zone import HOME, Failed, Waits
from zones import folder
from zones.errors import Invalid


def run(stage: Stage) -> None:
    """Everything that the demo shows and checks."""
    parts.start(stage)
    parts.link(stage)
    for words in steps.PREPARE:
        stage.nova(*words)
    stage.boot_all("Boot servers at top", steps.BOOTS)
    parts.leaf(stage)
    parts.act(stage)
    stage.boot_all("Boot a server of the image that was made in another zone", [steps.LATER])
    parts.outage(stage)
    parts.fill(stage)
    parts.tell(stage)


def stay(stage: Stage) -> None:
    """Until Ctrl-C, or until one of the zones has ended by itself."""
    try:
        _how_to_go_on(stage)
        stage.console.print("\nThe zones stay up. Ctrl-C stops them.")
        while not (ended := stage.tree.ended()):
            time.sleep(0.5)
    except KeyboardInterrupt:
        return
    raise Failed(f"{ended[0].name} ended by itself; its log says:\n{ended[0].log_end()}")


def _how_to_go_on(stage: Stage) -> None:
    """What a user would do next."""
    top, leaf = stage.tree["top"], stage.tree[steps.LEAF]
    admin = f"bin/zone-admin --data-dir {_short(top.data)}"
    stage.console.print(
        f"\n[bold]Go on[/] in another terminal, at top:\n"
        f"  source {_short(top.openrc)}\n"
        f"  nova zone-list; nova zone-tree; nova availability-zone-list\n"
        f"  nova list --fields name,status,OS-EXT-SRV-ATTR:host\n"
        f"  nova delete more-1 fill-1\n"
        f"  nova boot --image demo --flavor m1.tiny --zone west --poll mine\n"
        f"  nova zone-cordon east; nova zone-show east; nova zone-uncordon east\n"
        f"  {admin} server-explain ID; {admin} link-list\n"
        f"Or as a leaf's own administrator: source {_short(leaf.openrc)}; nova list\n"
        f"{top.url}/metrics and /readyz; the logs are {_short(top.folder)}/*.log",
        highlight=False, soft_wrap=True)


def _short(path: Path) -> Path:
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path


def main(argv: Sequence[str]) -> int:
    """One whole demo; the exit status."""
    parser = argparse.ArgumentParser(prog="demo", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--once", action="store_true", help="stop at the end, also at a terminal")
    parser.add_argument("--ami", default="", metavar="ami-…", help="the image that aws boots, where the "
                        "environment names an EC2 of its own (AWS_ENDPOINT_URL)")
    args = parser.parse_args(argv)
    once = args.once or not sys.stdout.isatty()
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
        waits = Waits()
        stage = Stage(Tree(home, waits, os.environ, args.ami), waits, console, progress)
        _on_signals(waits)
        try:
            status = _guarded(stage, lambda: run(stage))
            progress.stop()
            if status == 0:
                console.print(f"\n[bold]{stage.right} of {stage.right + len(stage.wrong)}[/] expectations "
                              f"hold, after {time.monotonic() - began:.1f} s", highlight=False)
                status = 1 if stage.wrong else 0
                if not once:
                    status = max(status, _guarded(stage, lambda: stay(stage)))
        finally:
            waits.stopped.set()
            stage.tree.stop()
            console.print("The zones are stopped.")
            if stage.tree.endpoint:
                console.print("What aws booted stays in that EC2, and may cost: its instances have the tag "
                              "zones:service=aws.")
            let_go()
    return status


def _guarded(stage: Stage, job: Callable[[], None]) -> int:
    """Run `job`: 0, or the exit status when it did not come to its end."""
    try:
        job()
    except Failed as error:
        stage.console.print(f"[red]✗[/] {escape(str(error))}", highlight=False)
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


def _on_signals(waits: Waits) -> None:
    """Ctrl-C and SIGTERM end the demo in good order; once is enough."""
    def interrupt(_number: int, _frame: FrameType | None) -> None:
        if not waits.stopped.is_set():
            waits.stopped.set()
            raise KeyboardInterrupt
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, interrupt)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
