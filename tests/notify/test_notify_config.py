"""[[output]], [[notify]] and [notices]: every mistake is named with its place and what would be right."""

import pickle
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from notify_tools import KINDS, Probe
from smtp_sink import write_secret

from gateway import api
from gateway.api import BUILT_IN, Mistake, Output, Secret, load_output, output_types, setting
from gateway.config import check_site, explain, load_site_aside
from gateway.errors import Problem
from gateway.profile import Hours
from gateway.site import Site

BASE = """\
[gateway]
member = "dairy"
site = "plant"
id = "gw-1"

[[bus]]
id = "line"
type = "modbus-rtu"
device = "/dev/ttyUSB0"

[[device]]
id = "room"
bus = "line"
model = "xy-md02"
unit = 1
period_s = 10

[[point]]
id = "cold"
name = "Cold room"
channel = "room.temperature"
"""
MAIL = """
[[output]]
id = "mail"
type = "email"
to = ["ann@dairy.example"]
host = "smtp.dairy.example"
sender = "gw@dairy.example"
"""
RULE = """
[[notify]]
output = "mail"
"""


def checked(text: str, base: Path = Path("/nowhere")) -> tuple[Site | None, list[Problem]]:
    site, problems = check_site(BASE + text, "site.toml", base)
    assert all(problem.what and problem.remedy for problem in problems)
    return site, problems


def said(text: str, base: Path = Path("/nowhere")) -> list[str]:
    return [f"{problem.path}: {problem.what}; {problem.remedy}" for problem in checked(text, base)[1]]


def test_without_the_tables_nobody_is_told_and_nothing_is_missing() -> None:
    site, problems = checked("")
    assert problems == []
    assert site is not None
    assert (site.outputs, site.notify) == ((), ())


def test_a_whole_configuration_becomes_nouns(tmp_path: Path) -> None:
    write_secret(tmp_path / "smtp.password", "x")
    text = """
[notices]
link = "http://gw.local:8080/"
unreachable = "20min"

[[output]]
id = "mail"
type = "email"
to = ["ann@dairy.example", "bob@dairy.example"]
language = "pl"
timeout = "20s"
limit = 5
per = "10min"
late = "5min"
give_up = "48h"
alive = "24h"
host = "smtp.dairy.example"
sender = "gw@dairy.example"
user = "gw"
password = { file = "smtp.password" }
ca = "mail-ca.pem"

[[output]]
id = "siren"
type = "siren-modbus"
host = "10.0.0.9"
coil = 3

[[notify]]
output = "mail"
tiers = ["critical", "maintenance"]
points = ["cold", "room"]
transitions = ["raised", "escalated"]
to = ["boss@dairy.example"]
level = 1
delay = "5min"
times = ["mon-fri 07:00-18:00", "22:00-06:00"]

[[notify]]
output = "siren"
tiers = ["critical"]

[[notify]]
output = "mail"
"""
    site, problems = checked(text, tmp_path)
    assert problems == []
    assert site is not None
    mail, siren = site.outputs
    assert (mail.timeout_s, mail.limit, mail.per_s, mail.late_s, mail.give_up_s) == (20, 5, 600, 300, 172_800)
    assert (mail.language, mail.alive_s, mail.to) == ("pl", 86_400, ("ann@dairy.example", "bob@dairy.example"))
    assert mail.settings["password"] == Secret(file=tmp_path / "smtp.password")
    assert mail.settings["ca"] == tmp_path / "mail-ca.pem"
    assert mail.settings["security"] == "starttls"
    assert (siren.sends, siren.follows, siren.timeout_s) == (False, True, 30)
    rule = site.notify[0]
    assert (rule.level, rule.delay_s, rule.to, rule.points) == (1, 300, ("boss@dairy.example",), ("cold", "room"))
    assert rule.times == (
        Hours(days=frozenset((0, 1, 2, 3, 4)), start_min=420, end_min=1080),
        Hours(days=frozenset((0, 1, 2, 3, 4, 5, 6)), start_min=1320, end_min=360),
    )
    assert (site.notices.link, site.notices.unreachable_s) == ("http://gw.local:8080/", 1200)
    assert pickle.loads(pickle.dumps(site)) == site, "it comes to the daemon from another process"
    for spec in site.outputs:
        kind = load_output(spec.type)
        kind.Settings(**spec.settings)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ('type = "emial"', "output[1].type: 'emial' is not a kind of output; did you mean 'email'?"),
        ("host = 5", 'output[1].host: 5 is a whole number, not a string in quotes; for example: host = "smtp.'),
        ('sender = "no address"', "output[1].sender: 'no address' is no e-mail address; write it bare"),
        ('to = ["ann"]', "output[1].to: 'ann' is no e-mail address; write it bare"),
        ('to = ["a@x.pl", "a@x.pl"]', "output[1].to: names a recipient twice; name each once"),
        ("to = []", "output[1].to: is missing; add to = [...] with an e-mail address at least"),
        ("prot = 25", "output[1].prot: is not a setting of a email [[output]]; did you mean 'port'?"),
        ("port = 0", "output[1].port: 0 is below the least that is allowed; write 1 or more"),
        ('security = "ssl"', "output[1].security: \"ssl\" is not allowed; use 'starttls', 'tls' or 'none'"),
        (
            'password = "geheim"',
            "output[1].password: a secret does not belong in the site file; write",
        ),
        (
            'password = { flie = "x" }',
            "output[1].password: does not say where the secret lies; write",
        ),
        ("password = 3", "output[1].password: does not say where the secret lies"),
        ('password = { credential = "../x" }', "output[1].password: '../x' is not the name of a credential"),
        ('user = "gw"', "output[1].password: user and password belong together; write both, or neither"),
        ('timeout = "20"', "output[1].timeout: '20' is not a duration"),
        ('timeout = "5min"', "output[1].timeout:"),
        ('language = "de"', 'output[1].language: "de" is not allowed'),
        ("late = 5", "output[1].late: 5 has no unit; write it in quotes"),
    ],
)
def test_a_mistake_in_an_output_is_named(change: str, message: str) -> None:
    name = change.split(" = ", maxsplit=1)[0]
    lines = [line for line in MAIL.splitlines() if not line.startswith(f"{name} =")]
    found = said("\n".join([*lines, change]) + RULE)
    assert any(line.startswith(message) for line in found), found


