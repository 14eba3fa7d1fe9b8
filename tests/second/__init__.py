"""A second client, written from the wire's description alone.

It uses nothing of the project, so that a byte that the project writes and reads wrong alike is
noticed: lxml for XML, cryptography for AES, CMAC and ECDSA, plain integers for the curve.
"""
