"""The phrases of the pages, in English and Chinese: one table, one row per phrase. {0}, {1} stand for numbers and names."""

__all__ = ["PAGE_WORDS", "page_phrase"]

PAGE_WORDS = {
    "heading": ("Trace of a network", "网络的逐步追踪"),
    "about": ("Every number below was recorded from the equations that run. Choose a unit or a weight, or step through the equations.",
              "下列每个数字都取自实际运行的方程。请选择单元或权重，或逐步浏览方程。"),
    "sample": ("Sample", "样本"), "epoch": ("Epoch", "训练轮次"), "time": ("Time step", "时间步"),
    "row": ("row {0}", "第 {0} 行"), "now": ("now", "当前"), "start": ("start", "开始"), "of": ("{0} of {1}", "{0} / {1}"),
    "step": ("Equation", "方程"), "back": ("Back", "上一步"), "next": ("Next", "下一步"), "play": ("Play", "播放"), "pause": ("Pause", "暂停"),
    "view": ("View", "视图"), "view_network": ("Error sharing", "误差分配"), "view_graph": ("Computational graph", "计算图"),
    "edges": ("Lines show", "连线表示"), "edge_w": ("weight w", "权重 w"), "edge_wa": ("contribution w·a", "贡献 w·a"),
    "edge_wd": ("share of the error w·δ", "误差份额 w·δ"), "edge_g": ("gradient ∂J/∂w", "梯度 ∂J/∂w"),
    "gate": ("Weights", "权重矩阵"), "theme": ("Light / dark", "明 / 暗"), "language": ("中文", "English"),
    "forward": ("forward", "前向"), "backward": ("backward", "反向"),
    "network": ("The network", "网络"), "unrolled": ("Unrolled in time", "按时间展开"), "numbers": ("With the numbers", "代入数字"),
    "details": ("Chosen", "所选"), "matrices": ("Weights as heat maps", "权重热图"), "equations": ("All equations", "全部方程"),
    "unit": ("unit {0} of {1}", "{1} 的单元 {0}"), "input": ("input {0}", "输入 {0}"), "weight": ("weight {0}", "权重 {0}"),
    "bias": ("bias {0}", "偏置 {0}"), "parameter": ("parameter {0}", "参数 {0}"),
    "value": ("value", "值"), "terms": ("The terms of the sum", "求和各项"), "more": ("{0} more terms, together {1}", "另有 {0} 项，合计 {1}"),
    "per_sample": ("Per sample", "逐个样本"), "contribution": ("a·δ", "a·δ"), "mean": ("mean over {0} samples", "{0} 个样本的平均"),
    "decay": ("penalty's share", "惩罚项部分"), "gradient": ("gradient ∂J/∂w", "梯度 ∂J/∂w"),
    "update": ("a step of gradient descent", "一步梯度下降"), "rate": ("learning rate η", "学习率 η"),
    "trained": ("training moved it by {0} until epoch {1}", "到第 {1} 轮训练使其改变 {0}"),
    "adds_up": ("adds up: equal to the recorded number", "核对无误：与记录值一致"),
    "differs": ("evaluated {0}, recorded {1}", "求值为 {0}，记录为 {1}"),
    "partly": ("evaluated by the program; not every term is kept in this page", "由程序求值；本页未保留全部各项"),
    "outside": ("outside the range of time", "时间范围之外"),
    "sensitivity": ("If {0} grows by a small h, the loss of this sample changes by {1}·h.",
                    "若 {0} 增加微小量 h，该样本的损失变化 {1}·h。"),
    "not_formed": ("Its derivative is not formed: the loss is differentiated straight by the pre-activation below it.",
                   "未单独计算它的导数：损失直接对其下的加权输入求导。"),
    "value_above": ("value above, derivative of the loss below", "上：值；下：损失的导数"),
    "zoom_in": ("Zoom in", "放大"), "zoom_out": ("Zoom out", "缩小"), "quantity": ("Quantity", "数量"),
    "change": ("change until the next epoch kept", "到下一保留轮次的变化"),
    "heat_help": ("Arrow keys move, Enter chooses.", "方向键移动，回车选择。"),
    "folded": ("{0} units, folded", "{0} 个单元（折叠）"), "open_heat": ("open {0} as a heat map", "以热图打开 {0}"),
    "target": ("target", "目标"), "loss": ("loss E of this sample", "该样本的损失 E"), "objective": ("objective J", "目标函数 J"),
    "left_samples": ("{0} of {1} samples are kept in this page.", "本页保留了 {1} 个样本中的 {0} 个。"),
    "left_epochs": ("{0} of {1} recorded epochs are kept in this page.", "本页保留了 {1} 个记录轮次中的 {0} 个。"),
    "left_arrays": ("Not kept, for size: {0}.", "因体积未保留：{0}。"),
    "keys": ("Keys: ← → equation, Shift + ← → sample, Tab and Enter choose a unit.", "按键：← → 切换方程，Shift + ← → 切换样本，Tab 与回车选择单元。"),
    "positive": ("positive", "正"), "negative": ("negative", "负"), "masked": ("beyond the sequence's end", "超出序列长度"),
    "no_weight": ("Choose a weight.", "请选择权重。"), "gone": ("not kept in this page", "本页未保留"), "ids": ("token {0}", "词元 {0}"),
}


def page_phrase(key, language="en", *values):
    """The phrase in a language with its numbers and names put in."""
    return PAGE_WORDS[key][("en", "zh").index(language)].format(*values)
