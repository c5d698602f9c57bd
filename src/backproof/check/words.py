"""What the checker says, in English and Chinese: one table, filled by format."""

from ..errors import OptionError

__all__ = ["LANGUAGES", "WORDS", "say"]

LANGUAGES = ("en", "zh")

WORDS = {
    "pass": ("pass", "通过"),
    "fail": ("fail", "错误"),
    "inconclusive": ("inconclusive", "无法判定"),
    "complex step": ("complex step", "复步法"),
    "Richardson": ("Richardson differences", "Richardson 差分"),
    "directions": ("random directions", "随机方向"),
    "row": ("error {error}, tolerance {tolerance}, {method} of {looked} entries",
            "误差 {error}，容差 {tolerance}，{method}，{looked} 个元素"),
    "worst": ("worst at {index}: analytic {analytic}, numeric {numeric}, ratio {ratio}",
              "最差处 {index}：解析值 {analytic}，数值 {numeric}，比值 {ratio}"),
    "note": ("note", "注"),
    "cause": ("cause", "原因"),
    "black box": ("from the arrays alone", "仅由数组判断"),
    "twin": ("from the derived equations", "由推导出的方程判断"),
    "should stand": ("should stand:", "应为："),
    "stands": ("stands:       ", "实为："),
    "cause not found": ("cause not found", "未找到原因"),
    # ------------------------------------------------------------------------------------------- notes of a block
    "zero": ("zero on both sides", "两边都为零"),
    "subgradient": ("at a kink; the value lies between the one-sided slopes, a subgradient",
                    "位于拐点；该值介于左右斜率之间，是次梯度"),
    "nearby": ("a kink is close; checked at a point nearby", "附近有拐点；在邻近的点上检查"),
    "shape": ("the gradient has another shape than the parameter", "梯度的形状与参数不同"),
    "not finite": ("not finite", "不是有限数"),
    "missing": ("no gradient was returned", "没有返回梯度"),
}


def say(key, language="en", **values):
    """The sentence of a key, filled in.

    >>> say("pass"), say("pass", "zh")
    ('pass', '通过')
    """
    if language not in LANGUAGES:
        raise OptionError(f"language={language!r}", fix=f"one of {', '.join(LANGUAGES)}")
    text = WORDS[key][LANGUAGES.index(language)] if key in WORDS else key
    return text.format(**values) if values else text
