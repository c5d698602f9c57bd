def python_code(derivation, style): raise NotImplementedError
