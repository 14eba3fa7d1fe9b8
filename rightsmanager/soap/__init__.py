"""The one WSDL: nine operations carried by spyne, and the place where refusals become faults."""
