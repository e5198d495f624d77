"""The environment's settings: defaults, bad values and secrets."""

from pathlib import Path

import pytest

from app.settings import REPOSITORY, SETTINGS, ConfigurationError, load_settings
from ddad_core.errors import DdadError

PASSWORD = "correct horse battery"


def test_defaults_are_local_and_open_to_this_machine_only():
    settings = load_settings({})
    assert settings.home == REPOSITORY / "data/local"
    assert settings.database_url == f"sqlite:///{REPOSITORY}/data/local/ddad.sqlite"
    assert settings.weights == REPOSITORY / "weights"
    assert settings.gallery == REPOSITORY / "data/demo"
    assert (settings.host, settings.port) == ("127.0.0.1", 8501)
    assert settings.access_password == ""
    assert (settings.device, settings.max_upload_mb) == ("auto", 100)
    assert (settings.site, settings.keep_originals) == ("", False)
    assert settings.pseudonym_key_file == settings.home / "pseudonym.key"


def test_every_setting_is_declared_once_with_help():
    names = [one.name for one in SETTINGS]
    assert len(names) == len(set(names))
    assert all(one.help.endswith(".") for one in SETTINGS)
    assert {one.name for one in SETTINGS if one.secret} == {
        "DDAD_ACCESS_PASSWORD",
        "DDAD_DATABASE_URL",
    }


def test_declared_defaults_given_outright_change_nothing():
    given = {one.name: one.default for one in SETTINGS}
    assert load_settings(given) == load_settings({})


def test_empty_and_blank_values_count_as_unset():
    assert load_settings({one.name: "" for one in SETTINGS}) == load_settings({})
    assert load_settings({"PORT": "  ", "DDAD_HOST": " "}) == load_settings({})


def test_home_moves_the_database_with_it(tmp_path):
    settings = load_settings({"DDAD_HOME": str(tmp_path)})
    assert settings.home == tmp_path
    assert settings.database_url == f"sqlite:///{tmp_path}/ddad.sqlite"


def test_relative_paths_start_at_the_repository(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    given = {"DDAD_WEIGHTS": "elsewhere", "DDAD_DATABASE_URL": "sqlite:///site.sqlite"}
    settings = load_settings(given)
    assert settings.weights == REPOSITORY / "elsewhere"
    assert settings.database_url == f"sqlite:///{REPOSITORY}/site.sqlite"


@pytest.mark.parametrize(
    "url",
    [
        "sqlite:////srv/ddad.sqlite",
        "sqlite:///:memory:",
        "sqlite://",
        "postgresql+psycopg://reader:secret@db/ddad",
        "postgresql://reader@db/ddad",
        "postgres://reader:secret@db/ddad",
    ],
)
def test_a_complete_database_url_is_taken_as_it_is(url):
    assert load_settings({"DDAD_DATABASE_URL": url}).database_url == url


def test_the_database_url_may_stand_in_a_file(tmp_path):
    path = tmp_path / "url"
    path.write_text("postgresql://reader:secret@db/ddad\n")
    settings = load_settings({"DDAD_DATABASE_URL_FILE": str(path)})
    assert settings.database_url == "postgresql://reader:secret@db/ddad"
    assert "secret" not in repr(settings)


@pytest.mark.parametrize("content", [None, b"", b"  \n", b"postgresql://a\nsecret", b"\xff\xfe"])
def test_a_url_file_that_holds_no_url_is_refused_without_repeating_it(tmp_path, content):
    path = tmp_path / "url"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ConfigurationError, match="DDAD_DATABASE_URL_FILE") as caught:
        load_settings({"DDAD_DATABASE_URL_FILE": str(path)})
    assert "secret" not in str(caught.value) and caught.value.next_step


def test_a_url_given_twice_is_refused(tmp_path):
    path = tmp_path / "url"
    path.write_text("postgresql://reader:secret@db/ddad")
    given = {"DDAD_DATABASE_URL_FILE": str(path), "DDAD_DATABASE_URL": "sqlite:////a"}
    with pytest.raises(ConfigurationError, match="both set"):
        load_settings(given)


def test_tilde_is_the_home_folder():
    assert load_settings({"DDAD_HOME": "~/ddad"}).home == Path.home() / "ddad"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("PORT", "0"),
        ("PORT", "65536"),
        ("PORT", "http"),
        ("PORT", "-1"),
        ("PORT", "٨٥٠١"),
        ("PORT", "9" * 5000),
        ("DDAD_MAX_UPLOAD_MB", "0"),
        ("DDAD_MAX_UPLOAD_MB", "1.5"),
        ("DDAD_DEVICE", "tpu"),
        ("DDAD_DATABASE_URL", "mysql://db/ddad"),
        ("DDAD_DATABASE_URL", "ddad.sqlite"),
        ("DDAD_HOME", "~nobody-of-this-name/ddad"),
        ("DDAD_ACCESS_PASSWORD", "elevenchars"),
        ("DDAD_ACCESS_PASSWORD", " " * 20),
        ("DDAD_ACCESS_PASSWORD", "with a newline\n"),
    ],
)
def test_a_bad_value_is_refused_by_name_with_a_next_step(name, value):
    with pytest.raises(ConfigurationError) as caught:
        load_settings({name: value})
    assert isinstance(caught.value, DdadError)
    assert name in caught.value.problem
    assert caught.value.next_step
    assert len(str(caught.value)) < 250


def test_secrets_stay_out_of_repr_and_errors():
    url = "postgresql://reader:database-secret@db/ddad"
    given = {"DDAD_ACCESS_PASSWORD": PASSWORD, "DDAD_DATABASE_URL": url}
    settings = load_settings(given)
    assert settings.access_password == PASSWORD
    assert PASSWORD not in repr(settings)
    assert "database-secret" not in repr(settings)
    for bad in ({"DDAD_ACCESS_PASSWORD": "shortsecret"}, {"DDAD_DATABASE_URL": "x://shortsecret"}):
        with pytest.raises(ConfigurationError) as caught:
            load_settings(bad)
        assert "shortsecret" not in str(caught.value)


def test_a_password_of_twelve_characters_is_enough():
    assert load_settings({"DDAD_ACCESS_PASSWORD": "twelve chars"}).access_password


def test_the_key_follows_the_home_unless_it_has_a_place_of_its_own(tmp_path):
    home = {"DDAD_HOME": str(tmp_path)}
    assert load_settings(home).pseudonym_key_file == tmp_path / "pseudonym.key"
    given = {**home, "DDAD_PSEUDONYM_KEY_FILE": "/safe/key", "DDAD_KEEP_ORIGINALS": "1"}
    settings = load_settings({**given, "DDAD_SITE": " Praxis Süd "})
    assert (settings.pseudonym_key_file, settings.keep_originals) == (Path("/safe/key"), True)
    assert settings.site == "Praxis Süd"


@pytest.mark.parametrize(
    "given",
    [{"DDAD_KEEP_ORIGINALS": "yes"}, {"DDAD_SITE": "a\\b"}, {"DDAD_SITE": "a" * 65}],
)
def test_a_site_or_switch_that_cannot_be_used_is_refused(given):
    with pytest.raises(ConfigurationError, match=next(iter(given))):
        load_settings(given)
