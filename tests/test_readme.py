"""The README's Python runs, and the commands it names exist."""

from __future__ import annotations

import re
from pathlib import Path

from typer.main import get_command

from napari_seg.cli.app import app
from napari_seg.editing.catalogue import TOOLS
from napari_seg.editing.ruler import MEASURES

README = (Path(__file__).parent.parent / "README.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", README, re.DOTALL | re.MULTILINE)


def test_python_runs(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    code = "\n".join(blocks("python"))
    exec(compile(code, "README.md", "exec"), {})
    said = capsys.readouterr().out
    assert float(re.search(r"AP at IoU 0.5: ([\d.]+)", said).group(1)) > 0.5
    assert (tmp_path / "mask.tif").exists()


def test_every_command_is_shown_with_flags_that_exist():
    commands = get_command(app).commands
    shown = re.findall(r"^napari-seg ([\w-]+)([^#\n]*)", "\n".join(blocks("sh")), re.MULTILINE)
    assert {name for name, _ in shown} == set(commands)
    for name, rest in shown:
        flags = {flag for parameter in commands[name].params for flag in parameter.opts}
        assert set(re.findall(r"--[\w-]+", rest)) <= flags


def test_make_targets_exist():
    targets = re.findall(r"^([\w-]+):", (Path(__file__).parent.parent / "Makefile").read_text(), re.MULTILINE)
    assert set(re.findall(r"`?make ([a-z]+)`?\n", README)) <= set(targets)


def test_the_table_of_tools_is_theirs():
    for tool in (*TOOLS.values(), *MEASURES.values()):
        assert f"| {tool.title} | `{tool.key}` | {tool.tip} |" in README
