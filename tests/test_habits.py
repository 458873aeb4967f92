"""What the repository promises about itself: docs that are true, files that are used, clean locks."""

import re
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path
from typing import get_args

import msgspec
import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import gateway
from gateway.devices.config import Config
from gateway.errors import EVENT_PROBLEMS, PROBLEMS
from gateway.journeys.model import Gate
from gateway.profiles.changes import CHANGING_TYPES, Reason, fault_of_change
from gateway.profiles.consent import OBEYED
from gateway.rule import Operator
from gateway.settings import Settings

ROOT = Path(__file__).resolve().parent.parent
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
LOCKS = sorted((ROOT / "requirements").glob("*.txt"))

ROLES = {"__init__", "model", "store", "api"}
CAPABILITIES = ["apps", "console", "devices", "inbox", "ingest", "journeys", "profiles"]
SPLIT_BY_NOUN = {
    "apps/token",  # device tokens: signed here, read by the edge without I/O
    "devices/config",  # what the gateway tells all devices of an app
    "profiles/changes",  # which events change what is known of a person, and how
    "profiles/consent",  # whose answer counts
}
"""Role files that grew and were split; a capability has no fourth role."""


def _tree() -> list[Path]:
    """Every file of the repository, committed or about to be."""
    listing = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    return [path for name in listing.split("\0") if name and (path := ROOT / name).is_file()]


def _texts(*suffixes: str) -> dict[Path, str]:
    texts = {}
    for path in _tree():
        if not suffixes or path.suffix in suffixes:
            try:
                texts[path] = path.read_text()
            except UnicodeDecodeError:
                continue  # a picture, a recording
    return texts


def _section(page: str, heading: str) -> str:
    """The text under a Markdown heading, up to the next one."""
    _, _, rest = (ROOT / page).read_text().partition(f"\n{heading}\n")
    assert rest, f"{page} has no section {heading!r}"
    return re.split(r"^#+ ", rest, maxsplit=1, flags=re.MULTILINE)[0]


def _rows(section: str) -> list[list[str]]:
    lines = [line for line in section.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]


# --- docs ------------------------------------------------------------------------------------


def test_docs_name_the_make_targets_that_exist_and_all_of_them() -> None:
    makefile = (ROOT / "Makefile").read_text()
    documented_in_help = set(re.findall(r"^([a-z-]+):.*## ", makefile, re.MULTILINE))
    phony = set(re.findall(r"^\.PHONY: (.*)$", makefile, re.MULTILINE)[0].split())
    assert phony == documented_in_help | {"help"}

    pages = "\n".join(text for path, text in _texts(".md").items() if path.name != "CHANGELOG.md")
    in_code = re.findall(r"`make ([a-z-]+)", pages)
    in_blocks = re.findall(
        r"^ *(?:\$ )?make ([a-z-]+)", "\n".join(_code_blocks(pages)), re.MULTILINE
    )
    assert set(in_code) | set(in_blocks) == documented_in_help


def _code_blocks(markdown: str) -> list[str]:
    return re.findall(r"^ *```[a-z]*\n(.*?)^ *```", markdown, re.MULTILINE | re.DOTALL)


def test_operations_page_describes_every_setting() -> None:
    page = (ROOT / "docs/operations.md").read_text()
    missing = [name for name in Settings.__struct_fields__ if f"`{name}`" not in page]
    assert missing == []


def test_protocol_page_lists_every_problem_code_with_its_status() -> None:
    documented = {
        code: int(status)
        for status, codes, _ in _rows(_section("docs/protocol.md", "### Problem codes"))
        for code in re.findall(r"`([a-z_]+)`", codes)
    }
    assert documented == {code: status for code, (status, _) in PROBLEMS.items()}


def test_protocol_page_lists_every_code_of_a_rejected_event() -> None:
    section = _section("docs/protocol.md", "### Problem codes")
    paragraph = section[section.index("Codes of a rejected event") :]
    codes = set(re.findall(r"`([a-z_]+)`", paragraph)) - {"detail", "nothing_acceptable"}
    assert codes == set(EVENT_PROBLEMS)


