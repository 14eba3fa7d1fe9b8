"""The management API under `/api/v1`: JSON described by OpenAPI, one module for each noun.

A module of a noun has its messages as pydantic models, which read the frozen facts of
`rightsmanager.admin`, and a function that adds its operations:

    NOUN: Final = Tag(name="streams", description="…")

    def add_streams(routes: Routes, streams: StreamControl) -> None:
        @routes.get("/streams", "List the streams", StreamPage)
        def list_streams(query: StreamQuery) -> StreamPage: …

It is imported at the first request of a page: its library takes some 15 MB.
"""
