"""The console: pages for people who debug a player or run the server.

    blocks         the parts of a page
    routes         the addresses, and what happens to errors
    acts           everything that changes something: asks first, then acts, then is recorded
    …              a module for each group of pages

The pages call what commands and the API call, and have no rules of their own. The package is
imported with the pages: their library takes some 15 MB, which licences do not need.
"""
