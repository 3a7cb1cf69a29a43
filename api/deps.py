"""What a route is given: the process's services, who is calling, and the job that the path names."""

from __future__ import annotations

from typing import Annotated

from fastapi import Depends, Path, Request
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from api.auth import LOCAL, Caller
from api.jobs import Standing, find_job
from api.services import Services
from pipeline.core.errors import Unauthenticated


def services_of(request: Request) -> Services:
    services: Services = request.app.state.services
    return services


ServicesDep = Annotated[Services, Depends(services_of)]

_bearer = HTTPBearer(
    auto_error=False,
    scheme_name="ApiKey",
    bearerFormat="trp_<43 characters>",
    description="An API key (`triptych keys create`). Not needed where the server runs without keys.",
)


def caller_of(
    services: ServicesDep, given: Annotated[HTTPAuthorizationCredentials | None, Depends(_bearer)]
) -> Caller:
    """Who calls; raises Unauthenticated where keys are needed and none, or no living one, was given."""
    if not services.settings.auth:
        return LOCAL
    if given is None:
        raise Unauthenticated("an API key is needed: Authorization: Bearer trp_...")
    return services.keys.caller(given.credentials)


CallerDep = Annotated[Caller, Depends(caller_of)]


def job_of(
    job_id: Annotated[str, Path(examples=["job_0123456789abcdef0123456789abcdef"])],
    services: ServicesDep,
    caller: CallerDep,
) -> Standing:
    """The caller's job that the path names; raises JobNotFound."""
    return find_job(services, caller, job_id)


StandingDep = Annotated[Standing, Depends(job_of)]
