"""Everything in front of the service: paths, limits, cross-origin headers, pages, the API."""
