"""Parts of the server that a request is for: one Flask application for many servers."""

from collections.abc import Callable, Iterator
from typing import Any

from flask import has_request_context, request


class Current:
    """An object of the present request's server.

    Between requests its parts are such objects too: a view may keep `current.management.keys`, and
    each request finds the keys of its own server.
    """

    def __init__(self, find: Callable[[], Any]) -> None:
        self._find = find

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 -- any part
        if has_request_context():
            return getattr(self._find(), name)
        return Current(lambda: getattr(self._find(), name))

    def __call__(self, *arguments: object, **named: object) -> Any:  # noqa: ANN401 -- any result
        """Call the present object."""
        return self._find()(*arguments, **named)

    def __iter__(self) -> Iterator[Any]:
        """Iterate over the present object."""
        return iter(self._find())

    def __getitem__(self, key: object) -> Any:  # noqa: ANN401 -- any item
        """Return an item of the present object."""
        return self._find()[key]


def find_in_request(find: Callable[[dict[str, Any]], Any]) -> Any:  # noqa: ANN401 -- a stand-in
    """Return a stand-in for the object that is found in the environment of each request."""
    return Current(lambda: find(request.environ))
