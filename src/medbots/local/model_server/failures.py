"""Answers that are no answers: OpenAI's errors, and faults that hit any endpoint."""

from __future__ import annotations

from starlette.responses import HTMLResponse, JSONResponse, Response

from medbots.local.model_server import body, faults

_TYPES = {429: "rate_limit_error", 500: "server_error"}


def error(
    status: int, message: str, *, code: str | None = None, param: str | None = None
) -> Response:
    """Return an error in OpenAI's shape."""
    kind = _TYPES.get(status, "invalid_request_error")
    content = {"error": {"message": message, "type": kind, "param": param, "code": code}}
    return JSONResponse(content, status_code=status)


def refused(problem: ValueError) -> Response:
    """Return the 400 of a request that asks for something that cannot be."""
    param = problem.param if isinstance(problem, body.RequestError) else None
    return error(400, str(problem), param=param)


def of(fault: faults.Fault | None) -> Response | None:
    """Return the answer of a fault that needs to know nothing of the request; else None."""
    match fault and fault.kind:
        case faults.Kind.INVALID_BODY:
            return HTMLResponse("<html><body>Bad Gateway (fault on demand)</body></html>")
        case faults.Kind.TOO_MANY:
            response = error(429, "Rate limit reached (fault on demand).")
            if fault and fault.retry_after is not None:
                response.headers["Retry-After"] = f"{fault.retry_after:g}"
            return response
        case faults.Kind.SERVER_ERROR:
            return error(500, "The server had an error (fault on demand).")
        case faults.Kind.NO_SCHEMA:
            said = "This 'response_format.type' is not supported by the model (fault on demand)."
            return error(400, said, param="response_format.type")
        case _:
            return None
