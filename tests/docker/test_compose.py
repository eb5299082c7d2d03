"""
The rules of docker-compose.yml, read and not run: what a container may do, hold, reach and be reached by.

`make e2e` builds and runs it where a Docker engine is.
"""

import re
import shutil
import stat
import subprocess

import pytest
import yaml

from rekindle.platform import buckets, databases
from rekindle.settings import PROJECT

GIB = 1 << 30
UNITS = {"m": 1 << 20, "g": GIB}
COMPOSE = yaml.safe_load((PROJECT / "docker-compose.yml").read_text())
SERVICES = COMPOSE["services"]
STAYING = {name: service for name, service in SERVICES.items() if service["restart"] != "no"}
DOCKERFILES = sorted((PROJECT / "docker").glob("*/Dockerfile"))
ONLY_REFERENCED = re.compile(r"password|secret|token|key|conn|url", re.IGNORECASE)
PUBLIC = {
    # Names and addresses: no value of these opens anything.
    *("AWS_ACCESS_KEY_ID", "AWS_ENDPOINT_URL", "AIRFLOW__CORE__EXECUTION_API_SERVER_URL", "AIRFLOW__API__BASE_URL"),
    "REKINDLE_MLFLOW_PASSWORDS",
}

HELD_BY = {
    # A password that opens everything is where its server is set up, and nowhere else.
    "postgres": {"postgres", "databases"},
    "s3_root": {"store", "store-accounts", "buckets"},
    "mlflow_admin": {"mlflow", "registry"},
    "airflow_admin": {"pages"},
    # What finds phones again, and what reads and writes tables: tasks alone.
    "phone_key": {"airflow-scheduler", "tables", "tools"},
    "scores": {"airflow-scheduler", "databases", "tables", "tools"},
    "spark_token": {"airflow-scheduler", "spark", "tables", "tools"},
    "lake": {"databases", "spark"},
    "s3_spark": {"spark", "spark-worker", "store-accounts"},
    "s3_mlflow": {"mlflow", "store-accounts"},
    "s3_importer": {"importer", "store-accounts"},
    "spark_tls_key": {"spark-tls"},
    "sms_reader": {"databases"},
}


@pytest.fixture(params=SERVICES)
def service(request):
    return SERVICES[request.param]


def test_what_was_asked_for_is_there():
    wanted = {"postgres", "store", "spark", "spark-tls", "mlflow", "spark-master", "spark-worker"}
    parts = {"airflow-api-server", "airflow-scheduler", "airflow-dag-processor", "airflow-triggerer"}
    assert wanted | parts <= set(STAYING)
    assert SERVICES["spark-worker"]["deploy"]["replicas"] == 2
    assert {name for name, s in SERVICES.items() if s.get("profiles") == ["cluster"]} == {
        "spark-master",
        "spark-worker",
    }


def test_a_container_may_do_no_more_than_it_needs(service):
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert not {"privileged", "cap_add", "user", "pid", "ipc", "network_mode", "devices"} & set(service)
    assert not any(str(volume).startswith(("/", ".", "~")) for volume in service.get("volumes", ()))


def test_every_image_is_ours(service):
    assert service["image"].startswith("rekindle-")
    assert (PROJECT / service.get("build", {"dockerfile": "docker-compose.yml"})["dockerfile"]).is_file()


def test_ports_answer_on_this_machine_only(service):
    assert all(str(port).startswith("127.0.0.1:") for port in service.get("ports", ()))
    assert ("edge" in service["networks"]) == bool(service.get("ports"))


def test_networks_lead_nowhere_but_for_one():
    assert {name for name, network in COMPOSE["networks"].items() if not network.get("internal")} == {"edge"}


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("spark", "mlflow"),
        ("airflow-api-server", "store"),
        ("airflow-dag-processor", "store"),
        ("store", "edge"),
        ("spark", "edge"),
    ],
)
def test_what_need_not_meet_cannot(one, other):
    reached = set(SERVICES[other]["networks"]) if other in SERVICES else {other}
    common = set(SERVICES[one]["networks"]) & reached
    # A server of databases is met by all that have one.
    assert common - {"database", "store" if one == "spark" else ""} == set()


def test_memory_fits_sixteen_gibibytes():
    limits = [
        int(service["mem_limit"][:-1]) * UNITS[service["mem_limit"][-1]]
        for service in STAYING.values()
        if "profiles" not in service
    ]
    assert sum(limits) <= 16 * GIB
    assert all("mem_limit" in service for service in SERVICES.values())


@pytest.mark.parametrize("name", STAYING)
def test_what_stays_says_whether_it_is_well(name):
    assert STAYING[name]["healthcheck"]["test"][0] == "CMD"


