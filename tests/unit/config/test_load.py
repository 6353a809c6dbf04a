"""defaults < environment < command line < keywords, and what each of them refuses"""

from __future__ import annotations

import re

import pytest

from greenserve.config import Config, load_config
from greenserve.config.load import build_parser, names_as_given
from greenserve.config.option import declared_options
from greenserve.errors import ConfigError


def load(*argv, environ=None, **keywords):
    return load_config(argv, environ or {}, **keywords)


def refusal(*argv, environ=None, **keywords):
    with pytest.raises(ConfigError) as refused:
        load(*argv, environ=environ, **keywords)
    return str(refused.value)


def help_text(monkeypatch, columns):
    monkeypatch.setenv("COLUMNS", columns)
    return build_parser().format_help()


def test_without_anything_the_defaults_hold():
    assert load() == Config()


def test_each_source_wins_over_the_one_before():
    environ = {"GREENSERVE_BACKLOG": "2", "GREENSERVE_HEAD_TIMEOUT": "2", "GREENSERVE_BODY_TIMEOUT": "2"}
    config = load("--head-timeout", "3", "--body-timeout=3", environ=environ, body_timeout=4)
    assert (config.write_timeout, config.backlog) == (60.0, 2)
    assert (config.head_timeout, config.body_timeout) == (3.0, 4.0)


def test_the_process_is_read_when_nothing_is_given(monkeypatch):
    monkeypatch.setattr("sys.argv", ["greenserve", "site:app"])
    monkeypatch.setenv("GREENSERVE_BACKLOG", "9")
    config = load_config()
    assert (config.application, config.backlog) == ("site:app", 9)


@pytest.mark.parametrize(
    "argv", [("a:b", "--backlog", "5"), ("--backlog", "5", "a:b"), ("--backlog=5", "--", "a:b")]
)
def test_the_application_stands_anywhere(argv):
    config = load(*argv)
    assert (config.application, config.backlog) == ("a:b", 5)


def test_the_application_comes_from_the_environment_too():
    assert load(environ={"GREENSERVE_APPLICATION": "a:b"}).application == "a:b"


def test_repeated_flags_add_up_and_replace_the_environment():
    config = load("-b", ":1", "--bind", ":2,:3", environ={"GREENSERVE_BIND": ":9"})
    assert config.bind == (":1", ":2", ":3")
    assert load(environ={"GREENSERVE_BIND": ":8, :9"}).bind == (":8", ":9")


def test_folders_are_separated_by_colons():
    assert load("--pythonpath", "a:b", "--pythonpath", "c").pythonpath == ("a", "b", "c")


def test_switches_have_an_opposite():
    assert load("--buffer-chunked").buffer_chunked is True
    assert load("--no-buffer-chunked", environ={"GREENSERVE_BUFFER_CHUNKED": "yes"}).buffer_chunked is False


def test_values_may_begin_with_a_dash():
    config = load("--access-log", "-", "--access-log-format", "-%h %u", "--error-log=-e.log")
    assert (config.access_log, config.access_log_format, config.error_log) == ("-", "-%h %u", "-e.log")


def test_an_empty_text_is_a_value():
    assert load("--server-header", "").server_header == ""
    assert load(environ={"GREENSERVE_SERVER_HEADER": ""}).server_header == ""
    assert load("--certfile", "", environ={"GREENSERVE_CERTFILE": "c.pem"}).certfile is None


def test_a_wrong_value_is_named_as_it_was_given():
    reason = "'soon': not a duration in seconds"
    assert refusal("--keepalive-timeout", "soon") == f"--keepalive-timeout: {reason}"
    assert (
        refusal(environ={"GREENSERVE_KEEPALIVE_TIMEOUT": "soon"}) == f"GREENSERVE_KEEPALIVE_TIMEOUT: {reason}"
    )
    assert refusal(keepalive_timeout="soon") == f"keepalive_timeout: {reason}"


def test_settings_that_contradict_each_other_are_named_as_they_were_given():
    reason = "a key without a certificate"
    assert refusal("--keyfile", "k") == f"--keyfile: 'k': {reason}: --certfile is not given"
    environ = {"GREENSERVE_KEYFILE": "k", "GREENSERVE_CERTFILE": ""}
    expected = f"GREENSERVE_KEYFILE: 'k': {reason}: GREENSERVE_CERTFILE is not given"
    assert refusal(environ=environ) == expected
    assert refusal(environ=environ, keyfile="x") == expected.replace(
        "GREENSERVE_KEYFILE: 'k'", "keyfile: 'x'"
    )
    assert refusal("--certfile", "", environ=environ) == expected.replace(
        "GREENSERVE_CERTFILE is", "--certfile is"
    )


def test_a_name_is_the_variable_s_only_where_no_flag_wins_over_it():
    environ = {"GREENSERVE_BIND": ":1", "GREENSERVE_BACKLOG": "1"}
    names = names_as_given(["-b", ":2", "a:b"], environ)
    assert names.keys() == {each.name for each in declared_options(Config)}
    assert (names["bind"], names["backlog"]) == ("--bind", "GREENSERVE_BACKLOG")
    assert (names["unix_mode"], names["buffer_chunked"]) == ("--unix-mode", "--buffer-chunked")


