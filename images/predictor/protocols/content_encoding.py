"""Bodies that came compressed, never made larger than a body may be."""

import zlib

from images.predictor.messages import ProtocolError, Reason, Request


def decompressed(request: Request, limit: int) -> bytes:
    """The body of a request without its Content-Encoding.

    Args:
        request: A request over HTTP.
        limit: Most bytes of the body once decompressed.

    Raises:
        ProtocolError: The encoding is not known, or the body is not in it or too large.
    """
    encoding = request.header(b"content-encoding").strip().lower()
    if encoding in (b"", b"identity"):
        return request.body
    if encoding not in (b"gzip", b"x-gzip", b"deflate"):
        raise ProtocolError(
            Reason.ENCODING,
            f"Content-Encoding {encoding.decode(errors='replace')[:60]!r} is not known; expected gzip or deflate.",
            [(b"accept-encoding", b"gzip, deflate")],
        )
    inflater = zlib.decompressobj(wbits=47)  # gzip or zlib, by its first bytes
    try:
        body = inflater.decompress(request.body, limit + 1)
    except zlib.error as error:
        raise ProtocolError(Reason.INVALID, f"The body is no {encoding.decode()}: {error}.") from error
    if len(body) > limit:
        raise ProtocolError(
            Reason.TOO_LARGE, f"The body is larger than {limit:,} bytes once decompressed: send fewer rows."
        )
    if not inflater.eof or inflater.unused_data:
        raise ProtocolError(Reason.INVALID, f"The {encoding.decode()} body is cut short, or something follows it.")
    return body
