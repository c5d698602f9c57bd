"""The door for numeric arrays: whatever the user holds, the engines get one contiguous array of the model's dtype.

Reads   NumPy arrays and everything that becomes one (lists, memory maps, array interfaces, CPU tensors), and pandas,
        polars or Arrow tables, which are read by name.
Gives   a C-contiguous, aligned, native ndarray, the user's own memory where it already fits; never written to.
Raises  DataError or DtypeError that say what is wrong, in which row and column (counted from 0), and the mend.
"""

import numbers
import warnings

import numpy as np

from backproof.data.messages import DataWarning, column, listed, megabytes, place, shown
from backproof.errors import DataError, DtypeError

__all__ = ["as_samples", "as_targets", "as_labels", "as_tokens", "as_weights", "feature_names", "refuse_holes"]

TABLE_LIBRARIES = {"pandas", "polars", "pyarrow", "modin", "cudf"}
EXACT_INTEGERS = 2**53                 # above it float64 skips integers
LARGE_TARGET = 1e9                     # in float32 the square of a larger error has no digits left beside small ones
BLOCK = 1 << 20                        # entries looked at together when searching for NaN: a mask of 1 MB at a time


def as_samples(X, *, features=None, dtype=np.float32, name="X", sequence=False, names=None):
    """The samples of a model as one contiguous array of its dtype.

    Shapes   (n, i), or (n, t, i) with `sequence`; `features` is the extent of i where it is already fixed.
    Names    with `names`, the trained columns, a table's columns are matched by name; other names are an error.
    Raises   DataError on empty, non-finite, wrongly shaped or too large values, DtypeError on values that are no real
             numbers.

    >>> as_samples([[1, 2], [3, 4]]).dtype
    dtype('float32')
    >>> as_samples([1.0, 2.0])
    Traceback (most recent call last):
    backproof.errors.DataError: X is 1-D, of shape (2,); samples are rows of a 2-D array
      fix  X.reshape(-1, 1) for one feature, X.reshape(1, -1) for one sample
    """
    array, found = _array(X, name)
    _check_sample_shape(array, name, sequence)
    if names is not None and found is not None:
        array = _matched(array, found, list(names), name)
        found = list(names) if array.shape[-1] == len(names) else found
    if array.shape[0] == 0:
        raise DataError(f"{name} has 0 samples, shape {array.shape}; at least 1 is needed", fix="give it rows")
    if sequence and array.shape[1] == 0:
        raise DataError(f"{name} has 0 steps, shape {array.shape}; at least 1 is needed",
                        fix="leave empty sequences out")
    width = array.shape[-1]
    if features is not None and width != features:
        extra = [c for c in found or [] if c not in names] if names is not None else []
        fix = f"leave out {listed(extra)}" if extra else f"give it the {features} columns of training, in their order"
        raise DataError(f"{name} has {width} features; the model was built for {features}",
                        where=f"{name} of shape {array.shape}", fix=fix)
    if width == 0:
        raise DataError(f"{name} has 0 features, shape {array.shape}; at least 1 is needed", fix="give it columns")
    return _floats(array, np.dtype(dtype), name, found)


def feature_names(X):
    """The column names of a table in order, or None where X has none (arrays, or names that are not all text).

    >>> import pyarrow
    >>> feature_names(pyarrow.table({"age": [1.0], "height": [2.0]}))
    ['age', 'height']
    """
    if not _is_table(X):
        return None
    columns = list(_narwhals(X, "X").columns)
    return columns if all(isinstance(c, str) for c in columns) else None


def as_targets(y, n, *, outputs, dtype=np.float32, name="y", steps=None):
    """Numeric targets of n samples, one row per sample.

    Shapes   returns (n, k) with k = `outputs`, or (n, t, k) with t = `steps`; (n,) and (n, t) are taken where k is 1.
    Raises   DataError on another length or width and on non-finite values.

    >>> as_targets([1.0, 2.0], 2, outputs=1).shape
    (2, 1)
    """
    array, found = _array(y, name)
    _check_length(array, n, name)
    wanted = (n, outputs) if steps is None else (n, steps, outputs)
    if outputs == 1 and array.shape == wanted[:-1]:
        array = array.reshape(wanted)
    if array.shape != wanted:
        short = f" or {wanted[:-1]}" if outputs == 1 else ""
        raise DataError(f"{name} has shape {array.shape}; the model's targets are {wanted}{short}",
                        fix=f"give one target per output: {outputs} for each {'sample' if steps is None else 'step'}")
    array = _floats(array, np.dtype(dtype), name, found)
    largest = float(np.abs(array).max()) if array.dtype == np.float32 else 0.0
    if largest > LARGE_TARGET:
        warnings.warn(f"{name} holds values up to {largest:.3g}, and the model computes in float32: divide the targets "
                      f"by {10 ** int(np.log10(largest)):.0e}, or use dtype='float64'", DataWarning, stacklevel=2)
    return array