@pytest.mark.parametrize(
    ("rule", "message"),
    [
        ('output = "nail"', "notify[1].output: there is no output 'nail'; did you mean 'mail'?"),
        (
            'output = "mail"\ntiers = ["criticl"]',
            "notify[1].tiers[1]: 'criticl' is none of the tiers; did",
        ),
        ('output = "mail"\ntransitions = ["rose"]', "notify[1].transitions[1]: 'rose' is none of the transitions"),
        (
            'output = "mail"\npoints = ["clod"]',
            "notify[1].points[1]: 'clod' is no point and no device",
        ),
        ('output = "mail"\nto = ["boss"]', "notify[1].to: 'boss' is no e-mail address"),
        (
            'output = "mail"\ntimes = ["monday"]',
            "notify[1].times[1]: 'monday' is no stretch of the week",
        ),
        ('output = "mail"\ndelay = "soon"', "notify[1].delay: 'soon' is not a duration"),
        ('tiers = ["critical"]', 'notify[1].output: is missing; add output = "mail"'),
    ],
)
def test_a_mistake_in_a_rule_is_named(rule: str, message: str) -> None:
    found = said(MAIL + "\n[[notify]]\n" + rule)
    assert any(line.startswith(message) for line in found), found


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('[notices]\nlink = "gw.local"', "notices.link: 'gw.local' is no address of a page"),
        ("[output]\nid = 1", "output: is not a list of tables; write [[output]]"),
        (MAIL + MAIL + RULE, "output[2].id: 'mail' is the id of another output"),
        ('[[output]]\nid = "x"', 'output[1].type: is missing; add type = "email"'),
        (
            '[[output]]\nid = "s"\ntype = "siren-modbus"\ncoil = 1\nto = ["x"]\nhost = "h"\nalive = "1h"',
            "output[1].to: a siren-modbus output has no recipients",
        ),
        (
            '[[output]]\nid = "s"\ntype = "siren-modbus"\ncoil = 1\nhost = "h"\nalive = "1h"',
            "output[1].alive: a siren-modbus output shows what stands",
        ),
        ('[[output]]\nid = "s"\ntype = "siren-modbus"\ncoil = 1', "output[1].host: needs one way to the relay"),
        (
            '[[output]]\nid = "s"\ntype = "siren-modbus"\ncoil = 1\ndevice = "/dev/ttyUSB0"',
            "output[1].device: is the line of bus 'line', and two masters on one line disturb each other",
        ),
        (
            '[[output]]\nid = "s"\ntype = "siren-modbus"\ncoil = 1\nhost = "h"\n'
            '[[notify]]\noutput = "s"\ntransitions = ["raised"]',
            "notify[1].transitions: 's' shows what stands, and is not told of transitions",
        ),
        (
            '[[output]]\nid = "s"\ntype = "siren-modbus"\ncoil = 1\nhost = "h"\n'
            '[[notify]]\noutput = "s"\nto = ["x"]',
            "notify[1].to: 's' has no recipients to choose from",
        ),
        (
            '[[output]]\nid = "w"\ntype = "webhook"\nurl = "ftp://x"',
            "output[1].url: 'ftp://x' is no address that",
        ),
        (
            '[[output]]\nid = "w"\ntype = "webhook"\nurl = "https://u:p@x/"',
            "output[1].url: a secret does not belong in the site file",
        ),
        (
            '[[output]]\nid = "w"\ntype = "webhook"\nurl = "http://x/"\nauthorization = { file = "t" }',
            "output[1].authorization: would go over the network in the clear; use https://",
        ),
        (
            '[[output]]\nid = "w"\ntype = "webhook"\nurl = "http://x/"\nheaders = { Host = "y" }',
            "output[1].headers: the header 'Host' is set by the gateway",
        ),
        (
            '[[output]]\nid = "m"\ntype = "sms"\ndevice = "/dev/modem"\nto = ["0601234567"]',
            "output[1].to: '0601234567' is no telephone number; write it with its country",
        ),
        (
            '[[output]]\nid = "m"\ntype = "mqtt"\nhost = "h"\nprefix = "a/#"',
            "output[1].prefix: 'a/#' cannot begin a topic",
        ),
        (
            '[[output]]\nid = "g"\ntype = "siren-gpio"\nchip = "/dev/null"\nline = 1',
            "output[1].chip: '/dev/null' is no GPIO chip",
        ),
    ],
)
def test_other_mistakes_are_named(text: str, message: str) -> None:
    found = said(text)
    assert any(line.startswith(message) for line in found), found


