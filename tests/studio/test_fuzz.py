"""Whatever is asked, the server doesn't break, and answers as its OpenAPI description says."""

from __future__ import annotations

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from schemathesis.core.result import Ok
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)
from schemathesis.specs.openapi.schemas import OpenApiSchema
from studio_server import running

from impasto.studio.server.app import create_app
from impasto.studio.server.settings import Settings

EXAMPLES = 12
CHECKS = [content_type_conformance, response_schema_conformance, status_code_conformance]
NOT_HERE = ("GET /v1/jobs/{id}/events", "GET /v1/live/shown")
"""They don't end."""


@pytest.fixture(scope="module")
def studio(tmp_path_factory):
    with running(tmp_path_factory.mktemp("fuzz") / "data", "--queue", "3") as studio:
        yield studio


def test_no_request_breaks_it(studio, tmp_path):
    app = create_app(Settings(tmp_path, workers=0))
    schema: OpenApiSchema = schemathesis.openapi.from_dict(app.openapi())
    asked = []
    for result in schema.get_all_operations():
        assert isinstance(result, Ok), result.err()
        operation = result.ok()
        if operation.label in NOT_HERE:
            continue
        asked.append(operation.label)

        @settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck))
        @given(case=operation.as_strategy())
        def ask(case):
            answer = case.call(base_url=studio.address, timeout=60)
            assert answer.status_code < 500 or answer.status_code == 507, (case, answer.text)
            case.validate_response(answer, checks=CHECKS)

        ask()
    assert len(asked) > 18
    assert studio.client.get("/v1/health").json()["status"] == "ok"
    assert b"Traceback" not in b"".join(studio.errors)