def as_labels(y, n, *, classes, name="y", steps=None):
    """Class numbers 0 ... classes-1 of n samples.

    Shapes   returns int64 (n,), or (n, t) with t = `steps`.
    Raises   DataError on another length, a missing label, a fraction or a number outside; DtypeError on text.

    >>> as_labels([0, 2.0, 1], 3, classes=3)
    array([0, 2, 1])
    """
    array, _ = _array(y, name)
    _check_length(array, n, name)
    wanted = (n,) if steps is None else (n, steps)
    if array.shape == (*wanted, 1):
        warnings.warn(f"{name} is a column of shape {array.shape}; read as {wanted}", DataWarning, stacklevel=2)
        array = array.reshape(wanted)
    if array.shape != wanted:
        raise DataError(f"{name} has shape {array.shape}; class numbers are {wanted}", fix="give one class per "
                        + ("sample" if steps is None else "step"))
    return _integers(array, classes, name, what="class", fix="the regressor fits continuous targets")


def as_tokens(X, *, vocabulary, name="X", steps=None, holes=False):
    """Token numbers 0 ... vocabulary-1 of n sequences or windows; with `holes` also -1, which stands for no token.

    Shapes   returns int64 (n, t); `steps` is the extent of t where it is fixed. `vocabulary` may be one number per column.
    Raises   DataError on empty input, another width, a fraction or a number outside the vocabulary.

    >>> as_tokens([[4, 0], [1, 1]], vocabulary=5).shape
    (2, 2)
    """
    array, _ = _array(X, name)
    if array.ndim != 2:
        raise DataError(f"{name} is {array.ndim}-D, of shape {array.shape}; token numbers are (samples, steps)",
                        fix=f"{name}.reshape(-1, 1) for one token per sample" if array.ndim == 1 else "flatten to 2-D")
    if 0 in array.shape:
        raise DataError(f"{name} has shape {array.shape}; at least 1 sample and 1 token are needed",
                        fix="give it tokens")
    if steps is not None and array.shape[1] != steps:
        raise DataError(f"{name} has {array.shape[1]} tokens per sample; the model has {steps}",
                        fix=f"cut or pad to {steps}")
    return _integers(array, vocabulary, name, what="token", fix="map words to token numbers first", lowest=-1 if holes else 0)


def as_weights(sample_weight, n, name="sample_weight"):
    """Sample weights w_n scaled to mean 1 over the training set, so that a weight of 0 is a row left out.

    Shapes   returns float64 (n,), or None where none are given.
    Raises   DataError on another length, a negative or non-finite weight, or weights that are all 0.

    >>> as_weights([1, 1, 4], 3)
    array([0.5, 0.5, 2. ])
    """
    if sample_weight is None:
        return None
    array, _ = _array(sample_weight, name)
    if array.ndim != 1:
        raise DataError(f"{name} is {array.ndim}-D, of shape {array.shape}; one weight per sample is needed",
                        fix=f"give it the shape ({n},)")
    _check_length(array, n, name)
    weights = _floats(array, np.dtype(np.float64), name, None)
    negative = np.flatnonzero(weights < 0)
    if negative.size:
        raise DataError(f"{name} has {negative.size} negative values; the first is {weights[negative[0]]:g} at "
                        f"row {negative[0]}", fix="weights are 0 or more")
    largest = weights.max()
    if largest == 0:
        raise DataError(f"{name} is zero for all {n} rows; nothing is left to learn from", fix="give some row a weight")
    weights = weights / largest                           # first, so that the sum cannot overflow
    return weights / weights.mean()


# -- from anything to an ndarray ---------------------------------------------------------------------------------

