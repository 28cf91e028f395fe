"""The OpenAPI description: every answer and every error of every endpoint."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

import httpx
import pytest
from conftest import ROOT
from jsonschema import Draft202012Validator
from studio_server import png, served

from impasto.studio.server.settings import Settings


@pytest.fixture(scope="module")
def address(tmp_path_factory) -> Iterator[str]:
    with served(Settings(tmp_path_factory.mktemp("data"), workers=0)) as address:
        yield address


@pytest.fixture(scope="module")
def description(address) -> dict:
    return httpx.get(f"{address}/v1/openapi.json").json()


@pytest.fixture(scope="module")
def operations(description) -> list[tuple[str, dict]]:
    return [
        (f"{method} {path}", operation)
        for path, methods in description["paths"].items()
        for method, operation in methods.items()
    ]


def test_every_success_is_described(operations):
    assert len(operations) >= 22
    for name, operation in operations:
        (status,) = (status for status in operation["responses"] if status.startswith("2"))
        content = operation["responses"][status].get("content", {})
        assert bool(content) == (status != "204"), name
        for media_type, media in content.items():
            assert media["schema"], (name, media_type)


def test_every_error_is_a_problem(operations, description):
    for name, operation in operations:
        errors = {status: r for status, r in operation["responses"].items() if status >= "4"}
        assert {"400", "401", "403", "413", "422"} <= set(errors), name
        for error in errors.values():
            (media_type,) = error["content"]
            assert media_type == "application/problem+json"
            reference = error["content"][media_type]["schema"]["$ref"]
            assert reference == "#/components/schemas/Problem"
    properties = description["components"]["schemas"]["Problem"]["properties"]
    assert set(properties) == {"type", "title", "status", "detail"}


def test_every_reference_has_a_target(description):
    text = json.dumps(description)
    names = {part.split('"')[0] for part in text.split("#/components/schemas/")[1:]}
    assert names <= set(description["components"]["schemas"])


def test_the_job_of_the_docs_has_the_keys_of_the_description(description):
    text = (ROOT / "docs/rest.md").read_text(encoding="utf-8")
    (example,) = re.findall(r"```json\n(.*?)```", text, re.DOTALL)
    schemas = description["components"]["schemas"]
    assert json.loads(example).keys() == schemas["JobResponse"]["properties"].keys()


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("get", "/v1/jobs", 200),
        ("get", "/v1/jobs/{id}", 200),
        ("get", "/v1/styles", 200),
        ("get", "/v1/examples", 200),
        ("get", "/v1/presets", 200),
        ("get", "/v1/recipe-schema", 200),
        ("get", "/v1/health", 200),
        ("get", "/v1/jobs/{id}/result", 409),
        ("get", "/v1/jobs/{id}/preview", 404),
        ("post", "/v1/jobs/{id}/stop", 409),
    ],
)
def test_answers_are_as_described(
    method, path, status, address, description, photo_image, painting_image
):
    files = {"content": png(photo_image), "styles": png(painting_image)}
    job = httpx.post(f"{address}/v1/jobs", files=files).json()
    answer = httpx.request(method, address + path.replace("{id}", job["id"]))
    assert answer.status_code == status
    described = description["paths"][path][method]["responses"][str(status)]["content"]
    (media_type,) = described
    assert answer.headers["content-type"] == media_type
    schema = {**described[media_type]["schema"], "components": description["components"]}
    Draft202012Validator(schema).validate(answer.json())
