"""Options come from where the operator put them, and what makes no sense is refused in one line."""

from dataclasses import fields
from pathlib import Path

import pytest

from tools import options_doc
from zones import config
from zones.config import ROLES, load
from zones.errors import Invalid


def _file(folder: Path, text: str) -> list[str]:
    path = folder / "zone.conf"
    path.write_text(text)
    return ["--config-file", str(path)]


def test_without_any_option_it_is_a_whole_zone() -> None:
    found = load([])
    assert (found.roles, found.api.url, found.amqp_url) == (ROLES, "http://127.0.0.1:8774", "memory://")
    assert found.database == f"sqlite:///{found.data_dir / 'zone.sqlite'}"


def test_every_option_can_be_set_and_says_what_it_does(tmp_path: Path) -> None:
    for name, section in config.SECTIONS.items():
        for option in config.options(section):
            value = "99" if isinstance(option.default, int | float) else "x"
            twin = {"tls_key": ["--api-tls-cert", "c"], "tls_cert": ["--api-tls-key", "k"]}
            with_it = twin.get(option.name, [])
            by_flag = load([*with_it, f"--{name}-{option.name.replace('_', '-')}", value])
            by_file = load(_file(tmp_path, f"[{name}]\n{option.name} = {value}\n") + with_it)
            for found in (by_flag, by_file):
                assert str(getattr(getattr(found, name), option.name)) in (value, "99.0")
            assert option.metadata["help"]


def test_all_fields_are_options_but_those_that_repeat() -> None:
    left = {field.name for section in (config.Config, *config.SECTIONS.values()) for field in fields(section)
            if field not in config.options(section)}
    assert left == {"capabilities", "options", *config.SECTIONS}


def test_a_flag_wins_over_the_file(tmp_path: Path) -> None:
    argv = _file(tmp_path, "[DEFAULT]\nname = filed\n[api]\nport = 9000\nhost = 0.0.0.0\n")
    found = load([*argv, "--port", "9001"])
    assert (found.name, found.api.port, found.api.host) == ("filed", 9001, "0.0.0.0")


def test_the_environment_may_hold_secrets(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("OS_DEFAULT__DATABASE_URL", "postgresql://zones:secret@db/zones")
    monkeypatch.setenv("OS_IDENTITY__ADMIN_PASSWORD", "secret")
    found = load(_file(tmp_path, "[DEFAULT]\ndatabase_url = sqlite:///other\n"))
    assert (found.database, found.identity.admin_password) == ("postgresql://zones:secret@db/zones", "secret")


def test_what_repeats_is_collected(tmp_path: Path) -> None:
    argv = _file(tmp_path, "[DEFAULT]\ncapability = a=1;2\ncapability = b=3\n"
                           "[compute]\noption = hosts=2\noption = profile=1*1:1:1+k=v\n")
    found = load(argv)
    assert found.capabilities == {"a": ["1", "2"], "b": ["3"]}
    assert found.compute.options == {"hosts": "2", "profile": "1*1:1:1+k=v"}


@pytest.mark.parametrize(("text", "told"), [
    ("[api]\nprot = 1\n", "section [api] has no option 'prot'"),
    ("[DEFAULT]\nport = 1\n", "section [DEFAULT] has no option 'port'"),
    ("[appi]\nport = 1\n", "there is no section [appi]"),
    ("port\n", "Failed to parse"),
    ("[DEFAULT]\nroles = api,cook\n", "unknown role 'cook'"),
    ("[DEFAULT]\nname = a/b\n", "zone name 'a/b'"),
    ("[compute]\nname = a b\n", "compute service name 'a b'"),
    ("[DEFAULT]\nlog_level = loud\n", "log_level 'LOUD' is none of"),
    ("[DEFAULT]\ncapability = kvm\n", "'kvm' is not of the form name=value"),
    ("[DEFAULT]\ncapability = a=;\n", "capability 'a=;' has no value"),
    ("[api]\ntls_cert = c.pem\n", "tls_cert and tls_key must be given together"),
])
def test_a_bad_file_is_refused_in_plain_words(tmp_path: Path, text: str, told: str) -> None:
    with pytest.raises(Invalid) as refusal:
        load(_file(tmp_path, text))
    assert told in refusal.value.message


@pytest.mark.parametrize("text", ["[api]\nport = x\n", "[timing]\nlease = -1\n", "[api]\nworkers = 0\n"])
def test_a_bad_value_ends_the_program_and_names_the_option(
        tmp_path: Path, text: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        load(_file(tmp_path, text))
    assert text.splitlines()[1].split()[0] in capsys.readouterr().err


def test_a_folder_of_files_is_held_to_the_same_rules(tmp_path: Path) -> None:
    (tmp_path / "zone.conf").write_text("[api]\nprot = 1\n")
    with pytest.raises(Invalid, match="no option 'prot'"):
        load(["--config-dir", str(tmp_path)])


def test_a_missing_file_is_named() -> None:
    with pytest.raises(Invalid, match=r"no such configuration file: .*nothing\.conf"):
        load(["--config-file", "nothing.conf"])


def test_the_page_of_options_is_current() -> None:
    assert options_doc.TARGET.read_text() == options_doc.page(), "run python tools/options_doc.py"