def _array(X, name):
    """An ndarray of any dtype, and the column names where X is a table."""
    if _is_table(X):
        return _table_array(X, name)
    kind = type(X)
    library = kind.__module__.split(".")[0]
    if library == "scipy" and hasattr(X, "toarray"):
        size = megabytes(np.prod(X.shape, dtype=float) * X.dtype.itemsize)
        raise DtypeError(f"{name} is a sparse {kind.__name__} of shape {X.shape}; only dense arrays are supported",
                         fix=f"{name}.toarray(), which needs {size} here")
    if library == "torch":
        if X.requires_grad or X.device.type != "cpu":
            state = "requires grad" if X.requires_grad else f"is on {X.device}"
            raise DtypeError(f"{name} is a torch tensor that {state}", fix=f"{name}.detach().cpu().numpy()")
        if "bfloat16" in str(X.dtype):
            X = X.float()
    if isinstance(X, np.ma.MaskedArray):
        masked = np.argwhere(np.ma.getmaskarray(X))
        if len(masked):
            raise DataError(f"{name} has {len(masked)} masked values; the first is at {place(masked[0])}",
                            fix=f"fill them: {name}.filled(value)")
        X = X.data
    if isinstance(X, (str, bytes, dict, set, frozenset)) or X is None or hasattr(X, "__next__"):
        raise DtypeError(f"{name} is a {kind.__name__}, not an array: {shown(X)}", fix="give an array of numbers")
    try:
        if not hasattr(X, "__array__") and hasattr(X, "__dlpack__"):
            return np.from_dlpack(X), None
        array = np.asarray(X)
    except (ValueError, TypeError, RuntimeError, BufferError) as error:
        ragged = _first_ragged(X)
        if ragged:
            raise DataError(f"{name} is ragged: {ragged}", fix="give all rows the same length") from None
        raise DtypeError(f"{name} of type {kind.__name__} is not an array: {error}",
                         fix="give an array of numbers") from None
    if array.ndim == 0 and array.dtype == object:
        raise DtypeError(f"{name} is a {kind.__name__}, not an array", fix="give an array of numbers")
    return array.view(np.ndarray), None


def _first_ragged(X):
    if not isinstance(X, (list, tuple)):
        return None
    lengths = [len(row) if hasattr(row, "__len__") else None for row in X]
    for row, length in enumerate(lengths):
        if length != lengths[0]:
            words = ["no length" if value is None else f"{value} values" for value in (lengths[0], length)]
            return f"row 0 has {words[0]}, row {row} has {words[1]}"
    return None


# -- tables ------------------------------------------------------------------------------------------------------

def _is_table(X):
    return type(X).__module__.split(".")[0] in TABLE_LIBRARIES


def _narwhals(X, name):
    import narwhals

    if type(X).__module__.split(".")[0] == "pyarrow":
        import pyarrow
        X = pyarrow.chunked_array([X]) if isinstance(X, pyarrow.Array) else X
        X = pyarrow.Table.from_batches([X]) if isinstance(X, pyarrow.RecordBatch) else X
    try:
        return narwhals.from_native(X, eager_only=True, allow_series=True)
    except Exception as error:                              # of a library we do not know at this point
        raise DataError(f"{name} cannot be read as a table: {shown(str(error), limit=200)}",
                        fix="give unique column names, or an array") from None


def _table_array(X, name):
    """One array of the common dtype of all columns; missing numbers become NaN and are found later, with their name."""
    frame = _narwhals(X, name)
    if not hasattr(frame, "columns"):
        return _column_array(frame, name), None
    names = [str(c) for c in frame.columns]
    columns = [_column_array(values, f"column {shown(c)} of {name}")
               for values, c in zip(frame.iter_columns(), names, strict=True)]
    if not columns:
        return np.empty((len(frame), 0)), names
    for values, c in zip(columns, names, strict=True):
        _check_kind(values, name, f"column {shown(c)}")
    array = np.empty((len(frame), len(columns)), np.result_type(*columns))
    for j, values in enumerate(columns):
        array[:, j] = values
    return array, names


def _column_array(series, what):
    import narwhals

    dtype = series.dtype
    if dtype.is_numeric() or dtype == narwhals.Boolean:
        if series.null_count() or dtype.is_decimal():
            series = series.cast(narwhals.Float64)
        values = series.to_numpy()
        return _numbers(values, what, [what]) if values.dtype == object else values
    if dtype.is_temporal() or dtype in (narwhals.String, narwhals.Categorical, narwhals.Enum):
        encoder = "turn dates into numbers (days since a start)" if dtype.is_temporal() else \
            "encode it: sklearn.preprocessing.OneHotEncoder, or train on the table with `backproof train`"
        raise DtypeError(f"{what} holds {dtype}, not numbers", fix=encoder)
    values = np.empty(len(series), dtype=object)
    for i, item in enumerate(series.to_list()):             # item by item: nested lists must not become a second axis
        values[i] = item
    return _numbers(values, what, None)