@pytest.mark.parametrize("argv", [("-b", ""), ("--bind", ","), ("--bind= ",)])
def test_an_address_that_is_empty_is_refused_with_what_is_wanted(argv):
    value = argv[-1].removeprefix("--bind=")
    reason = r"no address: HOST:PORT, \[IPV6\]:PORT, :PORT, unix:/PATH or fd://NUMBER is wanted"
    assert re.fullmatch(f"--bind: {value!r}: {reason}", refusal(*argv))
    assert re.fullmatch(f"GREENSERVE_BIND: {value!r}: {reason}", refusal(environ={"GREENSERVE_BIND": value}))
    assert re.fullmatch(f"bind: {value!r}: {reason}", refusal(bind=value))


@pytest.mark.parametrize("argv", [("--keepalive-timout", "5", "a:b"), ("a:b", "--keepalive-timout=5")])
def test_an_unknown_flag_is_refused_with_its_neighbours(argv):
    assert re.match(
        r"--keepalive-timout: no such setting; did you mean --keepalive-timeout\b", refusal(*argv)
    )


def test_a_flag_is_not_abbreviated():
    assert refusal("--keepalive", "5").startswith("--keepalive: no such setting")


def test_a_flag_without_its_value_is_refused():
    assert refusal("--backlog") == "--backlog: expected one argument"
    assert refusal("--buffer-chunked=yes").startswith("--buffer-chunked/--no-buffer-chunked: ")


def test_a_second_application_is_refused():
    assert refusal("a:b", "c:d") == "c:d: the application is 'a:b' already"


def test_an_empty_application_is_refused_and_not_one_that_is_left_out():
    for argv in (("",), ("--backlog", "5", "")):
        assert refusal(*argv) == "application: empty; leave the argument out to have one looked for"
    assert load_config([], {"GREENSERVE_APPLICATION": ""}).application is None


def test_an_unknown_variable_is_refused_with_its_neighbours():
    message = refusal(environ={"GREENSERVE_KEEPALIVE_TIMOUT": "5"})
    assert message.startswith("GREENSERVE_KEEPALIVE_TIMOUT: '5': no such setting; did you mean ")
    assert "GREENSERVE_KEEPALIVE_TIMEOUT" in message


def test_an_unknown_keyword_is_refused_with_its_neighbours():
    assert "did you mean keepalive_timeout" in refusal(keepalive_timout=5)


SERVICE_LINKS = {
    "GREENSERVE_SERVICE_HOST": "10.0.0.1",
    "GREENSERVE_SERVICE_PORT": "80",
    "GREENSERVE_SERVICE_PORT_HTTP": "80",
    "GREENSERVE_PORT": "tcp://10.0.0.1:80",
    "GREENSERVE_PORT_80_TCP": "tcp://10.0.0.1:80",
    "GREENSERVE_PORT_80_TCP_PROTO": "tcp",
    "GREENSERVE_PORT_80_TCP_PORT": "80",
    "GREENSERVE_PORT_80_TCP_ADDR": "10.0.0.1",
}


def test_what_kubernetes_says_about_a_service_of_our_name_is_no_setting():
    assert load(environ=SERVICE_LINKS) == Config()


def test_a_port_that_somebody_set_is_refused():
    assert refusal(environ={"GREENSERVE_PORT": "9000"}).startswith("GREENSERVE_PORT: '9000': no such setting")


def test_variables_of_others_are_none_of_our_business():
    assert load(environ={"greenserve_backlog": "1", "GREEN": "x", "GREENSERVER_X": "1"}) == Config()


@pytest.mark.parametrize("flag", ["-h", "--help"])
def test_help_is_answered_even_if_a_variable_is_wrong(flag, capsys):
    with pytest.raises(SystemExit) as answered:
        load(flag, environ={"GREENSERVE_BACKLOG": "x"})
    assert answered.value.code == 0
    assert capsys.readouterr().out.startswith("usage: greenserve [options] [APPLICATION]\n")


def test_help_describes_every_setting_once(monkeypatch):
    text = help_text(monkeypatch, "1000")
    for each in declared_options(Config):
        assert text.count(each.help) == 1
        assert each.positional or each.flag in text


def test_help_is_grouped_and_fits_the_terminal(monkeypatch):
    text = help_text(monkeypatch, "80")
    assert re.findall(r"^([A-Z][\w ]*):$", text, re.MULTILINE) == [
        "Application",
        "Listening",
        "Processes",
        "Capacity",
        "Limits of a request",
        "Time limits",
        "Logs",
        "TLS",
        "Responses",
        "Information",
    ]
    assert [line for line in text.splitlines() if len(line) > 80] == []
    assert "[127.0.0.1:8000]" in text


def test_the_versions_that_matter_are_printed(capsys):
    with pytest.raises(SystemExit) as answered:
        load("--version")
    assert answered.value.code == 0
    assert re.fullmatch(
        r"greenserve \d\S*, gevent \d\S*, greenlet \d\S*, CPython 3\.\S+\n", capsys.readouterr().out
    )
