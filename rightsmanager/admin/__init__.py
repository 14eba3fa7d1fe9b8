"""Actions of operators, as opposed to requests of devices."""