def _matched(array, found, trained, name):
    """The columns of a table in the trained order."""
    if found == trained or len(found) != len(trained):               # another number of columns is named by its caller
        return array
    if sorted(found) == sorted(trained):
        return array[..., [found.index(column) for column in trained]]
    j = next(j for j, (here, there) in enumerate(zip(found, trained, strict=True)) if here != there)
    raise DataError(f"column {j} of {name} is {shown(found[j])}; the model was trained with {shown(trained[j])} there",
                    fix=f"give the columns {listed(trained)}")


# -- dtypes and values -------------------------------------------------------------------------------------------

def _check_kind(array, name, where=None):
    """Refuse what is no real number; object arrays are looked at item by item elsewhere."""
    what = f"{where} of {name}" if where else name
    if array.dtype.kind == "c":
        raise DtypeError(f"{what} is complex ({array.dtype}); the imaginary part would be lost",
                         fix="give real and imaginary part as two features")
    if array.dtype.kind in "mM":
        raise DtypeError(f"{what} holds dates or durations ({array.dtype}), not numbers",
                         fix="turn them into numbers, such as days since a start")
    if array.dtype.kind in "SUT":
        example = f": the first value is {shown(str(array.flat[0]))}" if array.size else ""
        raise DtypeError(f"{what} holds text ({array.dtype}), not numbers{example}",
                         fix="encode text: sklearn.preprocessing.OneHotEncoder, or OrdinalEncoder for ranks")
    if array.dtype.kind == "V" and not _is_small_float(array.dtype):
        raise DtypeError(f"{what} is a structured array ({shown(str(array.dtype))})", fix="give a plain 2-D array")


def _is_small_float(dtype):
    return dtype.names is None and dtype.name.startswith(("bfloat16", "float8", "float6", "float4"))


def _numbers(array, name, names):
    """float64 from an object array, each item of which must be a real number."""
    out = np.empty(array.shape, np.float64)
    for index in np.ndindex(array.shape):
        item = array[index]
        if item is None or type(item).__name__ == "NAType":
            out[index] = np.nan                           # counted with the other missing values
            continue
        if not isinstance(item, (numbers.Real, np.bool_)):
            what = f"{shown(item)} of type {type(item).__name__}"
            raise DtypeError(f"{name} has an object that is no real number: {what} at {place(index, names)}",
                             fix="encode it as a number (sklearn.preprocessing)")
        try:
            out[index] = item
        except (OverflowError, ValueError):
            raise DataError(f"{name} has a number too large for float64 at {place(index, names)}",
                            fix="scale it") from None
    return out


def _floats(array, dtype, name, names):
    """A contiguous array of a float dtype with finite values only; the same memory where it already is one."""
    if array.dtype == object:
        array = _numbers(array, name, names)
    _check_kind(array, name)
    if array.dtype.kind in "iu" and array.dtype.itemsize == 8:
        _warn_of_large_integers(array, name, names)
    fits = array.dtype == dtype and array.dtype.isnative and array.flags.c_contiguous and array.flags.aligned
    with np.errstate(over="ignore", invalid="ignore"):
        out = array if fits else np.array(array, dtype=dtype, order="C")
    if not _all_finite(out):
        _refuse_non_finite(array, dtype, name, names)
    return out


def refuse_holes(array, name, names=None):
    """Masked entries, NaN and infinities of an array or sparse matrix of numbers are a DataError with count and place.

    >>> refuse_holes(np.array([[1.0, np.nan]]), "X", ["age", "height"])
    Traceback (most recent call last):
    backproof.errors.DataError: X has 1 NaN; the first is nan at row 0, column 1 ('height')
      fix  fill or drop them; sklearn.impute.SimpleImputer fills missing values
    """
    if isinstance(array, np.ma.MaskedArray):
        _array(array, name)
    values = getattr(array, "data", None) if hasattr(array, "tocoo") else array
    if getattr(values, "dtype", np.dtype(object)).kind == "f" and not _all_finite(values):
        _refuse_non_finite(array.toarray() if hasattr(array, "tocoo") else array, array.dtype, name, names)


