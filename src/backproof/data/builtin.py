"""Data sets that scikit-learn ships, as tables with named columns; nothing is fetched.

Source  sklearn.datasets: digits, iris, breast_cancer, wine (classes), diabetes (regression).
"""

from backproof.data.tables import Table
from backproof.errors import OptionError

__all__ = ["BUILTIN", "load_builtin"]

BUILTIN = {"digits": "digit", "iris": "species", "breast_cancer": "diagnosis", "wine": "cultivar",
           "diabetes": "progression"}
"""Name of each data set and of its target column."""


def load_builtin(name):
    """A data set by name: (table, name of its target column).

    >>> table, target = load_builtin("iris")
    >>> table.rows, table.names[0], target, sorted(set(table[target].values))
    (150, 'sepal length (cm)', 'species', ['setosa', 'versicolor', 'virginica'])
    """
    if name not in BUILTIN:
        raise OptionError(f"no built-in data set {name!r}", fix=f"one of {', '.join(BUILTIN)}, or the path of a file")
    from sklearn import datasets

    data = getattr(datasets, f"load_{name}")()
    columns = {str(column): data.data[:, j] for j, column in enumerate(data.feature_names)}
    named = name in ("iris", "breast_cancer")
    columns[BUILTIN[name]] = [str(data.target_names[k]) for k in data.target] if named else data.target
    return Table.from_arrays(columns, source=name), BUILTIN[name]
