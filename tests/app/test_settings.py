"""The environment's settings: defaults, bad values and secrets."""

from pathlib import Path

import pytest

from app.settings import REPOSITORY, SETTINGS, ConfigurationError, load_settings, refuse_replaced
from ddad_core.errors import DdadError

SECRET = "5d1f0c9ab27e"
SIGN_ON = {
    "DDAD_OIDC_METADATA_URL": "https://provider.example/.well-known/openid-configuration",
    "DDAD_OIDC_CLIENT_ID": "ddad",
    "DDAD_OIDC_CLIENT_SECRET": SECRET,
    "DDAD_OIDC_REDIRECT_URI": "http://localhost:8501/oauth2callback",
    "DDAD_OIDC_ROLES_CLAIM": "realm_access.roles",
    "DDAD_OIDC_ROLES": "cxr-readers=reader, cxr=x=lead",
}


def test_defaults_are_local_and_open_to_this_machine_only():
    settings = load_settings({})
    assert settings.home == REPOSITORY / "data/local"
    assert settings.database_url == f"sqlite:///{REPOSITORY}/data/local/ddad.sqlite"
    assert settings.weights == REPOSITORY / "weights"
    assert settings.gallery == REPOSITORY / "data/demo"
    assert (settings.host, settings.port) == ("127.0.0.1", 8501)
    assert (settings.allowed_hosts, settings.trusted_proxies) == ((), ())
    assert (settings.demo, settings.sign_on) == (False, None)
    assert (settings.device, settings.max_upload_mb) == ("auto", 100)
    assert (settings.site, settings.keep_originals) == ("", False)
    assert settings.pseudonym_key_file == settings.home / "pseudonym.key"


def test_every_setting_is_declared_once_with_help():
    names = [one.name for one in SETTINGS]
    assert len(names) == len(set(names))
    assert all(one.help.endswith(".") for one in SETTINGS)
    assert {one.name for one in SETTINGS if one.secret} == {
        "DDAD_DATABASE_URL",
        "DDAD_OIDC_CLIENT_SECRET",
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
        "postgresql+psycopg://reader:kettle-moss-41-violet@db/ddad",
        "postgresql://reader@db/ddad",
        "postgres://reader:kettle-moss-41-violet@db/ddad",
    ],
)
def test_a_complete_database_url_is_taken_as_it_is(url):
    assert load_settings({"DDAD_DATABASE_URL": url}).database_url == url


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
        ("DDAD_DEMO", "yes"),
        ("DDAD_ALLOWED_HOSTS", "https://a.example"),
        ("DDAD_ALLOWED_HOSTS", "a.example:443"),
        ("DDAD_ALLOWED_HOSTS", "*.example"),
        ("DDAD_TRUSTED_PROXIES", "proxy.example"),
        ("DDAD_TRUSTED_PROXIES", "10.0.0.1/8"),
    ],
)
def test_a_bad_value_is_refused_by_name_with_a_next_step(name, value):
    with pytest.raises(ConfigurationError) as caught:
        load_settings({name: value})
    assert isinstance(caught.value, DdadError)
    assert name in caught.value.problem
    assert caught.value.next_step
    assert len(str(caught.value)) < 250


def test_secrets_stay_out_of_repr_errors_and_what_is_recorded():
    url = f"postgresql://reader:{SECRET}@db/ddad"
    settings = load_settings({**SIGN_ON, "DDAD_DATABASE_URL": url})
    assert settings.database_url == url and settings.sign_on.client_secret == SECRET
    assert SECRET not in repr(settings)
    assert SECRET not in repr(dict(settings.in_force))
    assert settings.in_force["DDAD_OIDC_CLIENT_ID"] == "ddad"
    for bad in (
        {"DDAD_DATABASE_URL": "x://weaksecret"},
        {"DDAD_DATABASE_URL": "postgresql://a:weaksecret@db/ddad"},
        {**SIGN_ON, "DDAD_OIDC_CLIENT_SECRET": "weaksecret"},
    ):
        with pytest.raises(ConfigurationError) as caught:
            load_settings(bad)
        assert "weaksecret" not in str(caught.value)


def private(path: Path, text: str, mode: int = 0o600) -> Path:
    path.write_text(text)
    path.chmod(mode)
    return path


@pytest.mark.parametrize(
    "weak", ["short", "aaaaaaaaaaaaaaaa", "abababababababab", "changeme1234", "Password2026!"]
)
def test_weak_secrets_are_refused_wherever_they_come_from(weak, tmp_path):
    file = private(tmp_path / "secret", weak)
    given = {k: v for k, v in SIGN_ON.items() if k != "DDAD_OIDC_CLIENT_SECRET"}
    for bad in (
        {**given, "DDAD_OIDC_CLIENT_SECRET": weak},
        {**given, "DDAD_OIDC_CLIENT_SECRET_FILE": str(file)},
        {"DDAD_DATABASE_URL": f"postgresql://reader:{weak}@db/ddad"},
    ):
        with pytest.raises(ConfigurationError, match="easily guessed"):
            load_settings(bad)


