"""Examples of an operator's own logic, good enough to be used; `services.hooks` says how."""
