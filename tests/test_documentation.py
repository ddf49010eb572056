"""What documents name exists: files, headings, commands and their options, extras; their Python compiles."""

from __future__ import annotations

import importlib.util
import re
import shlex
import sys
from pathlib import Path

import click
import pytest
import yaml

import edgevid
from edgevid.cli import cli

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).parent.parent
FENCE = re.compile(r"^( *)```(\w*)\n(.*?)^\1```$", flags=re.DOTALL | re.MULTILINE)
PATTERNS = ("*.md", "docs/**/*.md", "benchmarks/**/*.md", "examples/**/*.md", "kernels/*.md", "targets/*.md")
DOCUMENTS = sorted(path for pattern in PATTERNS for path in ROOT.glob(pattern))
NAMES = [path.relative_to(ROOT).as_posix() for path in DOCUMENTS]
SITE = yaml.safe_load((ROOT / "mkdocs.yml").read_text("utf-8"))

spec = importlib.util.spec_from_file_location("site_hooks", ROOT / "docs" / "site_hooks.py")
assert spec and spec.loader
site_hooks = importlib.util.module_from_spec(spec)
spec.loader.exec_module(site_hooks)

every_document = pytest.mark.parametrize("document", DOCUMENTS, ids=NAMES)


def prose(document: Path) -> str:
    return FENCE.sub("", site_hooks.on_page_markdown(document.read_text("utf-8")))


def anchors(document: Path) -> set[str]:
    """Those of GitHub, and of MkDocs, for headings of letters, digits and single spaces."""
    headings = re.findall(r"^#+ (.+)$", prose(document), flags=re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


def broken_links(document: Path) -> list[str]:
    broken = []
    for link in re.findall(r"\]\(([^)\s]+)\)", prose(document)):
        if re.match(r"[a-z]+:", link):
            continue
        name, _, anchor = link.partition("#")
        target = document.parent / name if name else document
        if not target.is_file() or (anchor and anchor not in anchors(target)):
            broken.append(link)
    return broken


def code(document: Path, language: str) -> list[str]:
    return [block for _, name, block in FENCE.findall(document.read_text("utf-8")) if name == language]


def commands(document: Path) -> list[list[str]]:
    """The words of each command in a block of bash."""
    lines = "".join(code(document, "bash")).replace("\\\n", " ").splitlines()
    parsed = [shlex.split(part, comments=True) for line in lines for part in line.split(" && ")]
    return [words for words in parsed if words]


def find_command(words: list[str]) -> tuple[click.Command, list[str]]:
    """The command of a line that begins with ``edgevid``, and the words after it."""
    command: click.Command = cli
    arguments = words[1:]
    while isinstance(command, click.Group) and arguments and not arguments[0].startswith("-"):
        name, *arguments = arguments
        found = command.get_command(click.Context(command), name)
        if found is None:
            raise click.UsageError(f"there is no command {name}")
        command = found
    return command, arguments


def check_command(words: list[str]) -> None:
    """Raise ``click.UsageError`` unless edgevid has this command, these options, and no other is required."""
    command, arguments = find_command(words)
    context = click.Context(command)
    values, left, _ = command.make_parser(context).parse_args(arguments)
    if left:
        raise click.UsageError(f"too many arguments: {left}")
    for parameter in command.params:
        given = values.get(parameter.name or "")
        if parameter.required and not isinstance(given, (str, tuple, list)):
            raise click.MissingParameter(param=parameter, ctx=context)
        if isinstance(parameter.type, click.Choice) and isinstance(given, str):
            parameter.type.convert(given, parameter, context)


@every_document
def test_links_lead_to_files_and_headings(document):
    assert broken_links(document) == []


@every_document
def test_commands_in_documents_exist_with_their_options(document):
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    rules = re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text("utf-8"), flags=re.MULTILINE)
    for words in commands(document):
        if words[0] == "edgevid":
            check_command(words)
        elif words[0] == "make":
            assert words[1] in rules
        elif words[0] == "pip":
            extras = re.findall(r"\w+", words[-1].partition("[")[2])
            assert set(extras) <= project["optional-dependencies"].keys()


@every_document
def test_commands_in_sentences_have_their_options(document):
    for line in re.findall(r"`(edgevid [a-z][^`]*)`", prose(document)):
        command, arguments = find_command(line.split())
        known = {name for option in command.params for name in (*option.opts, *option.secondary_opts)}
        assert set(re.findall(r"--[a-z][\w-]*", " ".join(arguments))) <= {*known, "--help"}, line


@every_document
def test_modules_that_documents_run_exist(document):
    for name in re.findall(r"python -m (edgevid\.[\w.]+[\w])", document.read_text("utf-8")):
        assert importlib.util.find_spec(name), name


@every_document
def test_python_in_documents_compiles(document):
    for block in code(document, "python"):
        compile(block, document.name, "exec")


@pytest.mark.parametrize(
    "line",
    [
        "edgevid exprot tsm_mbv2",
        "edgevid export tsm_mbv2 --tarject cpu",
        "edgevid export tsm_mbv2 --precision fp8",
        "edgevid export tsm_mbv2 --weights",
        "edgevid export",
        "edgevid eval bundle",
        "edgevid inspect one two",
        "edgevid dataset letters -o letters",
    ],
)
def test_a_command_that_does_not_exist_is_found(line):
    with pytest.raises(click.UsageError):
        check_command(line.split())


def test_a_broken_link_is_found(tmp_path):
    (tmp_path / "other.md").write_text("# A title: it's here\n```bash\n# no title\n```\n")
    links = [
        "other.md",
        "other.md#a-title-its-here",
        "#own",
        "absent.md",
        "other.md#no-title",
        ".",
        "https://a.b",
    ]
    document = tmp_path / "document.md"
    document.write_text("## Own\n" + " ".join(f"[x]({link})" for link in links))
    assert broken_links(document) == ["absent.md", "other.md#no-title", "."]


def pages_of(nav: object) -> list[str]:
    if isinstance(nav, str):
        return [nav]
    return [page for each in (nav.values() if isinstance(nav, dict) else nav) for page in pages_of(each)]


def test_the_site_has_every_document():
    assert sorted(pages_of(SITE["nav"])) == sorted(NAMES)


def test_the_reference_has_every_command_and_every_public_name():
    page = site_hooks.on_page_markdown((ROOT / "docs/reference/commands.md").read_text("utf-8"))
    for name in (*cli.list_commands(click.Context(cli)), "dataset digits"):
        assert f"## edgevid {name}\n\n```text\nUsage: edgevid {name} " in page
    page = (ROOT / "docs/reference/python.md").read_text("utf-8")
    assert set(re.findall(r"heading: edgevid\.(\w+)", page)) == {*edgevid.__all__, "errors"} - {"__version__"}
    for name in re.findall(r"^::: ([\w.]+)\.\w+$", page, flags=re.MULTILINE):
        assert importlib.util.find_spec(name), name
