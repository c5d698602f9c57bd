"""Boxes as LaTeX (amsmath)."""

import re

from .names import cleaned


__all__ = ["latex", "escaped"]

COMMANDS = {
    "Σ": r"\sum", "max": r"\max", "∂": r"\partial", "⊙": r"\odot", "∘": r"\circ", "⊘": r"\oslash", "·": r"\cdot",
    "−": "-", "≤": r"\le", "→": r"\to", "←": r"\leftarrow", "∇": r"\nabla", "ℓ": r"\ell", "‖": r"\|", "′": "'", "Δ": r"\Delta",
    "exp": r"\exp", "log": r"\log", "log ": r"\log", "tanh": r"\tanh", "μ": r"\mu", "ν": r"\nu", "ω": r"\omega",
    **{letter: rf"\{name}" for letter, name in zip(
        "αβγδεζηθικλξπρστυφχψ", "alpha beta gamma delta epsilon zeta eta theta iota kappa lambda xi pi rho sigma tau upsilon "
        "phi chi psi".split())},
}
SPECIAL = {"\\": r"\textbackslash{}", "{": r"\{", "}": r"\}", "$": r"\$", "%": r"\%", "&": r"\&", "#": r"\#", "_": r"\_",
           "^": r"\textasciicircum{}", "~": r"\textasciitilde{}", "<": r"\textless{}", ">": r"\textgreater{}"}
SPACED = {"infix": " {} ", "prefix": "{}", "tight": " {} ", "juxtaposed": r" "}


def escaped(text):
    """Prose or a name as LaTeX text: nothing in it is a command; control characters become spaces, the caller cuts long names.

    >>> escaped(r"\\input{/etc/passwd} 50% _$_")
    '\\\\textbackslash{}input\\\\{/etc/passwd\\\\} 50\\\\% \\\\_\\\\$\\\\_'
    """
    return "".join(SPECIAL.get(c) or _greek(c) or (c if c.isprintable() else " ") for c in text)


def _greek(c):
    """A Greek letter in prose by its command: text fonts lack it."""
    return rf"\ensuremath{{{COMMANDS[c]}}}" if c in COMMANDS and c.isalpha() and not c.isascii() else None


def latex(box):
    """The LaTeX of a box, for use between $ and $."""
    return globals()["_" + type(box).__name__.lower().rstrip("_")](box)


def _letter(text, style):
    core, primes = text.rstrip("′"), "'" * text.count("′")
    if core in COMMANDS:
        return COMMANDS[core] + primes
    if len(core) == 1 and style == "italic":
        return (core if core.isascii() and core.isalnum() else rf"\text{{{escaped(core)}}}") + primes
    return rf"\operatorname{{{escaped(cleaned(core))}}}" + primes if core.isascii() and core.isalpha() else \
        rf"\text{{{escaped(cleaned(core))}}}" + primes


def _id(box):
    if box.style == "transpose":
        return r"\mathsf{T}"
    if box.style == "bold":
        return rf"\mathbf{{{box.text}}}"
    return _letter(box.text, box.style)


def _digits(box):
    number = re.fullmatch(r"(-?[\d.]+)e([+-]?\d+)", box.text)
    return rf"{number[1]} \cdot 10^{{{int(number[2])}}}" if number else box.text


def _op(box):
    sign = COMMANDS.get(box.text, box.text)
    return r" \," if not sign and box.kind == "juxtaposed" else SPACED[box.kind].format(sign)


def _row(box):
    return re.sub(r" {2,}", " ", "".join(_spaced(latex(item)) for item in box.items))


def _spaced(text):
    """A command that ends in a letter is set off from what follows."""
    return text + " " if re.search(r"\\[A-Za-z]+$", text) else text


def subscript(sub):
    """A place such as "t−1", "j'" or "T" """
    if not isinstance(sub, str):
        return latex(sub)
    match = re.fullmatch(r"(.*?)([+−]\d+)?", sub)
    letter, offset = match[1], (match[2] or "").replace("−", "-")
    primes = letter.count("'")
    return letter.rstrip("'") + "'" * primes + offset


def _name(box):
    base = _letter(box.base, box.style) if box.base != "∇" else r"\nabla"
    if box.behind:
        base = rf"\overleftarrow{{{base}}}"
    if box.prefix:
        base = rf"\mathrm{{{box.prefix}}}{_spaced(base)}".rstrip()
    generic = re.fullmatch(r"ℓ([+−]\d+)?", box.layer)
    layer = r"\ell" + (generic[1] or "").replace("−", "-") if generic else box.layer if box.layer.isdigit() or not box.layer \
        else rf"\text{{{escaped(cleaned(box.layer))}}}"
    subs = [subscript(sub) for sub in box.subs]
    detail = [rf"\mathrm{{{escaped(cleaned(box.detail))}}}"] if box.detail else []
    below = (" " if _tight(box.subs) and not detail else ",").join([*detail, *subs])
    if box.place == "down" and layer:
        below = layer + ("," + below if below else "")
    above = "" if not layer or box.place == "down" else f"({layer})" if box.place == "(up)" else layer
    return _scripts(base, below, above)


def _tight(subs):
    return len(subs) == 2 and all(isinstance(sub, str) and len(sub.rstrip("'")) == 1 for sub in subs) and "n" not in subs


def _scripts(base, below, above):
    return base + (f"_{{{below}}}" if below else "") + (f"^{{{above}}}" if above else "")


def _partial(box):
    return rf"\frac{{\partial {latex(box.top)}}}{{\partial {latex(box.bottom)}}}"


def _fraction(box):
    return rf"\{'tfrac' if box.small else 'frac'}{{{latex(box.top)}}}{{{latex(box.bottom)}}}"


def _scripted(box):
    base = latex(box.base)
    plain = re.fullmatch(r"[A-Za-z]|\\[A-Za-z]+|\\left.*|\\mathbf\{1\}", base, re.S)
    return _scripts(base if plain else f"{{{base}}}", "" if box.sub is None else latex(box.sub),
                    "" if box.sup is None else latex(box.sup))


def _bar(box):
    return rf"{latex(box.head)}\left({', '.join(latex(argument) for argument in box.arguments)}\right)"


def _fence(box):
    left, right = (COMMANDS.get(side, side) for side in (box.left, box.right))
    return rf"\left{left} {latex(box.body)} \right{right}"


def _big(box):
    below = latex(box.below)
    return COMMANDS[box.sign] + (rf"_{{{below}}} " if below else " ")


def _casebox(box):
    rows = r" \\ ".join(f"{latex(value)} & {latex(condition)}" for value, condition in box.rows)
    return rf"\begin{{cases}} {rows} \end{{cases}}"


def _matrix(box):
    rows = r" \\ ".join(" & ".join(latex(cell) for cell in row) for row in box.rows)
    return rf"\begin{{bmatrix}} {rows} \end{{bmatrix}}"


def _under(box):
    return rf"\underset{{\scriptscriptstyle {box.note.replace('×', chr(92) + 'times ')}}}{{{latex(box.body)}}}"


def _words(box):
    return rf"\text{{{escaped(box.text)}}}"


