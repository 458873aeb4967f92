"""Zstandard, from the standard library where it has it (Python 3.14), else from its backport."""

import sys

if sys.version_info >= (3, 14):
    from compression.zstd import DecompressionParameter, ZstdDecompressor, ZstdError
else:
    from backports.zstd import DecompressionParameter, ZstdDecompressor, ZstdError

__all__ = ["ZstdError", "inflate_zstd"]

# 8 MiB: what RFC 9659 lets a web client use; more would be memory for the asking.
_WINDOW_LOG_MAX = 23


def inflate_zstd(body: bytes, limit: int) -> bytes:
    """The first frame of the body, at most `limit` bytes of it.

    Raises ZstdError when it is broken, truncated or followed by more.
    """
    stream = ZstdDecompressor(options={DecompressionParameter.window_log_max: _WINDOW_LOG_MAX})
    inflated = stream.decompress(body, limit)
    if len(inflated) < limit:
        if not stream.eof:
            raise ZstdError("the zstd body is truncated")
        if stream.unused_data:
            raise ZstdError("bytes after the end of the zstd body")
    return inflated
