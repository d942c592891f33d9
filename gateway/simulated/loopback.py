"""How departments reach the gateway: `*.localhost` is this machine, whatever the resolver says."""

import httpx
from typing_extensions import override


class Loopback(httpx.AsyncHTTPTransport):
    """Connects names under `localhost` to 127.0.0.1; the Host header keeps the name."""

    @override
    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send one request."""
        host = request.url.host
        if host == "localhost" or host.endswith(".localhost"):
            # A copy: the caller's request keeps its name, which cookies go by.
            request = httpx.Request(
                request.method,
                request.url.copy_with(host="127.0.0.1"),
                headers=request.headers,
                stream=request.stream,
                extensions=request.extensions,
            )
        return await super().handle_async_request(request)