@pytest.mark.parametrize("mode", [0o600, 0o400, 0o640, 0o440])
def test_a_secret_may_come_from_a_file_of_its_owner_or_group(tmp_path, mode):
    url = f"postgresql://reader:{SECRET}@db/ddad"
    file = private(tmp_path / "url", f"{url}\n", mode)
    assert load_settings({"DDAD_DATABASE_URL_FILE": str(file)}).database_url == url


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda path: private(path, "sqlite://", 0o644), "open to every account"),
        (lambda path: private(path, "sqlite://", 0o602), "open to every account"),
        (lambda path: private(path, "  \n"), "empty"),
        (lambda path: private(path, "x" * 5000), "too long"),
        (lambda path: path, "cannot be read"),
        (lambda path: path.parent, "cannot be read"),
    ],
)
def test_a_file_that_cannot_hold_a_secret_is_refused(tmp_path, make, said):
    with pytest.raises(ConfigurationError, match=said) as caught:
        load_settings({"DDAD_DATABASE_URL_FILE": str(make(tmp_path / "secret"))})
    assert "DDAD_DATABASE_URL_FILE" in caught.value.problem


def test_a_secret_given_twice_is_refused(tmp_path):
    file = private(tmp_path / "url", "sqlite://")
    given = {"DDAD_DATABASE_URL": "sqlite://", "DDAD_DATABASE_URL_FILE": str(file)}
    with pytest.raises(ConfigurationError, match="Both"):
        load_settings(given)


def test_a_setting_of_an_earlier_version_is_refused_with_what_took_its_place():
    refuse_replaced({"DDAD_ACCESS_PASSWORD": ""})
    with pytest.raises(ConfigurationError, match="account of their own") as caught:
        refuse_replaced({"DDAD_ACCESS_PASSWORD": "correct horse battery"})
    assert "correct horse" not in str(caught.value)


def test_hosts_and_proxies_are_lists():
    given = {
        "DDAD_ALLOWED_HOSTS": "Reading.example, 192.0.2.1,,2001:db8::1",
        "DDAD_TRUSTED_PROXIES": "10.0.0.5, 10.1.0.0/16, fd00::/8",
    }
    settings = load_settings(given)
    assert settings.allowed_hosts == ("reading.example", "192.0.2.1", "2001:db8::1")
    networks = [str(one) for one in settings.trusted_proxies]
    assert networks == ["10.0.0.5/32", "10.1.0.0/16", "fd00::/8"]


def test_the_demonstration_never_shows_an_installations_home_or_database(tmp_path):
    given = {
        **SIGN_ON,
        "DDAD_DEMO": "1",
        "DDAD_HOME": "/srv/ddad",
        "DDAD_DATABASE_URL": "sqlite:////srv/ddad/ddad.sqlite",
        "DDAD_PSEUDONYM_KEY_FILE": "/srv/ddad/pseudonym.key",
    }
    settings = load_settings(given)
    assert settings.demo
    assert settings.home == REPOSITORY / "data/demo-home"
    assert "/srv" not in repr(settings) + settings.database_url + repr(settings.in_force)
    assert settings.sign_on is None
    assert load_settings({**given, "DDAD_DEMO_HOME": str(tmp_path)}).home == tmp_path


def test_single_sign_on_is_read_whole():
    sign_on = load_settings(SIGN_ON).sign_on
    assert sign_on.roles == {"cxr-readers": "reader", "cxr=x": "lead"}
    assert sign_on.roles_claim == ("realm_access", "roles")
    assert sign_on.name == "single sign-on"


@pytest.mark.parametrize("name", sorted(set(SIGN_ON) - {"DDAD_OIDC_ROLES_CLAIM"}))
def test_single_sign_on_is_refused_in_part(name):
    with pytest.raises(ConfigurationError, match=name):
        load_settings({**SIGN_ON, name: ""})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("DDAD_OIDC_METADATA_URL", "http://provider.example/x"),
        ("DDAD_OIDC_METADATA_URL", "provider.example"),
        ("DDAD_OIDC_REDIRECT_URI", "http://reading.example/oauth2callback"),
        ("DDAD_OIDC_REDIRECT_URI", "https://reading.example/"),
        ("DDAD_OIDC_ROLES", "cxr-readers=king"),
        ("DDAD_OIDC_ROLES", "=reader"),
        ("DDAD_OIDC_ROLES", "reader"),
    ],
)
def test_a_single_sign_on_that_cannot_work_is_refused(name, value):
    with pytest.raises(ConfigurationError, match=name):
        load_settings({**SIGN_ON, name: value})


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