def test_what_is_no_reason_not_to_start_is_said_all_the_same(tmp_path: Path) -> None:
    open_secret = tmp_path / "open.password"
    open_secret.write_text("x")
    open_secret.chmod(0o644)
    words = MAIL + 'user = "gw"\npassword = { file = "open.password" }\n'
    site, problems = checked(words + RULE, tmp_path)
    assert site is not None
    assert [str(problem) for problem in problems] == [
        "line 30: output[1].password: open.password can be read by everybody;"
        " take it from others: chmod o-rwx open.password"
    ]
    open_secret.unlink()
    site, problems = checked(words + RULE, tmp_path)
    assert site is not None
    assert "open.password: No such file or directory" in str(problems[0])
    site, problems = checked(MAIL)
    assert site is not None
    found = [f"{problem.path}: {problem.what}" for problem in problems]
    assert "output[1]: is told nothing: no rule names it" in found
    assert "output[1]: no rule tells anybody of every critical alarm" in found


def test_a_daemon_reads_it_without_the_checkers_library(tmp_path: Path) -> None:
    path = tmp_path / "site.toml"
    path.write_text(BASE + MAIL + RULE)
    site = load_site_aside(path)()
    assert [spec.id for spec in site.outputs] == ["mail"]


def test_every_built_in_output_can_be_loaded_and_described() -> None:
    for name in BUILT_IN.keys() - KINDS.keys():
        kind = load_output(name)
        assert kind.title
        assert kind.sends or kind.follows or kind.values
    assert set(BUILT_IN) <= set(output_types())


# What a plugin may get wrong


@dataclass(frozen=True)
class Clash:
    timeout: str = setting("", example="")


class Clashing(Output):
    Settings = Clash


class Undescribed(Output):
    class Settings:
        host = ""


class Breaking(Probe):
    address = "a number"

    @classmethod
    def check(cls, settings: Any) -> list[Mistake]:
        raise RuntimeError("oops")

    @classmethod
    def check_address(cls, address: str) -> None:
        raise KeyError(address)


@pytest.mark.parametrize(
    ("where", "words"),
    [
        ("test_notify_config:Clashing", "its settings timeout are names that every output has; rename them"),
        ("test_notify_config:Undescribed", "are no dataclass that can be checked"),
        ("test_notify_config:Site", "is no output; its class must be a gateway.api.Output"),
        ("no_such_module:X", "cannot be loaded (ModuleNotFoundError"),
        ("test_notify_config:NoSuchClass", "cannot be loaded (AttributeError"),
        ("test_notify_config:Breaking", "the plugin cannot check its settings (RuntimeError: oops); ask its maker"),
        ("test_notify_config:Breaking", "the plugin cannot check 'ann' (KeyError); ask its maker"),
    ],
)
def test_a_plugin_with_a_defect_is_named_and_the_rest_is_checked(
    monkeypatch: pytest.MonkeyPatch, where: str, words: str
) -> None:
    monkeypatch.setitem(api.BUILT_IN, "odd", where)  # type: ignore[arg-type]
    text = '\n[[output]]\nid = "odd"\ntype = "odd"\nto = ["ann"]\n' + MAIL.replace("port", "prot") + "prot = 1\n"
    found = said(text)
    assert any(line.startswith("output[1].") and words in line for line in found), found
    assert any(line.startswith("output[2].prot: is not a setting") for line in found)


def test_the_check_says_who_will_be_told() -> None:
    site, _ = checked(MAIL + RULE + RULE + 'to = ["boss@dairy.example"]\nlevel = 1\n')
    assert site is not None
    assert "output mail: email to 2 recipients, by 2 rules" in explain(site)
