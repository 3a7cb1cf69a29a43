"""Errors as HTTP: the one table, and RFC 9457 problem documents for everything that can go wrong."""

from __future__ import annotations

from collections.abc import Sequence
from http import HTTPStatus
from typing import Any, cast

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse, Response

from pipeline.core import errors
from pipeline.core.logs import get_logger

log = get_logger(__name__)

MEDIA_TYPE = "application/problem+json"
MAX_LISTED = 50

# A class that has no row of its own has that of its nearest ancestor.
STATUS: dict[type[errors.TriptychError], int] = {
    errors.InvalidInput: 422,
    errors.BodyTooLarge: 413,
    errors.AccessDenied: 403,
    errors.Unauthenticated: 401,
    errors.NotFound: 404,
    errors.Conflict: 409,
    errors.IdempotencyMismatch: 422,  # as draft-ietf-httpapi-idempotency-key-header says
    errors.Transient: 503,
    errors.Fault: 500,
    errors.TriptychError: 500,
}

# Codes for what Starlette raises by number.
HTTP_CODES = {
    404: errors.NotFound.code,
    405: "method_not_allowed",
    411: "length_required",
    413: errors.BodyTooLarge.code,
}


class FieldError(BaseModel):
    """What is wrong with one field."""

    field: str = Field(examples=["steps.0.params.quality"])
    message: str = Field(examples=["Input should be less than or equal to 100"])


class Problem(BaseModel):
    """A problem document (RFC 9457). `code` is stable; `detail` is for people."""

    type: str = Field(examples=["about:blank#job_not_found"])
    title: str = Field(examples=["Not Found"])
    status: int = Field(examples=[404])
    detail: str = Field(examples=["no job 'job_0123456789abcdef0123456789abcdef'"])
    code: str = Field(examples=["job_not_found"])
    request_id: str = Field(examples=["5f0c2b3a9d4e4c0f8a7b6c5d4e3f2a1b"])
    errors: list[FieldError] | None = Field(None, description="each field that is wrong, where some are")


def status_of(error: type[errors.TriptychError]) -> int:
    """The HTTP status of an error class."""
    return next(STATUS[parent] for parent in error.__mro__ if parent in STATUS)


def invalid(field: str, message: str) -> errors.InvalidParams:
    """An InvalidParams that names the field it is about."""
    return fields_invalid([FieldError(field=field, message=message)])


def fields_invalid(fields: Sequence[FieldError]) -> errors.InvalidParams:
    """An InvalidParams about some fields: its second argument is shown as the problem's `errors`."""
    sentence = "; ".join(f"{one.field}: {one.message}" if one.field else one.message for one in fields[:3])
    return errors.InvalidParams(sentence, list(fields[:MAX_LISTED]))


def validation_fields(found: Sequence[Any]) -> list[FieldError]:
    """The fields of pydantic's errors, without the values that were sent."""
    return [
        FieldError(field=".".join(map(str, error["loc"])), message=error["msg"])
        for error in found[:MAX_LISTED]
    ]


def problem(
    status: int,
    code: str,
    detail: str,
    request_id: str,
    *,
    fields: list[FieldError] | None = None,
    headers: dict[str, str] | None = None,
) -> Response:
    """A problem document as a response."""
    document = Problem(
        type=f"about:blank#{code}",
        title=HTTPStatus(status).phrase,
        status=status,
        detail=detail,
        code=code,
        request_id=request_id,
        errors=fields,
    )
    return JSONResponse(document.model_dump(exclude_none=True), status, headers, MEDIA_TYPE)


def problem_of(error: errors.TriptychError, request_id: str) -> Response:
    """The problem document of one of our errors."""
    status = status_of(type(error))
    headers = {}
    if isinstance(error, errors.Unauthenticated):
        headers["WWW-Authenticate"] = "Bearer"
    if isinstance(error, errors.Transient):
        headers["Retry-After"] = "1"
    detail = error.message
    if status >= 500:
        # Its message may name hosts and paths of ours: that goes to the log.
        log.warning("request.failed", code=error.code, error=error.message)
        detail = (type(error).__doc__ or error.code).partition("\n")[0]
    fields = error.args[1] if isinstance(error, errors.InvalidParams) and len(error.args) > 1 else None
    return problem(status, error.code, detail, request_id, fields=fields, headers=headers)


def request_id_of(request: Request) -> str:
    """The id that `envelope` gave this request."""
    return str(request.scope.get("request_id", ""))


async def _ours(request: Request, error: Exception) -> Response:
    return problem_of(cast("errors.TriptychError", error), request_id_of(request))


async def _validation(request: Request, error: Exception) -> Response:
    found = cast("RequestValidationError", error).errors()
    # The first part says where it came from: "body", "query", ...; the client knows fields, not bodies.
    fields = validation_fields([{**one, "loc": one["loc"][1:] or one["loc"]} for one in found])
    return problem_of(fields_invalid(fields), request_id_of(request))


async def _by_number(request: Request, error: Exception) -> Response:
    raised = cast("HTTPException", error)
    if raised.status_code == 400:
        # FastAPI's word for a body that is not UTF-8 or nested too deeply: as wrong as any other JSON.
        return problem_of(invalid("body", raised.detail), request_id_of(request))
    code = HTTP_CODES.get(raised.status_code, f"http_{raised.status_code}")
    headers = dict(raised.headers or {})
    return problem(raised.status_code, code, raised.detail, request_id_of(request), headers=headers)


def install(app: FastAPI) -> None:
    """Makes every error of an app's routes a problem document."""
    app.add_exception_handler(errors.TriptychError, _ours)
    app.add_exception_handler(RequestValidationError, _validation)
    app.add_exception_handler(HTTPException, _by_number)


def documented(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """The `responses` of a route that may answer with these problems, for the OpenAPI document."""
    schema = {"$ref": "#/components/schemas/Problem"}
    return {
        status: {"description": HTTPStatus(status).phrase, "content": {MEDIA_TYPE: {"schema": schema}}}
        for status in statuses
    }
