"""deploy/: the compose files hold to the specification, and name only what is there."""

import re
from typing import Any

import pytest
import yaml
from compose_services import DEPLOY, VARIABLE, compose, values_of_the_example
from compose_spec import PyCompose
from dagster_service import REPOSITORY
from dotenv import dotenv_values
from typer.main import get_command

from orchestration.cli.app import app
from orchestration.settings import PREFIX, Settings, variable_of

FILES = ("compose.yaml", "compose.ray.yaml")
SECRETS = {
    "POSTGRES_PASSWORD": "one",
    "AWS_ACCESS_KEY_ID": "two",
    "AWS_SECRET_ACCESS_KEY": "three",
    "RAY_AUTH_TOKEN": "four",
}
OF_OTHERS = {"DAGSTER_HOME", "PGPASSWORD", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"}
OF_RAY = {"RAY_AUTH_MODE", "RAY_AUTH_TOKEN"}


@pytest.fixture(params=FILES)
def file(request: pytest.FixtureRequest) -> dict[str, Any]:
    return compose(request.param, values_of_the_example(**SECRETS))


@pytest.fixture
def services() -> dict[str, Any]:
    return compose("compose.yaml", values_of_the_example(**SECRETS))["services"]


def ours(services: dict[str, Any]) -> dict[str, Any]:
    return {name: service for name, service in services.items() if service["image"] == "internvid-lakehouse"}


def test_the_files_hold_to_the_compose_specification(file) -> None:
    without_additions = {**file, "services": {n: s for n, s in file["services"].items() if "image" in s}}
    PyCompose.from_yaml(yaml.safe_dump(without_additions)).validate()
    without_additions["services"]["planted"] = {"image": "planted", "restrt": "always"}
    with pytest.raises(ValueError, match="restrt"):
        PyCompose.from_yaml(yaml.safe_dump(without_additions)).validate()


def test_every_variable_is_in_the_example_and_every_one_of_the_example_is_used() -> None:
    used = {match["name"] for file in FILES for match in VARIABLE.finditer((DEPLOY / file).read_text())}
    assert used == set(dotenv_values(DEPLOY / ".env.example"))


@pytest.mark.parametrize("secret", SECRETS)
def test_a_secret_has_no_default(secret: str) -> None:
    file = "compose.ray.yaml" if secret == "RAY_AUTH_TOKEN" else "compose.yaml"
    values = values_of_the_example(**SECRETS)
    with pytest.raises(KeyError, match=secret):
        compose(file, {**values, secret: ""})


def test_every_variable_of_ours_is_a_setting_and_its_value_one_that_it_takes(services, monkeypatch) -> None:
    known = {variable_of(name) for name in Settings.model_fields} | OF_OTHERS
    for service in ours(services).values():
        environment = service["environment"]
        assert set(environment) <= known
        for name, value in environment.items():
            monkeypatch.setenv(name, str(value))
        settings = Settings()
        assert settings.lake == "s3://internvid/lake"
        assert settings.media_root == "s3://internvid/lake/media"
        assert settings.keep == "import"
        assert settings.code_location_address == ("code-location", 4000)
        assert settings.first_model == "viclip-tiny|all"


def test_ray_gets_settings_alone_and_the_machine_of_the_runs_is_part_of_its_cluster(services) -> None:
    with_ray = compose("compose.ray.yaml", values_of_the_example(**SECRETS))["services"]
    known = {variable_of(name) for name in Settings.model_fields} | OF_OTHERS | OF_RAY
    for service in with_ray.values():
        assert set(service["environment"]) <= known
    in_cluster, command = with_ray["code-location"]["command"][-1].split(" && exec ")
    assert in_cluster.startswith("ray start --address ray-head:6379 --num-cpus 0 ")
    assert command.split() == services["code-location"]["command"]
    assert set(with_ray) - set(services) == {"ray-head", "ray-worker"}
    assert [with_ray[name]["command"][:2] for name in ("ray-head", "ray-worker")] == [["ray", "start"]] * 2


def test_every_command_of_ours_is_there_with_its_options(services) -> None:
    for service in ours(services).values():
        program, *words = service["command"]
        if program == "python":
            assert (REPOSITORY / words[0]).is_file()
            continue
        assert program == "internvid"
        command: Any = get_command(app).commands[words[0]]  # type: ignore[attr-defined]
        command.make_context(words[0], words[1:], resilient_parsing=False)


def test_services_are_kept_up_bounded_and_watched(file) -> None:
    for name, service in file["services"].items():
        if "image" not in service:
            continue  # it only adds to a service of the other file
        limits = service["deploy"]["resources"]["limits"]
        assert {"cpus", "memory"} == set(limits), name
        is_one_shot = service["restart"] == "on-failure"
        assert service["restart"] == "unless-stopped" or is_one_shot
        assert "healthcheck" in service or is_one_shot or name == "ray-worker"


def test_nothing_listens_beyond_this_machine_unless_told_so(services) -> None:
    ports = [port for service in services.values() for port in service.get("ports", [])]
    assert len(ports) == 2
    assert all(port.startswith("127.0.0.1:") for port in ports)
    assert "ports" not in services["postgres"]
    assert "ports" not in services["code-location"]  # whoever reaches it can run code


def test_a_service_starts_once_what_it_needs_is_there(services) -> None:
    for service in services.values():
        for name, on in service.get("depends_on", {}).items():
            needed = services[name]
            can_end = needed["restart"].startswith("on-failure")
            assert on["condition"] == ("service_completed_successfully" if can_end else "service_healthy")
            assert can_end or "healthcheck" in needed


def test_every_volume_that_is_named_is_declared_and_every_folder_of_the_image_is_its_users(services) -> None:
    declared = set(compose("compose.yaml", values_of_the_example(**SECRETS))["volumes"])
    mounts = [mount.split(":") for service in services.values() for mount in service.get("volumes", [])]
    assert {source for source, *_ in mounts if not source.startswith(".")} == declared
    dockerfile = (DEPLOY / "Dockerfile").read_text()
    for service in ours(services).values():
        for mount in service["volumes"]:
            assert mount.split(":")[1] in dockerfile


def test_the_image_is_of_a_python_that_the_package_takes_and_runs_as_a_user() -> None:
    instructions = re.sub(r"\\\n", " ", (DEPLOY / "Dockerfile").read_text())
    lines = [line.split(maxsplit=1) for line in instructions.splitlines() if line and not line.startswith("#")]
    by_name: dict[str, list[str]] = {}
    for name, text in lines:
        by_name.setdefault(name, []).append(text)
    assert by_name["FROM"] == ["python:3.11-slim"]
    assert by_name["USER"] == ["internvid"]
    copied = [text.split()[0] for text in by_name["COPY"]]
    assert all((REPOSITORY / source).exists() for source in copied)
    assert "--constraint constraints.txt" in by_name["RUN"][1]


def test_no_secret_goes_into_the_image() -> None:
    ignored = (REPOSITORY / ".dockerignore").read_text().splitlines()
    assert "deploy/.env" in ignored
    assert "/deploy/.env" in (REPOSITORY / ".gitignore").read_text().splitlines()
    assert not any(name.startswith(PREFIX) for name in dotenv_values(DEPLOY / ".env.example"))
