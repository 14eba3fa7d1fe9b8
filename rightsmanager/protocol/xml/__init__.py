"""The XML layer of the protocol: envelopes, elements, encryption and signatures."""