def test_protocol_page_states_the_limits_that_are_in_force() -> None:
    units = {"": 1, "KiB": 1024, "MiB": 1024**2, "s": 1, "days": 86_400}
    defaults = {field.name: field.default for field in msgspec.structs.fields(Settings)}
    for limit, value, setting in _rows(_section("docs/protocol.md", "### Limits")):
        if name := re.fullmatch(r"`([a-z_]+)`", setting):
            number, _, unit = value.partition(" ")
            assert defaults[name[1]] == int(number) * units[unit], limit


def test_protocol_page_explains_every_member_of_the_configuration() -> None:
    rows = _rows(_section("docs/protocol.md", "## Configuration: `GET /v1/config`"))
    explained = [name for names, _ in rows for name in re.findall(r"`(\w+)`", names)]
    assert sorted([*explained, "etag"]) == sorted(Config.__struct_fields__)


def test_protocol_page_lists_every_change_of_a_profile() -> None:
    rows = _rows(_section("docs/protocol.md", "### Events about the person"))
    types = {type.strip("`") for type, _, _ in rows}
    assert types == CHANGING_TYPES | {"identify"}
    names = {name.strip("`") for type, name, _ in rows if type == "`profile`"}
    assert all(fault_of_change("profile", name, {}) is None for name in names)
    assert names == {"set", "set_once", "increment", "unset"}


def test_protocol_page_lists_every_reason_for_leaving_something_out() -> None:
    section = _section("docs/protocol.md", "### Events about the person")
    paragraph = section[section.index("**Left out.**") : section.index("**Groups.**")]
    assert set(re.findall(r"`(\w+)`", paragraph)) == set(get_args(Reason))


def test_protocol_page_says_what_each_purpose_is_for() -> None:
    section = _section("docs/protocol.md", "## Consent: `PUT /v1/consent`")
    obeyed = {purpose.strip("`") for purpose, _ in _rows(section)}
    assert obeyed | {"push"} == set(OBEYED)


def test_protocol_page_lists_every_operator_of_a_rule() -> None:
    rows = _rows(_section("docs/protocol.md", "## Rules"))
    explained = [op for ops, _, _ in rows for op in re.findall(r"`(\w+)`", ops)]
    assert sorted(explained) == sorted(get_args(Operator))


def test_architecture_page_lists_every_gate() -> None:
    (row,) = [
        row for row in _rows(_section("docs/architecture.md", "## Words")) if row[0] == "gate"
    ]
    assert set(re.findall(r"`(\w+)`", row[1])) == set(get_args(Gate))


def test_links_between_pages_lead_somewhere() -> None:
    broken = [
        f"{path.relative_to(ROOT)}: {target}"
        for path, text in _texts(".md").items()
        for target in re.findall(r"\]\(([^)#:\s]+)(?:#[^)\s]*)?\)", text)
        if not (path.parent / target).exists()
    ]
    assert broken == []


# --- code ------------------------------------------------------------------------------------


@pytest.mark.parametrize("capability", CAPABILITIES)
def test_capability_has_only_role_files(capability: str) -> None:
    folder = ROOT / "gateway" / capability
    files = {path.stem for path in folder.glob("*.py")}
    nouns = {name.partition("/")[2] for name in SPLIT_BY_NOUN if name.startswith(f"{capability}/")}
    assert files - ROLES == nouns


def test_architecture_contract_covers_every_capability() -> None:
    contracts = {
        contract["id"]: contract for contract in PYPROJECT["tool"]["importlinter"]["contracts"]
    }
    containers = contracts["roles"]["containers"]
    with_roles = {
        f"gateway.{path.parent.name}"
        for role in ROLES - {"__init__"}
        for path in (ROOT / "gateway").glob(f"*/{role}.py")
    }
    assert set(containers) == with_roles == {f"gateway.{name}" for name in CAPABILITIES}


def test_every_lua_function_is_called() -> None:
    python = "\n".join(
        text for path, text in _texts(".py").items() if ROOT / "gateway" in path.parents
    )
    for script in (ROOT / "gateway/lua").glob("*.lua"):
        functions = re.findall(
            r"register_function(?:\(|\{function_name = )'(\w+)'", script.read_text()
        )
        assert functions, f"{script.name} registers nothing"
        uncalled = [name for name in functions if not re.search(rf"b?[\"']{name}[\"']", python)]
        assert uncalled == [], script.name