def test_the_file_holds_no_secret(service):
    for name, value in (service.get("environment") or {}).items():
        if ONLY_REFERENCED.search(name) and name not in PUBLIC:
            assert str(value).startswith(("${", "/run/secrets")), name
        assert not re.search(r"//[^/]*:[^/]*@", str(value)), name


def test_each_secret_is_a_file_and_somebody_holds_it():
    files = {name: secret["file"] for name, secret in COMPOSE["secrets"].items()}
    assert files == {name: f"${{REKINDLE_SECRETS:-./secrets}}/{name}" for name in files}
    assert set(files) == {secret for service in SERVICES.values() for secret in service.get("secrets", ())}


@pytest.mark.parametrize("secret", HELD_BY)
def test_a_secret_is_held_by_those_who_need_it(secret):
    assert {name for name, service in SERVICES.items() if secret in service.get("secrets", ())} == HELD_BY[secret]


def test_nothing_starts_before_what_it_needs_is_set_up():
    """A newer database stops `tables`, and with it the scheduler: older code never runs on it."""
    assert SERVICES["airflow-scheduler"]["depends_on"]["tables"] == {"condition": "service_completed_successfully"}
    for name, service in SERVICES.items():
        for other, how in service.get("depends_on", {}).items():
            ends = SERVICES[other]["restart"] == "no"
            assert how["condition"] == ("service_completed_successfully" if ends else "service_healthy"), (name, other)


@pytest.mark.parametrize("path", DOCKERFILES, ids=lambda path: path.parent.name)
def test_images_are_built_of_what_is_known_and_run_as_nobody(path):
    text = path.read_text()
    bases = re.findall(r"^FROM (\S+)", text, re.MULTILINE)
    assert set(bases) <= {"python:3.11-slim", "debian:bookworm-slim"}
    final = text[text.rindex("\nFROM ") :]
    assert re.search(r"^USER 10001:10001$", final, re.MULTILINE)
    assert "USER" not in final.partition("USER 10001:10001")[2]
    for line in re.findall(r"^.*pip install.*(?:\\\n.*)*", text, re.MULTILINE):
        assert "--require-hashes" in line or "--no-index" in line
    assert not re.search(r"^ADD |curl|wget|--trusted-host|index-url", text, re.MULTILINE)


def test_an_image_holds_no_secret_no_data_and_no_history():
    told = (PROJECT / ".dockerignore").read_text().splitlines()
    assert "*" in told
    assert not {"!secrets", "!.git", "!.rekindle", "!tests"} & set(told)
    assert "secrets/" in (PROJECT / ".gitignore").read_text().splitlines()


@pytest.mark.parametrize("lock", ["requirements-stack.txt", "docker/store/requirements.txt"])
def test_what_images_install_is_pinned_with_hashes(lock):
    text = (PROJECT / lock).read_text()
    packages = re.findall(r"^[a-z].*?(?=^[a-z]|\Z)", text, re.MULTILINE | re.DOTALL)
    assert packages
    assert all("==" in package and "--hash=sha256:" in package for package in packages)


def test_containers_run_the_versions_that_are_tested():
    def versions(lock):
        return set(re.findall(r"^(\S+==\S+)", (PROJECT / lock).read_text(), re.MULTILINE))

    assert versions("requirements.txt") <= versions("requirements-stack.txt")


def test_users_of_the_store_are_made_and_allowed_by_the_same_names():
    made = SERVICES["store-accounts"]["command"]
    assert {user for users in buckets.ALLOWED.values() for user in users} == set(made)
    assert {f"s3_{user}" for user in made} <= set(SERVICES["store-accounts"]["secrets"])
    assert {*databases.DATABASES, *databases.READERS} <= set(SERVICES["databases"]["secrets"])


@pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl, which makes secrets, is not here")
def test_secrets_are_made_once_each_for_one_reader(tmp_path):
    def make():
        done = subprocess.run(
            ["scripts/secrets.sh", tmp_path / "secrets"], cwd=PROJECT, check=True, capture_output=True
        )
        return done.stdout.decode().split()[1::2]

    def read():
        return {path.name: path.read_bytes() for path in (tmp_path / "secrets").iterdir()}

    made = make()
    first = read()
    (tmp_path / "secrets" / "scores").unlink()

    assert set(made) == set(first)
    assert set(COMPOSE["secrets"]) <= set(first)
    assert len(set(first.values())) == len(first)
    assert all(len(content) >= 44 for content in first.values())
    assert make() == ["scores"]
    second = read()
    assert {name for name in first if first[name] != second[name]} == {"scores"}
    assert {stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "secrets").iterdir()} == {0o600}
