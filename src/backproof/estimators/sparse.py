"""Sparse samples: rows are made dense when a minibatch wants them."""

import hashlib

import numpy as np

__all__ = ["SparseRows"]


class SparseRows:
    """A CSR matrix that gives dense rows: ``rows[numbers]``; never more of them than are asked for."""

    dense = True                     # the training loop takes minibatches one by one where the rows are made on demand

    def __init__(self, matrix, dtype):
        self.matrix, self.dtype = matrix.tocsr(), np.dtype(dtype)
        self.shape = matrix.shape

    def __len__(self):
        return self.shape[0]

    def __getitem__(self, rows):
        return np.ascontiguousarray(self.matrix[rows].toarray(), dtype=self.dtype)

    def fingerprint(self):
        """A checksum of the content, for checkpoints."""
        digest = hashlib.sha256(repr(self.shape).encode())
        for part in (self.matrix.data, self.matrix.indices, self.matrix.indptr):
            digest.update(np.ascontiguousarray(part).view(np.uint8))
        return digest.hexdigest()
