"""Examples of an operator's own logic, good enough to be used; `services.seam` says how."""
