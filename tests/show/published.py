"""The published articles' own networks, and the prints of them that are kept as golden files.

    .venv/bin/python tests/show/published.py        writes tests/show/golden/ anew; read the difference before committing

The files are read by people: docs/articles.md sets the formulas of each article beside them.
"""

from functools import lru_cache
from itertools import product
from pathlib import Path

from backproof import Network

GOLDEN = Path(__file__).parent / "golden"

NETWORKS = {
    "B": (("3 | 3 sigmoid | 3 sigmoid", "squared_error"), {}, {}),
    "C-3-3-1": (("3 | 3 sigmoid | 1 sigmoid", "squared_error"), {"l2": 1e-2}, {}),
    "C-two-hidden": (("3 | 4 tanh | 4 tanh | 2 tanh", "squared_error"), {"l2": 1e-2}, {}),
    "D-score": (("4 | 2 sigmoid | 1 nobias", "squared_error"), {}, {"of": "score"}),
    "D-margin": (("4 | 2 sigmoid | 1 nobias", "pairwise_margin"), {}, {}),
    "D-20-8-1": (("window 5 vocabulary=9 embedding 4 | 8 sigmoid | 1 nobias", "pairwise_margin"), {}, {}),
    "E": (("2 | 3 sigmoid | 1 sigmoid", "binary_cross_entropy"), {}, {}),
}
FORMS, LAYOUTS, NOTATIONS, LANGUAGES = ("index", "matrix"), ("sample", "batch"), ("house", "A", "C", "D", "E"), ("en", "zh")
EXTENSIONS = {"text": "txt", "latex": "tex", "markdown": "md", "html": "html", "python": "py.txt", "c": "c.txt"}


def derivation(name):
    """The derivation of an article's network."""
    (spec, loss), options, how = NETWORKS[name]
    return Network(spec, loss=loss, **options).derive(**how)


@lru_cache(None)
def prints(name):
    """{file name: [(heading, text)]}: every option in text, and each of its values in every other format."""
    made, files = derivation(name), {}

    def put(format, heading, text):
        files.setdefault(f"{name}.{EXTENSIONS[format]}", []).append((heading, text))
    for form, layout, notation, language in product(FORMS, LAYOUTS, NOTATIONS, LANGUAGES):
        style = {"form": form, "layout": layout, "notation": notation, "language": language}
        put("text", " ".join(style.values()), made.to_text(**style))
    for layout in LAYOUTS:
        style = {"form": "matrix", "layout": layout, "bias": "folded"}
        put("text", f"matrix {layout} folded", made.to_text(**style))
        put("latex", f"matrix {layout} folded", made.to_latex(**style))
    put("text", "article", made.to_text(article=True))
    for form, layout, notation in product(FORMS, LAYOUTS, NOTATIONS):
        put("latex", f"{form} {layout} {notation}", made.to_latex(form=form, layout=layout, notation=notation))
    for form, language in product(FORMS, LANGUAGES):
        style = {"form": form, "language": language}
        put("latex", f"article {form} {language}", made.to_latex(article=True, **style))
        put("markdown", f"article {form} {language}", made.to_markdown(article=True, **style))
        put("markdown", f"{form} {language}", made.to_markdown(**style))
        put("html", f"{form} {language}", made.to_html(**style))
    put("python", "python", made.to_python())
    put("c", "c", made.to_c())
    return files


def joined(parts):
    return "".join(f"=== {heading}\n{text.rstrip()}\n\n" for heading, text in parts)


def without_errors(text):
    """The text without the rounding errors of its checks, which a processor may change in the last digit."""
    import re
    return re.sub(r"(✓|✗|\\checkmark\\\)|\\times\\\)) \d+e[+-]\d\d|\d+e-1\d", r"\1", text)


if __name__ == "__main__":
    GOLDEN.mkdir(exist_ok=True)
    for network in NETWORKS:
        for file, parts in prints(network).items():
            (GOLDEN / file).write_text(without_errors(joined(parts)), encoding="utf-8")
            print(file)
