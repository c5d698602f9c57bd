"""Boxes as MathML Core: brackets that stretch, limits above and below, no script, no font, no network."""

from html import escape

from .latex import latex
from .names import cleaned

__all__ = ["mathml", "element"]


def element(tag, body="", **attributes):
    written = "".join(f' {name}="{escape(str(value), quote=True)}"' for name, value in attributes.items())
    return f"<{tag}{written}>{body}</{tag}>"


def mathml(box, display=True):
    """A <math> element with the LaTeX of the box as its annotation."""
    note = element("annotation", escape(latex(box)), encoding="application/x-tex")
    inside = element("semantics", element("mrow", inner(box)) + note)
    return element("math", inside, **({"display": "block"} if display else {}))


def inner(box):
    return globals()["_" + type(box).__name__.lower().rstrip("_")](box)


def _letter(text, style):
    shown = escape(cleaned(text))
    if style == "bold":
        return element("mi", "𝟏" if text == "1" else shown, mathvariant="normal")
    return element("mi", shown, mathvariant="normal") if style != "italic" or len(text.rstrip("′")) > 1 else element("mi", shown)


def _id(box):
    return element("mo", "⊤", lspace="0", rspace="0") if box.style == "transpose" else _letter(box.text, box.style)


def _digits(box):
    return element("mn", escape(box.text))


def _op(box):
    if not box.text:
        return element("mo", "&#x2062;") if box.kind == "juxtaposed" else ""
    form = {"form": "prefix"} if box.kind == "prefix" else {}
    return element("mo", escape(box.text), **form)


def _row(box):
    return element("mrow", "".join(inner(item) for item in box.items))


def place(sub):
    """A subscript such as "t−1": letter, sign and number apart."""
    if not isinstance(sub, str):
        return inner(sub)
    for sign in "+−":
        if sign in sub:
            letter, number = sub.split(sign)
            return place(letter) + element("mo", sign) + element("mn", number)
    return element("mn" if sub.isdigit() else "mi", escape(sub.replace("'", "′")))


def _name(box):
    base = _letter(box.base, box.style)
    if box.behind:
        base = element("mover", base + element("mo", "←", stretchy="true"))
    if box.prefix:
        base = element("mrow", element("mi", box.prefix, mathvariant="normal") + base)
    layer = "" if not box.layer else element("mn", box.layer) if box.layer.isdigit() else element("mtext", escape(cleaned(box.layer)))
    subs = [place(sub) for sub in box.subs]
    subs = ([element("mi", escape(cleaned(box.detail)), mathvariant="normal")] if box.detail else []) + subs
    if box.place == "down" and layer:
        subs = [layer, *subs]
    below = element("mo", ",", separator="true").join(subs)
    above = "" if not layer or box.place == "down" else layer if box.place == "up" else \
        element("mo", "(", stretchy="false") + layer + element("mo", ")", stretchy="false")
    return _scripts(base, below, above)


def _scripts(base, below, above):
    parts = [element("mrow", part) for part in (below, above) if part]
    tag = {(True, True): "msubsup", (True, False): "msub", (False, True): "msup"}.get((bool(below), bool(above)))
    return element(tag, base + "".join(parts)) if tag else base


def _partial(box):
    def half(part):
        return element("mrow", element("mo", "∂", form="prefix", lspace="0", rspace="0") + inner(part))
    return element("mfrac", half(box.top) + half(box.bottom))


def _fraction(box):
    written = element("mfrac", element("mrow", inner(box.top)) + element("mrow", inner(box.bottom)))
    return element("mstyle", written, displaystyle="false", scriptlevel="0") if box.small else written


def _scripted(box):
    return _scripts(element("mrow", inner(box.base)), "" if box.sub is None else inner(box.sub),
                    "" if box.sup is None else inner(box.sup))


def _bar(box):
    arguments = element("mo", ",", separator="true").join(inner(argument) for argument in box.arguments)
    return element("mrow", inner(box.head) + element("mo", "&#x2061;") + _brackets("(", arguments, ")"))


def _brackets(left, body, right):
    return element("mrow", element("mo", left, fence="true", stretchy="true", form="prefix") + body
                   + element("mo", right, fence="true", stretchy="true", form="postfix"))


def _fence(box):
    return _brackets(box.left, inner(box.body), box.right)


def _big(box):
    sign = element("mo", "∑", movablelimits="false", largeop="true") if box.sign == "Σ" else element("mo", box.sign, form="prefix")
    below = inner(box.below)
    return element("munder", sign + element("mrow", below)) if below != element("mrow") else sign


def _casebox(box):
    rows = "".join(element("mtr", element("mtd", inner(value)) + element("mtd", inner(condition))) for value, condition in box.rows)
    return element("mrow", element("mo", "{", fence="true", stretchy="true", form="prefix")
                   + element("mtable", rows, columnalign="left left"))


def _matrix(box):
    rows = "".join(element("mtr", "".join(element("mtd", inner(cell)) for cell in row)) for row in box.rows)
    return _brackets("[", element("mtable", rows), "]")


def _under(box):
    return element("munder", inner(box.body) + element("mtext", escape(box.note), **{"class": "shape"}))


def _words(box):
    return element("mtext", escape(box.text))
