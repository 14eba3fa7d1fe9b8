"""What is in front of the service: paths, limits, cross-origin headers and the help pages."""
