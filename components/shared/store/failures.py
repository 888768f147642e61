"""What the client, the network and the server raise, in the user's words: what failed, why, and what to do about it.

Every program here depends on the store, and most mistakes of a first installation show as one of its errors: a wrong
key, a wrong region, clocks apart, a full disk. Each is told with the variable or the server to look at. Failures that
may pass are told from those that stay, since only the first are worth trying again.
"""

import errno
from http import HTTPStatus
from xml.etree import ElementTree
from xml.parsers.expat import errors as expat_errors

import urllib3
from minio.error import InvalidResponseError, MinioException, S3Error, ServerError

from components.shared.errors import StoreError
from components.shared.store.settings import StoreSettings

SERVER_FAILURES = (500, 502, 503, 504)
_UNFINISHED_XML = (
    expat_errors.codes[expat_errors.XML_ERROR_NO_ELEMENTS],
    expat_errors.codes[expat_errors.XML_ERROR_UNCLOSED_TOKEN],
)
_FULL_DISK = "the store's disk is full: free some space there, then try again"
_CHECK_ENDPOINT = "check that the server is running and that AWS_ENDPOINT_URL names it"
_CAUSES = {
    "AccessDenied": "the access key {key!r} is unknown, or not allowed to do this: "
    "check AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or grant it the permission",
    "InvalidAccessKeyId": "the store does not know the access key {key!r}: check AWS_ACCESS_KEY_ID",
    "SignatureDoesNotMatch": "the secret key does not belong to the access key {key!r}: check AWS_SECRET_ACCESS_KEY",
    "InvalidToken": "the session token is not valid: check AWS_SESSION_TOKEN",
    "ExpiredToken": "the session token has expired: renew AWS_SESSION_TOKEN and the keys",
    "AuthorizationHeaderMalformed": "the store is in another region than {region!r}: check AWS_REGION",
    "PermanentRedirect": "the bucket is in another region than {region!r}: check AWS_REGION and AWS_ENDPOINT_URL",
    "RequestTimeTooSkewed": "the clocks of this machine and of the store differ too much: set them right",
    "NoSuchBucket": "the bucket {bucket!r} does not exist: create it, or name another one (FULLCIRCLE_BUCKET)",
    "NoSuchKey": "there is no such object: check its name",
    "InvalidBucketName": "{bucket!r} is not a valid bucket name: use 3 to 63 lower-case letters, digits and hyphens",
    "XMinioStorageFull": _FULL_DISK,
    "InsufficientStorage": _FULL_DISK,
    "InternalError": "the store failed ({message}): see its log, and whether its disk is full",
}


def is_refused(error: StoreError) -> bool:
    """Whether the store was reached and knew the keys, but does not allow them to do what was asked."""
    return error_code(error.__cause__) == "AccessDenied"


def is_missing(error: StoreError) -> bool:
    """Whether the store was reached, and has no object of that key."""
    return error_code(error.__cause__) == "NoSuchKey"


def refusal(response: urllib3.BaseHTTPResponse) -> MinioException:
    """The error that a response without success stands for."""
    kind = response.headers.get("content-type", "")
    if "application/xml" in kind and response.data:
        return S3Error.fromxml(response)
    return InvalidResponseError(response.status, kind, response.data.decode(errors="replace"))


def error_code(error: BaseException | None) -> str:
    """The S3 code of an error; empty when it has none."""
    return (error.code or "") if isinstance(error, S3Error) else ""


def is_transient(error: BaseException | None) -> bool:
    """Whether the same request may succeed a moment later: the network failed, or the server did."""
    if isinstance(error, S3Error):
        return error.response.status in SERVER_FAILURES
    if isinstance(error, ServerError):
        return error.status_code in SERVER_FAILURES
    if isinstance(error, InvalidResponseError):
        return error._code in SERVER_FAILURES
    return isinstance(error, urllib3.exceptions.HTTPError) or is_cut_short(error)


def is_cut_short(error: BaseException | None) -> bool:
    """Whether the store's answer ended before its XML did.

    SeaweedFS sometimes answers a listing so under load: status 200, and nothing behind it.
    """
    return isinstance(error, ElementTree.ParseError) and error.code in _UNFINISHED_XML


def cause(error: Exception, settings: StoreSettings) -> str:
    """Why a request failed and what to do about it, to stand after a colon."""
    if isinstance(error, S3Error):
        return _s3_cause(error, settings)
    if isinstance(error, ServerError | InvalidResponseError):
        return _http_cause(error)
    if isinstance(error, urllib3.exceptions.HTTPError):
        return _network_cause(error)
    if isinstance(error, OSError):
        full = "; free some space on this machine" if error.errno == errno.ENOSPC else ""
        return f"{error.strerror} ({error.filename or 'while writing'}){full}"
    if isinstance(error, ElementTree.ParseError):
        what = "its answer was cut short" if is_cut_short(error) else "what answers there is not an S3 server"
        return f"{what}; {_CHECK_ENDPOINT}"
    return f"the bucket or the key is not a valid name {error}".rstrip()


def _s3_cause(error: S3Error, settings: StoreSettings) -> str:
    if error.response.status == HTTPStatus.INSUFFICIENT_STORAGE or "no space left" in (error.message or ""):
        return _FULL_DISK
    template = _CAUSES.get(error.code or "", "the store refused: {code}, {message}")
    return template.format(
        key=settings.access_key,
        bucket=settings.bucket,
        region=settings.region,
        code=error.code,
        message=(error.message or "").rstrip("."),
    )


def _http_cause(error: ServerError | InvalidResponseError) -> str:
    status = error.status_code if isinstance(error, ServerError) else error._code
    if status == HTTPStatus.INSUFFICIENT_STORAGE:
        return _FULL_DISK
    if status in SERVER_FAILURES:
        return f"the store failed with HTTP status {status}: see its log, and whether its disk is full"
    return f"what answers there is not an S3 server (HTTP status {status}); {_CHECK_ENDPOINT}"


def _network_cause(error: urllib3.exceptions.HTTPError) -> str:
    reason = error.reason if isinstance(error, urllib3.exceptions.MaxRetryError) and error.reason else error
    if isinstance(reason, urllib3.exceptions.NameResolutionError):
        return f"the host name is not known; {_CHECK_ENDPOINT}"
    if isinstance(reason, urllib3.exceptions.NewConnectionError):
        return f"nothing answers there ({str(reason).rpartition('] ')[2]}); {_CHECK_ENDPOINT}"
    if isinstance(reason, urllib3.exceptions.TimeoutError):
        return f"no answer in time; {_CHECK_ENDPOINT}"
    if isinstance(reason, urllib3.exceptions.SSLError):
        return f"no secure connection ({reason}); check https or http in AWS_ENDPOINT_URL, and AWS_CA_BUNDLE"
    return f"the connection broke off ({reason}); {_CHECK_ENDPOINT} and try again"
