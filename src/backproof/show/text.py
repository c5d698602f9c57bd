"""Boxes as Unicode text for the terminal: z1[n,j] = Σ_i W1[j,i] x[n,i] + b1[j]."""


from .boxes import Words
from .names import cleaned

__all__ = ["text"]

SPACED = {"infix": " {} ", "prefix": "{}", "tight": " {} ", "juxtaposed": " "}


def text(box):
    """One line of text for a box."""
    return globals()["_" + type(box).__name__.lower().rstrip("_")](box)


def _id(box):
    return "ᵀ" if box.style == "transpose" else "𝟏" if box.style == "bold" and box.text == "1" else cleaned(box.text)


def _digits(box):
    return box.text


def _op(box):
    return " " if not box.text else SPACED[box.kind].format(box.text) if box.kind != "juxtaposed" else f" {box.text} "


def _row(box):
    return "".join(text(item) for item in box.items).replace("  ", " ")


def _name(box):
    if box.base == "∇":
        return f"∇_{text(box.subs[0])}"
    subs = ",".join(sub if isinstance(sub, str) else text(sub) for sub in box.subs)
    base = box.prefix + ("←" if box.behind else "") + cleaned(box.base) + (f"_{cleaned(box.detail)}" if box.detail else "")
    head = f"{base}({box.layer})" if box.layer.startswith("ℓ") else f"{cleaned(box.layer)}.{base}" if box.layer and not box.layer.isdigit() else base + box.layer
    return head + (f"[{subs}]" if subs else "")


def _partial(box):
    return f"∂{text(box.top)}/∂{text(box.bottom)}"


def _fraction(box):
    def part(inner):
        written = text(inner)
        return written if not any(sign in written for sign in " +−·") else f"({written})"
    whole = f"{part(box.top)}/{part(box.bottom)}"
    return f"({whole})" if box.small else whole


def _scripted(box):
    power = {"2": "²", "3": "³", "-1": "⁻¹", "ᵀ": "ᵀ"}
    written = text(box.base)
    if box.sup is not None:
        sup = text(box.sup)
        written += power.get(sup, f"^{sup}")
    return written + (f"_{text(box.sub)}" if box.sub is not None else "")


def _bar(box):
    return f"{text(box.head)}({', '.join(text(argument) for argument in box.arguments)})"


def _fence(box):
    return f"{box.left}{text(box.body)}{box.right}"


def _big(box):
    return f"{box.sign}_{text(box.below)} " if text(box.below) else box.sign + " "


def _casebox(box):
    return "{ " + "; ".join(f"{text(value)} {'' if isinstance(condition, Words) else 'for '}{text(condition)}" for value, condition in box.rows) + " }"


def _matrix(box):
    return "[" + "; ".join(" ".join(text(cell) for cell in row) for row in box.rows) + "]"


def _words(box):
    return box.text




def _under(box):
    return f"{text(box.body)}⟨{box.note}⟩"
