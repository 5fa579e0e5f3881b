"""Tests of serve/cli.py: what `voxkin` says of itself, and with which code it ends."""

import re
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest

from embed.config import presets
from serve.cli import VERBS, main

ROOT = Path(__file__).parents[2]
VOXKIN = [sys.executable, "-m", "serve.cli"]
SUBVERBS = [
    *(["probe", word] for word in ("train", "suggest", "apply", "list", "rollback")),
    *(["labels", word] for word in ("list", "sets", "import", "export", "undo", "convert")),
]


def _help(words: list[str], capsys) -> str:
    assert main([*words, "--help"]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    return out


@pytest.mark.parametrize("words", [[], ["-h"], ["--help"], ["help"]])
def test_help_lists_every_verb_and_what_it_is_for(words, capsys):
    assert main(words) == 0

    said = capsys.readouterr().out
    assert all(f"  {verb} " in said and summary in said for verb, (_, summary) in VERBS.items())


def test_help_of_the_program_imports_nothing_heavy():
    heavy = {"jax", "umap", "tyro", "numpy", "rich", "tensorstore", "grpc", "sklearn"}
    code = f"import sys, serve.cli as c; c.main([]); sys.exit(str({heavy} & {{*sys.modules}}))"

    ended = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)

    assert ended.stderr.strip() == "set()"


def test_the_verbs_that_only_look_do_not_start_jax_or_umap():
    verbs = ("info", "ingest", "find", "index", "labels", "probe", "project")
    modules = ", ".join(VERBS[verb][0] for verb in verbs)
    code = f"import sys, {modules}; sys.exit(str({{'jax', 'umap', 'sklearn'}} & {{*sys.modules}}))"

    ended = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)

    assert ended.stderr.strip() == "set()"


def test_the_version_is_that_of_the_package(capsys):
    assert main(["--version"]) == 0

    assert capsys.readouterr().out == f"voxkin {version('voxkin')}\n"


@pytest.mark.parametrize(
    "words", [*([verb] for verb in VERBS if verb not in ("labels", "probe")), *SUBVERBS]
)
def test_every_verb_explains_itself_with_an_example(words, capsys):
    said = _help(words, capsys)

    assert "Example" in said
    assert f"  voxkin {' '.join(words)}" in said
    assert f"usage: voxkin {' '.join(words)} " in said
    assert not re.search(r"None|\{FLOAT|\bSTR\b", said)


@pytest.mark.parametrize(
    "words", [*([verb] for verb in VERBS if verb not in ("labels", "probe", "demo")), *SUBVERBS]
)
def test_every_verb_with_results_has_json(words, capsys):
    if words == ["serve"]:
        assert "addresses as JSON" in _help(words, capsys)
    else:
        assert "--json" in _help(words, capsys)


def test_help_of_train_names_every_preset(capsys):
    said = _help(["train"], capsys)

    assert all(name in said for name in presets())


def test_help_of_train_shows_the_settings_of_the_preset_that_is_named(capsys):
    assert "(default: 45.0 4.6" in _help(["train", "sections"], capsys)


def test_a_misspelt_verb_is_refused_with_the_one_that_was_meant(capsys):
    assert main(["inof", "em.ome.zarr"]) == 2

    assert capsys.readouterr().err == "voxkin: no verb 'inof'; perhaps you meant info\n"


def test_a_word_like_no_verb_is_refused_with_all_there_are(capsys):
    assert main(["xyzzy"]) == 2

    err = capsys.readouterr().err
    assert err.count("\n") == 1
    assert all(verb in err for verb in VERBS)


def test_a_misspelt_flag_is_refused_with_the_one_that_was_meant(capsys):
    assert main(["train", "demo", "--out", "run", "--train.stpes", "3"]) == 2

    assert "--train.steps" in capsys.readouterr().err
    assert not Path("run").exists()


def test_a_mistake_ends_with_2_and_one_line(capsys):
    assert main(["info", "/no/such/volume"]) == 2

    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("voxkin info: no such path: /no/such/volume")
    assert err.count("\n") == 1


def test_a_bug_is_not_hidden(monkeypatch):
    monkeypatch.setitem(VERBS, "info", ("serve.no_such_module", ""))

    with pytest.raises(ModuleNotFoundError):
        main(["info", "sample"])


def test_a_reader_that_goes_away_ends_the_verb_quietly():
    command = f"{' '.join(VOXKIN)} info sample --json | true; echo ${{PIPESTATUS[0]}}"

    ended = subprocess.run(["bash", "-c", command], cwd=ROOT, capture_output=True, text=True)

    assert ended.stdout.strip() == "141"
    assert ended.stderr == ""


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is always full")
def test_a_full_disk_under_stdout_is_said_in_one_line():
    with open("/dev/full", "w") as full:
        command = [*VOXKIN, "info", "sample"]
        ended = subprocess.run(command, cwd=ROOT, stdout=full, stderr=subprocess.PIPE, text=True)

    assert ended.returncode == 2
    assert ended.stderr.startswith("voxkin info: cannot write to the standard output: no space")
    assert ended.stderr.count("\n") == 1
