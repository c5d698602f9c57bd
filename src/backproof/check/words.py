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
    "single precision": ("differences in single precision", "单精度差分"),
    "directions": ("random directions", "随机方向"),
    "row": ("error {error}, tolerance {tolerance}, {method} of {looked} entries",
            "误差 {error}，容差 {tolerance}，{method}，{looked} 个元素"),
    "worst": ("worst at {index}: analytic {analytic}, numeric {numeric}, ratio {ratio}",
              "最差处 {index}：解析值 {analytic}，数值 {numeric}，比值 {ratio}"),
    "taylor slope": ("Taylor slope {slope}", "泰勒余项斜率 {slope}"),
    "note": ("note", "注"),
    "cause": ("cause", "原因"),
    "black box": ("from the arrays alone", "仅由数组判断"),
    "twin": ("from the derived equations", "由推导出的方程判断"),
    "should stand": ("should stand:", "应为："),
    "stands": ("stands:       ", "实为："),
    "cause not found": ("cause not found", "未找到原因"),
    "tensor": ("tensor", "张量"), "shape of": ("shape", "形状"), "verdict": ("verdict", "判定"), "error": ("error", "误差"),
    "tolerance": ("tolerance", "容差"), "index": ("worst index", "最差位置"), "analytic": ("analytic", "解析值"),
    "numeric": ("numeric", "数值"), "ratio": ("ratio", "比值"),
    "exercise unreadable": ("the answer cannot be read: {why}", "无法读取答案：{why}"),
    "exercise fails": ("the answer does not run: {why}", "答案无法运行：{why}"),
    "exercise blank": ("still blank: line {lines}", "尚未填写：第 {lines} 行"),
    "exercise marks": ("{right} of {all} lines right", "{all} 行中有 {right} 行正确"),
    "line": ("line", "行"),
    # ------------------------------------------------------------------------------------------- notes of a block
    "zero": ("zero on both sides", "两边都为零"),
    "subgradient": ("at a kink; the value lies between the one-sided slopes, a subgradient",
                    "位于拐点；该值介于左右斜率之间，是次梯度"),
    "nearby": ("a kink is close; checked at a point nearby", "附近有拐点；在邻近的点上检查"),
    "shape": ("the gradient has another shape than the parameter", "梯度的形状与参数不同"),
    "complex": ("complex numbers", "是复数"),
    "not finite": ("not finite", "不是有限数"),
    "missing": ("no gradient was returned", "没有返回梯度"),
    # ------------------------------------------------------------------------------------------- notes of a report
    "no twin": ("no twin: {why}", "没有孪生网络：{why}"),
    "more mistakes": (
        "what is named does not explain every tensor: there is another mistake",
        "已指出的原因不能解释所有张量：还有别的错误"),
    "also": ("the same numbers also come from: {names}", "同样的数值也可能来自：{names}"),
    "truncated": (
        "the gradient is truncated: compared with the function whose states are held at the borders of the "
        "segments",
        "梯度是截断的：与在段边界固定状态的函数比较"),
    "float32": (
        "computed in float32; differences are compared within their own uncertainty",
        "以 float32 计算；按差分自身的不确定度比较"),
    "sampled": ("large tensors were sampled", "大张量采用抽样检查"),
    # ------------------------------------------------------------------------------------------- side checks
    "inputs changed": ("asking for the gradient changes its inputs: {names}", "求梯度时改变了输入：{names}"),
    "loss changed": ("the loss is another after the gradient was asked for", "求梯度之后损失值发生变化"),
    "piles up": (
        "gradients pile up from call to call: the buffers are not set to zero",
        "梯度逐次累加：缓冲区没有清零"),
    "random": (
        "two calls at the same point give different gradients (a fresh random mask?)",
        "同一点两次调用得到不同的梯度（随机掩码不同？）"),
    "stale": (
        "the gradient depends on the call before: values kept from the previous batch",
        "梯度依赖上一次调用：用了上一批的旧值"),
    "upstream not used": (
        "the backward pass does not use the upstream signal: {names}",
        "反向传播没有使用上游信号：{names}"),
    "zero upstream": (
        "a zero upstream signal does not give zero gradients: {names}",
        "上游信号为零时梯度不为零：{names}"),
    "not linear": (
        "the backward pass is not linear in the upstream signal: {names}",
        "反向传播对上游信号不是线性的：{names}"),
    "batch factor": ("{where}: batches of other sizes are off by the factor {factor}: divided by the full batch size",
                     "{where}：其他大小的批次差一个因子 {factor}：除以了完整批次的大小"),
    # ------------------------------------------------------------------------------------------- black box
    "factor": ("{where}: a constant factor of {factor}{meaning}", "{where}：恒定因子 {factor}{meaning}"),
    "factor of all": (
        "every tensor is off by the constant factor {factor}{meaning}",
        "所有张量相差恒定因子 {factor}{meaning}"),
    "factor and penalty": (
        "{where}: {factor} × the right gradient {strength} × the parameter: the data part is off by "
        "{factor}{meaning}, a penalty of {penalty} is not",
        "{where}：正确梯度的 {factor} 倍 {strength} 倍参数：数据部分相差因子 {factor}{meaning}，强度 {penalty}"
        " 的正则项没有错"),
    "zero gradient": ("{where}: the gradient is zero throughout", "{where}：梯度全为零"),
    "zero sum": ("{where}: zero throughout, as is the sum of the right gradient over the units: summed over the units",
                 "{where}：全为零，而正确梯度对单元求和也为零：可能对单元求了和"),
    "decay": (
        "{where}: {strength} times the parameter, which the loss does not depend on so",
        "{where}：为参数的 {strength} 倍，而损失并不如此依赖它"),
    "penalty missing": (
        "{where}: {strength} times the parameter is missing: the gradient of the penalty (or a part of it)",
        "{where}：缺少参数的 {strength} 倍：正则项的梯度（或其一部分）"),
    "penalty surplus": (
        "{where}: {strength} times the parameter is added that the loss does not contain: a penalty doubled, "
        "or decay on a bias",
        "{where}：多加了损失中没有的参数的 {strength} 倍：正则项加倍，或偏置也做了衰减"),
    "transposed": ("{where}: the gradient is transposed", "{where}：梯度被转置"),
    "other order of storage": (
        "{where}: entries in another order of storage (columns first)",
        "{where}：元素存储顺序不同（按列优先）"),
    "permuted": ("{where}: the right numbers in a wrong order", "{where}：数值正确但顺序错误"),
    "summed over everything": (
        "{where}: one sum over samples and units, the same for every unit",
        "{where}：对样本和单元一并求和，每个单元都相同"),
    "averaged over everything": (
        "{where}: one mean over the units, the same for every unit",
        "{where}：对单元取了平均，每个单元都相同"),
    "wrong axis": ("{where}: summed over the wrong axis", "{where}：求和的轴错误"),
    "not summed": (
        "{where}: not summed over axis {axis}, along which the parameter was broadcast",
        "{where}：没有沿轴 {axis} 求和，而参数在该轴上被广播"),
    "not averaged": (
        "{where}: not averaged over axis {axis}, along which the parameter was broadcast",
        "{where}：没有沿轴 {axis} 取平均，而参数在该轴上被广播"),
    "broadcast": (
        "{where}: the right numbers repeated to the shape {shape}: a column met a row",
        "{where}：数值正确但被广播成 {shape}：列向量与行向量相加"),
    "other shape": ("{where}: the right numbers in the shape {shape}", "{where}：数值正确，但形状为 {shape}"),
    "clipped": ("{where}: clipped at ±{limit}", "{where}：被截断在 ±{limit}"),
    "entries missing": ("{where}: {count} entries are zero, the others right", "{where}：{count} 个元素为零，其余正确"),
    # what a factor is likely to stand for
    "sign": (": the sign is wrong", "：符号错误"),
    "twice": (": a factor 2 too much (½ in the loss, none in the gradient?)", "：多了因子 2"),
    "half": (": a factor 2 is missing (½ in the gradient, none in the loss?)", "：少了因子 2"),
    "times outputs": (
        " = the number of outputs: the loss averages over the outputs, the gradient sums",
        " = 输出个数：损失对输出取平均，而梯度求和"),
    "over outputs": (
        " = 1 / the number of outputs: the loss sums over the outputs, the gradient averages",
        " = 1/输出个数：损失对输出求和，而梯度取平均"),
    "sum for mean": (
        " = the number of samples: 1/m is missing, a sum where the loss takes the mean",
        " = 样本数：缺少 1/m，损失取平均而梯度求和"),
    "mean for sum": (
        " = 1 / the number of samples: 1/m once too often, or a mean where the loss takes the sum",
        " = 1/样本数：多除了一次 m，或损失求和而梯度取平均"),
    "sum for mean of outputs": (
        " = samples × outputs: the loss takes the mean over both",
        " = 样本数×输出个数：损失对两者取平均"),
    "mean for sum of outputs": (
        " = 1 / (samples × outputs): the gradient takes the mean over both",
        " = 1/(样本数×输出个数)：梯度对两者取平均"),
    "twice the sum": (" = 2 × the number of samples", " = 2×样本数"),
    "twice the mean": (" = 2 / the number of samples", " = 2/样本数"),
    "half the sum": (" = half the number of samples", " = 样本数的一半"),
    "rate": (" = the learning rate", " = 学习率"),
    "unknown": ("", ""),
    # ------------------------------------------------------------------------------------------- mutations
    "1/m missing": ("{where}: 1/m is missing", "{where}：缺少 1/m"),
    "wrong sign": ("{where}: the sign is wrong", "{where}：符号错误"),
    "1/m twice": ("{where}: divided by the number of samples once too often", "{where}：多除了一次样本数 m"),
    "factor of the outputs": (
        "{where}: a factor of the number of outputs too much: the loss averages over them, the gradient sums",
        "{where}：多了因子“输出个数”：损失取平均而梯度求和"),
    "divided by the outputs": (
        "{where}: divided by the number of outputs, over which the loss sums",
        "{where}：除以了输出个数，而损失对输出求和"),
    "factor 2": ("{where}: a factor 2 too much", "{where}：多了因子 2"),
    "factor 1/2": ("{where}: a factor 2 is missing", "{where}：少了因子 2"),
    "1/T missing": ("{where}: the mean over the steps is missing", "{where}：缺少对时间步的平均"),
    "1/T twice": ("{where}: divided by the number of steps once too often", "{where}：多除了一次时间步数"),
    "weights normalised": (
        "{where}: the sample weights are normalised within the batch",
        "{where}：样本权重在批内被归一化"),
    "shortcut a - y": (
        "{where}: the shortcut a − y, which is right only where the loss cancels the slope",
        "{where}：用了捷径 a − y，只有损失抵消斜率时才正确"),
    "slope kept": (
        "{where}: the slope of the output is kept although the loss cancels it: a − y is right",
        "{where}：保留了输出层的斜率，但损失已将其抵消：应为 a − y"),
    "softmax diagonal": (
        "{where}: the softmax derived as if it were elementwise, a(1 − a)",
        "{where}：把 softmax 当作逐元素函数求导 a(1 − a)"),
    "softmax uncoupled": (
        "{where}: the softmax without the sum over the other classes",
        "{where}：softmax 的导数缺少对其他类别的求和"),
    "sample weight forgotten": ("{where}: the sample weights are forgotten", "{where}：忘记了样本权重"),
    "sample weight twice": ("{where}: the sample weights are applied twice", "{where}：样本权重用了两次"),
    "padding counted": ("{where}: padded steps are counted", "{where}：计入了填充的时间步"),
    "slope forgotten": ("{where}: the slope f'(z) is forgotten", "{where}：忘记了斜率 f'(z)"),
    "f(z)f(1-z)": (
        "{where}: f(z)·f(1−z) for the slope f(z)(1−f(z))",
        "{where}：斜率写成 f(z)·f(1−z)，应为 f(z)(1−f(z))"),
    "f'(a) for f'(z)": (
        "{where}: the slope taken at the activation a instead of the pre-activation z",
        "{where}：斜率在激活值 a 处求值，应在 z 处"),
    "closed form at z": (
        "{where}: the slope written in the activation, as y(1 − y), but with z put in",
        "{where}：用激活值表示的斜率 y(1 − y) 中代入了 z"),
    "closed form at x": ("{where}: the slope written in the output, as y(1 − y) or 1 − y², but with the input put in",
                         "{where}：用输出表示的斜率 y(1 − y) 或 1 − y² 中代入了输入"),
    "value for slope": ("{where}: the activation itself instead of its slope", "{where}：用激活值本身代替了斜率"),
    "one forgotten in the slope": (
        "{where}: the 1 is forgotten in the slope (1 − a² written as −a²)",
        "{where}：斜率中漏了 1（1 − a² 写成 −a²）"),
    "slope squared": ("{where}: the slope is applied twice", "{where}：斜率用了两次"),
    "slope of another layer": ("{where}: the slope of another layer", "{where}：用了另一层的斜率"),
    "mask from the upstream sign": (
        "{where}: the mask of the ReLU is taken from the sign of the upstream error",
        "{where}：ReLU 的掩码取自上游误差的符号"),
    "upstream ignored": ("{where}: the error from above is not used", "{where}：没有使用上层传来的误差"),
    "slope twice": ("{where}: the slope is applied once more", "{where}：斜率多乘了一次"),
    "weights not transposed": (
        "{where}: W where Wᵀ belongs (rows and columns exchanged)",
        "{where}：应为 Wᵀ 处用了 W（行列互换）"),
    "weights of another layer": ("{where}: the weights of another layer", "{where}：用了另一层的权重"),
    "delta of another layer": ("{where}: the error signal of another layer", "{where}：用了另一层的误差信号"),
    "weights updated early": (
        "{where}: computed with weights that this step has already changed",
        "{where}：使用了本步已更新过的权重"),
    "later step's error forgotten": (
        "{where}: the error that comes back from the later step is not added",
        "{where}：没有加上后一时间步传回的误差"),
    "truncation leaks": (
        "{where}: the error goes on past the border of the segment",
        "{where}：误差越过了截断段的边界"),
    "held state cut": (
        "{where}: the state that an ended sequence holds is cut at the border too: padding changes the gradient",
        "{where}：已结束的序列所保持的状态也在截断处被切断：填充会改变梯度"),
    "one path forgotten": ("{where}: one of several paths is forgotten", "{where}：漏了多条路径中的一条"),
    "dropout mask forgotten": (
        "{where}: the dropout mask is forgotten on the way back",
        "{where}：反向时忘记了 dropout 掩码"),
    "dropout not rescaled": ("{where}: the dropout mask without its 1/(1 − p)", "{where}：dropout 掩码缺少 1/(1 − p)"),
    "dropout rescaled without the mask": (
        "{where}: 1/(1 − p) without the dropout mask",
        "{where}：只有 1/(1 − p) 而没有 dropout 掩码"),
    "state of the same step": (
        "{where}: h of the same step where h of the step before belongs",
        "{where}：应为上一步的 h 处用了同一步的 h"),
    "own activation": (
        "{where}: the layer's own activation instead of the previous layer's",
        "{where}：用了本层的激活值，应为前一层的"),
    "one number for a row": (
        "{where}: the layer's own activation instead of the previous layer's, and one number for a whole row "
        "of weights",
        "{where}：用了本层的激活值，应为前一层的，并且整行权重只用一个数"),
    "pre-activation for activation": (
        "{where}: the pre-activation of the layer below instead of its activation",
        "{where}：用了下层的 z，应为其激活值"),
    "activation of another layer": ("{where}: the activation of another layer", "{where}：用了另一层的激活值"),
    "error before the slope": ("{where}: the error before the slope is applied", "{where}：用了尚未乘斜率的误差"),
    "gradient transposed": ("{where}: the gradient is transposed", "{where}：梯度被转置"),
    "only the first step": (
        "{where}: only the first time step counts: overwritten instead of accumulated",
        "{where}：只计入第一个时间步：被覆盖而没有累加"),
    "only the last step": (
        "{where}: only the last time step counts: overwritten instead of accumulated",
        "{where}：只计入最后一个时间步：被覆盖而没有累加"),
    "bias summed over the units too": ("{where}: one sum over samples and units", "{where}：对样本和单元一并求和"),
    "bias averaged over the units": ("{where}: the mean over samples and units", "{where}：对样本和单元一并取平均"),
    "bias summed over the wrong axis": (
        "{where}: summed over the units instead of the samples",
        "{where}：对单元求和，应对样本求和"),
    "one sample only": (
        "{where}: not summed over the samples, one of them is left",
        "{where}：没有对样本求和，只剩一个样本"),
    "bias from the weights' gradient": (
        "{where}: summed from the weights' gradient instead of the error signal",
        "{where}：由权重的梯度求和得来，应由误差信号求和"),
    "penalty forgotten": ("{where}: the gradient of the penalty is missing", "{where}：缺少正则项的梯度"),
    "penalty doubled": ("{where}: the penalty counts twice", "{where}：正则项计了两次"),
    "penalty halved": ("{where}: half of the penalty's gradient is missing", "{where}：正则项的梯度少了一半"),
    "penalty over m": ("{where}: the penalty is divided by the number of samples", "{where}：正则项被除以样本数"),
    "penalty times m": ("{where}: the penalty is multiplied by the number of samples", "{where}：正则项被乘以样本数"),
    "penalty sign": ("{where}: the sign of the penalty is wrong", "{where}：正则项的符号错误"),
    "decay on biases": (
        "{where}: the bias decays too, which the objective does not say",
        "{where}：偏置也做了衰减，而目标函数中没有"),
}



def say(key, language="en", **values):
    """The sentence of a key, filled in.

    >>> say("pass"), say("pass", "zh")
    ('pass', '通过')
    """
    if language not in LANGUAGES:
        raise OptionError(f"language={language!r}", fix=f"one of {', '.join(LANGUAGES)}")
    text = WORDS[key][LANGUAGES.index(language)] if key in WORDS else key
    if "meaning" in values:
        minus, _, meaning = values["meaning"].rpartition("minus ")
        sign = say("sign", language) if minus or values["meaning"].startswith("minus ") else ""
        values = {**values, "meaning": say(meaning, language) + sign}
    return text.format(**values) if values else text
