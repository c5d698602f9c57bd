def c_code(derivation, style): raise NotImplementedError
