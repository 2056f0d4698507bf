"""Errors as clients of OpenAI's API expect them: a status, and {"error": {"message", "type", "param", "code"}}."""

import math

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from asr.errors import AsrError, AudioError, ConfigError, UsageError


class ApiError(Exception):
    """``param``: the field that is wrong; ``retry_after_s``: when to ask again; ``code``: a word for programs, which
    docs/reliability.md explains; ``invalid_request`` or ``internal_error``, by ``status``, where none is given.
    """

    def __init__(
        self,
        status: int,
        message: str,
        *,
        param: str | None = None,
        code: str | None = None,
        retry_after_s: float | None = None,
    ) -> None:
        super().__init__(message)
        self.status, self.message, self.param = status, message, param
        self.code = code or ("invalid_request" if status < 500 else "internal_error")
        self.headers = {} if retry_after_s is None else {"Retry-After": str(max(1, math.ceil(retry_after_s)))}
        if status == 401:
            self.headers["WWW-Authenticate"] = "Bearer"

    def body(self) -> dict[str, dict[str, str | None]]:
        """What the response holds."""
        kind = "invalid_request_error" if self.status < 500 else "server_error"
        if self.status == 429:
            kind = "rate_limit_error"
        return {"error": {"message": self.message, "type": kind, "param": self.param, "code": self.code}}

    def response(self) -> JSONResponse:
        """The response."""
        return JSONResponse(self.body(), self.status, self.headers)


class TooLongError(AudioError):
    """A recording is longer than the server takes."""


def as_api_error(error: AsrError, param: str = "file") -> ApiError:
    """What recognition says of a recording, which is in the field ``param``."""
    if isinstance(error, TooLongError):
        return ApiError(413, str(error), param=param, code="audio_too_long")
    if isinstance(error, AudioError):
        return ApiError(400, str(error), param=param, code="invalid_audio")
    if isinstance(error, (ConfigError, UsageError)):
        return ApiError(400, str(error))
    return ApiError(500, str(error), code="internal_error")


def add_error_handlers(app: FastAPI) -> None:
    """Every error of the application in this form, those of the framework too."""

    @app.exception_handler(ApiError)
    async def own(request: Request, error: ApiError) -> JSONResponse:
        return error.response()

    @app.exception_handler(AsrError)
    async def recognition(request: Request, error: AsrError) -> JSONResponse:
        return as_api_error(error).response()

    @app.exception_handler(HTTPException)
    async def framework(request: Request, error: HTTPException) -> JSONResponse:
        message = f"{request.method} {request.url.path}: {error.detail}"
        answer = ApiError(error.status_code, message, code={404: "unknown_url"}.get(error.status_code))
        answer.headers.update(error.headers or {})
        return answer.response()

    @app.exception_handler(RequestValidationError)
    async def invalid(request: Request, error: RequestValidationError) -> JSONResponse:
        first = error.errors()[0]
        where = ".".join(str(one) for one in first["loc"][1:])
        return ApiError(400, f"{where}: {first['msg']}", param=where or None).response()

    @app.exception_handler(Exception)
    async def unexpected(request: Request, error: Exception) -> JSONResponse:
        return ApiError(500, f"internal error: {type(error).__name__}; see the server's log").response()