def _all_finite(array):
    flat = array.reshape(-1)
    return all(np.isfinite(flat[start:start + BLOCK]).all() for start in range(0, flat.size, BLOCK))


def _refuse_non_finite(array, dtype, name, names):
    """Say what is not finite: in the data itself, or only after the cast."""
    wide = array.astype(np.float64) if array.dtype.kind != "f" else array
    bad = np.argwhere(~np.isfinite(wide))
    if len(bad) == 0:
        with np.errstate(over="ignore"):
            j = np.argwhere(~np.isfinite(wide.astype(dtype)))[0][-1] if wide.ndim > 1 else None
        values = wide if j is None else wide[..., j]
        where = f"{column(j, names)} of {name}" if j is not None else name
        largest = np.format_float_scientific(np.abs(values).max(), precision=2, trim="-")
        raise DataError(f"{where} has values up to {largest}; {dtype} holds at most {np.finfo(dtype).max:.2g}",
                        fix="scale it" if dtype == np.float64 else "scale it, or build the model with dtype='float64'")
    missing = int(np.isnan(wide).sum())
    infinite = len(bad) - missing
    counts = " and ".join(text for text in (f"{missing} NaN" if missing else "",
                                            f"{infinite} infinite values" if infinite else "") if text)
    first = wide[tuple(bad[0])]
    raise DataError(f"{name} has {counts}; the first is {first} at {place(bad[0], names)}",
                    fix="fill or drop them; sklearn.impute.SimpleImputer fills missing values")


def _warn_of_large_integers(array, name, names):
    if array.size and (array.max() > EXACT_INTEGERS or array.min() < -EXACT_INTEGERS):
        first = np.argwhere((array > EXACT_INTEGERS) | (array < -EXACT_INTEGERS))[0]
        warnings.warn(f"{name} has integers above 2^53, which floating point rounds; the first is at "
                      f"{place(first, names)}: an id is better left out", DataWarning, stacklevel=4)


def _integers(array, count, name, what, fix, lowest=0):
    """int64 numbers lowest ... count-1, from integers, booleans or floats that are whole."""
    if array.dtype == object:
        array = _numbers(array, name, None)
    _check_kind(array, name)
    if array.dtype.kind not in "biu":
        wide = array.astype(np.float64)
        if not _all_finite(wide):
            _refuse_non_finite(wide, np.dtype(np.float64), name, None)
        fractions = np.argwhere(wide != np.floor(wide))
        if len(fractions):
            raise DataError(f"{name} has {wide[tuple(fractions[0])]:g} at {place(fractions[0])}, which is no {what} "
                            "number", fix=fix)
        array = wide
    outside = np.argwhere((array < lowest) | (array >= np.asarray(count)))
    if len(outside):
        count = count if np.ndim(count) == 0 else count[outside[0][1]]
        raise DataError(f"{name} has {what} {array[tuple(outside[0])]:.0f} at {place(outside[0])}; "
                        f"the model has {count}, numbered 0 to {count - 1}",
                        fix=f"map {'labels' if what == 'class' else 'words'} to 0 ... {count - 1}")
    return np.ascontiguousarray(array, dtype=np.int64)


# -- shapes ------------------------------------------------------------------------------------------------------

def _check_sample_shape(array, name, sequence):
    wanted = 3 if sequence else 2
    if array.ndim == wanted:
        return
    have = f"{name} is {array.ndim}-D, of shape {array.shape}"
    if sequence:
        raise DataError(f"{have}; sequences are 3-D, (samples, steps, features)",
                        fix=f"{name}[:, :, None] for one feature per step" if array.ndim == 2 else "give a 3-D array")
    if array.ndim == 1:
        raise DataError(f"{have}; samples are rows of a 2-D array",
                        fix=f"{name}.reshape(-1, 1) for one feature, {name}.reshape(1, -1) for one sample")
    raise DataError(f"{have}; this model takes samples as rows of a 2-D array",
                    fix=f"{name}.reshape(len({name}), -1), or a recurrent network such as SequenceClassifier"
                    if array.ndim == 3 else "give a 2-D array")


def _check_length(array, n, name):
    rows = array.shape[0] if array.ndim else 0
    if array.ndim == 0:
        raise DataError(f"{name} is a single value; X has {n} rows", fix=f"give an array of length {n}")
    if rows != n:
        raise DataError(f"X has {n} rows and {name} has {rows}", fix="give one for each row of X")
