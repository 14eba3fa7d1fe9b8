"""A SOAP web service that stands in for PlayReady's RightsManager.asmx."""

__version__ = "0.1.0"
