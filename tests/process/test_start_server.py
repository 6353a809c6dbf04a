"""The helpers that other tests start servers with: what they wait for and what they leave behind."""

from __future__ import annotations

import signal
import sys

import pytest

from tests.process import start_process

LISTENS = "print('listening on http://127.0.0.1:4321', flush=True)"
WAITS = "import signal; signal.pause()"


def python(*statements: str) -> list[str]:
    return [sys.executable, "-c", "\n".join(statements)]


def test_the_port_is_read_from_the_line_that_says_where_it_listens():
    with start_process(python(LISTENS, WAITS)) as server:
        assert server.port == 4321
        assert server.url("/a") == "http://127.0.0.1:4321/a"


def test_the_process_is_gone_behind_the_block():
    with start_process(python(LISTENS, WAITS)) as server:
        assert server.is_running
    assert not server.is_running
    assert server.wait() == -signal.SIGTERM


def test_the_process_is_gone_when_the_block_fails():
    with pytest.raises(ZeroDivisionError), start_process(python(LISTENS, WAITS)) as server:
        raise ZeroDivisionError
    assert not server.is_running


def test_what_the_process_wrote_is_shown_when_the_block_fails(capsys):
    last = "signal.signal(signal.SIGTERM, lambda *_: sys.exit(print('the last line', flush=True)))"
    writes = python("import signal, sys", last, "print('a traceback', file=sys.stderr)", LISTENS, WAITS)
    with pytest.raises(AssertionError), start_process(writes) as server:
        server.stop()
        raise AssertionError
    shown = capsys.readouterr().err
    assert "failed by AssertionError" in shown
    assert "\n  a traceback\n" in shown
    assert "\n  the last line\n" in shown


def test_nothing_is_shown_when_nothing_fails(capsys):
    with start_process(python(LISTENS, WAITS)) as server:
        server.stop()
    assert capsys.readouterr() == ("", "")


def test_a_relative_python_path_does_not_lead_into_the_folder_of_the_process(tmp_path, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", ".")
    (tmp_path / "hidden.py").write_text("")
    script = tmp_path / "scripts" / "tries.py"
    script.parent.mkdir()
    script.write_text("import hidden")
    with start_process([sys.executable, str(script)], cwd=tmp_path, ready=None) as server:
        assert server.wait() == 1
    assert "No module named 'hidden'" in server.lines[-1]


def test_a_process_that_ends_early_shows_what_it_wrote():
    ends = python("import sys", "print('no such port', file=sys.stderr)", "sys.exit(5)")
    with pytest.raises(AssertionError, match=r"(?s)exit status 5.*no such port"), start_process(ends):
        pass


def test_a_line_that_never_comes_ends_at_its_deadline():
    with start_process(python(LISTENS, WAITS)) as server, pytest.raises(AssertionError, match="never"):
        server.wait_for_line("never", timeout=0.01)


def test_output_and_error_are_kept_apart():
    both = python("import sys", "print('out')", "print('err', file=sys.stderr)")
    with start_process(both, ready=None) as server:
        assert server.wait() == 0
        assert server.output == ["out"]
        assert server.lines == ["err"]