def test_every_lua_script_says_which_keys_it_touches() -> None:
    silent = [
        script.name
        for script in (ROOT / "gateway/lua").glob("*.lua")
        if not re.match(r"-- .+\n(?:--.*\n)*-- KEYS 1 ", script.read_text())
    ]
    assert silent == []


# --- what is shipped and what is installed -----------------------------------------------------


def test_wheel_ships_the_code_and_its_data(tmp_path: Path) -> None:
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)],
        cwd=ROOT,
        check=True,
        capture_output=True,
    )
    (wheel,) = tmp_path.glob("*.whl")
    shipped = set(zipfile.ZipFile(wheel).namelist())
    wanted = {
        path.relative_to(ROOT).as_posix()
        for path in _tree()
        if ROOT / "gateway" in path.parents and path.suffix in {".py", ".lua"}
    }
    assert wanted <= shipped
    assert {name.partition("/")[0] for name in shipped if ".dist-info/" not in name} == {"gateway"}


def test_package_page_is_the_readme() -> None:
    assert PYPROJECT["project"]["readme"] == "README.md"
    assert (ROOT / "README.md").is_file()


def test_version_is_the_same_everywhere() -> None:
    assert gateway.__version__ == PYPROJECT["project"]["version"]


@pytest.mark.parametrize("lock", LOCKS, ids=lambda lock: lock.stem)
def test_lock_has_hashes_and_no_addresses(lock: Path) -> None:
    lines = [line for line in lock.read_text().splitlines() if not line.lstrip().startswith("#")]
    entries = " ".join(line.rstrip("\\") for line in lines)
    for entry in re.split(r"\s(?=[A-Za-z0-9][\w.-]*(?:\[[\w,-]+\])?==)", entries):
        assert re.match(r"[A-Za-z0-9][\w.-]*(\[[\w,-]+\])?==[\w.!+]+", entry.strip()), entry[:80]
        assert re.search(r"--hash=sha256:[0-9a-f]{64}", entry), entry[:80]
    options = {word for line in lines for word in line.split() if word.startswith("-")}
    assert {option.partition("=")[0] for option in options} == {"--hash"}
    assert "//" not in entries


def test_locks_agree_with_each_other_and_with_what_is_asked_for() -> None:
    pins: dict[str, dict[str, str]] = {
        lock.stem: {
            canonicalize_name(name): version
            for name, version in re.findall(
                r"^([\w.-]+)==([\w.!+]+)", lock.read_text(), re.MULTILINE
            )
        }
        for lock in LOCKS
    }
    versions: dict[str, set[str]] = {}
    for locked in pins.values():
        for name, version in locked.items():
            versions.setdefault(name, set()).add(version)
    assert {name: found for name, found in versions.items() if len(found) > 1} == {}

    groups = PYPROJECT["dependency-groups"]
    asked = {"run": PYPROJECT["project"]["dependencies"] + groups["build"]} | {
        group: wishes for group, wishes in groups.items() if group != "build"
    }
    for lock, wishes in asked.items():
        for wish in map(Requirement, wishes):
            version = pins[lock][canonicalize_name(wish.name)]
            assert wish.specifier.contains(version), f"make lock: {lock} has {wish.name} {version}"


def test_no_file_names_a_package_index_or_a_machine() -> None:
    """A checkout installs from wherever its machine is set up to install from."""
    indexes = [r"pypi\.", r"pythonhosted\.", r"registry\.npm", r"index[-_]url", r"find[-_]links"]
    folders = r"(?<![\w.:/<>*{}$-])/(?:work|opt|root|tmp|home|Users)/\w"
    forbidden = re.compile("|".join([*indexes, folders]))
    found = [
        f"{path.relative_to(ROOT)}: {match[0]}"
        for path, text in _texts().items()
        for match in [forbidden.search(text)]
        if match
    ]
    assert found == []


def test_ci_can_be_started() -> None:
    assert (ROOT / ".ci/run").stat().st_mode & 0o111
