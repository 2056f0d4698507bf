"""What `mkdocs build` adds to the pages of docs/: the reference of commands and configuration, and linked files.

In: the argument parsers of ``asr``, ``conf/``, and the files of the repository that pages link to. Out: Markdown in the
place of ``<!-- commands -->`` and ``<!-- configuration -->``, and pages under ``repository/`` for what lies outside of
docs/, so that every link leads somewhere within the site.
"""

import argparse
import contextlib
import html
import io
import posixpath
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any
from unittest import mock

ROOT = Path(__file__).resolve().parents[1]
OUTSIDE = "repository"  # where files from outside of docs/ are in the site
_LINK = re.compile(r"(!?\[[^\]]*\]\()([^)#:\s]+)((?:#[^)\s]*)?\))")
_FENCE = re.compile(r"(```.*?```|`[^`\n]+`)", re.DOTALL)
_ALWAYS = ("README.md", "CONTRIBUTING.md", "CHANGELOG.md", "SECURITY.md", "benchmarks/README.md")


class _ParserFound(Exception):
    """Carries the parser whose arguments were about to be parsed."""


def on_files(files: Any, config: Any) -> Any:
    """Add every file of the repository that a page links to, and what those pages link to in turn."""
    from mkdocs.structure.files import File

    waiting = [*_ALWAYS, *(link for page in sorted((ROOT / "docs").rglob("*.md")) for link in links_of(page))]
    added: set[str] = set()
    while waiting:
        path = waiting.pop()
        if path in added or path.startswith("docs/") or not (ROOT / path).is_file():
            continue
        added.add(path)
        if path.endswith(".md"):
            content: str | bytes = (ROOT / path).read_text(encoding="utf-8")
            waiting += links_of(ROOT / path)
        else:
            content = (ROOT / path).read_bytes()
        files.append(File.generated(config, f"{OUTSIDE}/{path}", content=content))
    return files


def on_page_markdown(markdown: str, page: Any, **_: object) -> str:
    """Fill the generated parts in, and lead links out of docs/ to the pages that `on_files` made."""
    source = page.file.src_uri
    if source == "reference/commands.md":
        markdown = markdown.replace("<!-- commands -->", "\n".join(command_reference()))
    if source == "reference/configuration.md":
        markdown = markdown.replace("<!-- configuration -->", "\n".join(configuration_reference()))
    path = source.removeprefix(f"{OUTSIDE}/") if source.startswith(f"{OUTSIDE}/") else f"docs/{source}"
    parts = _FENCE.split(markdown)
    parts[::2] = [_LINK.sub(lambda match: _led(match, path, source), part) for part in parts[::2]]
    return "".join(parts)


def links_of(page: Path) -> list[str]:
    """The files that a page links to, by their paths from the root of the repository."""
    folder = page.relative_to(ROOT).parent.as_posix()
    prose = "".join(_FENCE.split(page.read_text(encoding="utf-8"))[::2])
    return [posixpath.normpath(posixpath.join(folder, match[2])) for match in _LINK.finditer(prose)]


def _led(match: re.Match[str], path: str, source: str) -> str:
    """A link of the page ``path`` of the repository, as a link of the page ``source`` of the site."""
    target = posixpath.normpath(posixpath.join(posixpath.dirname(path), match[2]))
    inside = target.removeprefix("docs/") if target.startswith("docs/") else f"{OUTSIDE}/{target}"
    return f"{match[1]}{posixpath.relpath(inside, posixpath.dirname(source) or '.')}{match[3]}"


def command_reference() -> Iterator[str]:
    """Each verb with its usage and a table of its options."""
    from asr.cli import VERBS

    for verb in VERBS:
        yield f"## asr {verb}\n\n{VERBS[verb][0].upper()}{VERBS[verb][1:]}.\n"
        names = _subverbs(verb)
        for words in [[verb, name] for name in names] or [[verb]]:
            if names:
                yield f"### asr {' '.join(words)}\n"
            found = parser_of(words)
            yield from _described(found) if isinstance(found, argparse.ArgumentParser) else [f"```text\n{found}```\n"]


def parser_of(words: list[str]) -> "argparse.ArgumentParser | str":
    """The parser that a command makes for its arguments; for one that has none, the text of its ``--help``."""
    from asr.cli import _run_verb

    def stop(self: argparse.ArgumentParser, *_: object) -> None:
        raise _ParserFound(self)

    shown = io.StringIO()
    with contextlib.ExitStack() as stack:
        stack.enter_context(contextlib.redirect_stdout(shown))
        for name in ("parse_args", "parse_intermixed_args"):
            stack.enter_context(mock.patch.object(argparse.ArgumentParser, name, stop))
        try:
            _run_verb(words[0], [*words[1:], "--help"])
        except _ParserFound as found:
            parser: argparse.ArgumentParser = found.args[0]
            return parser
    return shown.getvalue()


def _subverbs(verb: str) -> list[str]:
    from asr.commands import lm, probe

    known: dict[str, Iterable[str]] = {"lm": lm.SUBVERBS, "probe": probe.EXPERIMENTS}
    return list(known.get(verb, ()))


def _described(parser: argparse.ArgumentParser) -> Iterator[str]:
    formatter = argparse.HelpFormatter(prog=parser.prog, width=100)
    formatter.add_usage(parser.usage, parser._actions, parser._mutually_exclusive_groups)
    yield f"{parser.description}\n\n```text\n{formatter.format_help().strip()}\n```\n"
    for group in parser._action_groups:
        rows = [_row(parser, action) for action in group._group_actions if action.help != argparse.SUPPRESS]
        if rows:
            yield f"| {group.title} | |\n|---|---|\n" + "\n".join(rows) + "\n"
    if parser.epilog:
        raw = parser.formatter_class is argparse.RawDescriptionHelpFormatter
        yield f"```text\n{parser.epilog.strip()}\n```\n" if raw else f"{_escaped(parser.epilog)}\n"


def _row(parser: argparse.ArgumentParser, action: argparse.Action) -> str:
    formatter = argparse.HelpFormatter(prog=parser.prog, width=10_000)
    name = formatter._format_action_invocation(action)
    meaning = formatter._expand_help(action) if action.help else ""
    cell = name.replace("|", "\\|")
    return f"| `{cell}` | {_escaped(meaning)} |"


def _escaped(text: str) -> str:
    return re.sub(r"([|*_`\[\]])", r"\\\1", html.escape(text, quote=False))


def configuration_reference() -> Iterator[str]:
    """Each file of conf/ as it is, the generated default files first."""
    for folder in (ROOT / "conf", *sorted(path for path in (ROOT / "conf").iterdir() if path.is_dir())):
        files = sorted(folder.glob("*.yaml"), key=lambda path: ("Generated" not in path.read_text(), path.name))
        group = folder.relative_to(ROOT / "conf").as_posix()
        yield f"## {'The whole' if group == '.' else group}\n"
        for path in files:
            name = path.stem if group == "." else f"{group}={path.stem}"
            yield f"### {name}\n\n```yaml\n{path.read_text(encoding='utf-8').strip()}\n```\n"
