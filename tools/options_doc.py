"""Write docs/options.md from zones/config.py: what every option is for, beside its default.

`python tools/options_doc.py` writes it, `--check` exits with 1 when it is not current.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from zones import config

HOME = Path(__file__).resolve().parent.parent
TARGET = HOME / "docs" / "options.md"
HEAD = """# Options

Made of `zones/config.py` by `python tools/options_doc.py`; change them there.

Each option is a line `name = value` of its section in a file that `--config-file` names, or a flag:
`--name` for the first section, `--section-name` for the others (`--api-workers 4`; `--host` and `--port`
are short for `--api-host` and `--api-port`). Flags win over files, later files over earlier ones. An option
may also come from the environment, as `OS_DEFAULT__DATABASE_URL` or `OS_IDENTITY__ADMIN_PASSWORD`, which
keeps secrets out of the list of processes and wins over files. A misspelt option in a file is refused.
"""


def page() -> str:
    """The whole page."""
    parts = [HEAD, _section("DEFAULT", config.Config, "The process and the zone that it belongs to.")]
    parts += [_section(name, section, (section.__doc__ or "").partition("\n")[0])
              for name, section in config.SECTIONS.items()]
    return "\n".join(parts)


def _section(name: str, section: type, about: str) -> str:
    rows = [(option.name, _plain(option.default), option.metadata["help"])
            for option in config.options(section)]
    repeated = config.REPEATED.get("" if name == "DEFAULT" else name)
    if repeated is not None:
        rows.append((repeated.name, "", f"{repeated.metavar}: {repeated.help}"))
    lines = [f"| `{option}` | {f'`{default}`' if default else ''} | {text} |"
             for option, default, text in rows]
    return "\n".join([f"## [{name}]", "", about, "", "| option | default | what it does |",
                      "| --- | --- | --- |", *lines, ""])


def _plain(default: object) -> str:
    return ",".join(default) if isinstance(default, tuple) else str(default)


def main(argv: list[str]) -> int:
    """Write the page, or compare it; the exit status."""
    if "--check" in argv:
        current = TARGET.exists() and TARGET.read_text() == page()
        if not current:
            print(f"{TARGET.relative_to(HOME)} is not current: run python tools/options_doc.py")
        return 0 if current else 1
    TARGET.write_text(page())
    print(f"wrote {TARGET.relative_to(HOME)}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
