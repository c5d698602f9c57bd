"""The prose of what is printed, in English and Chinese: one table, one row per phrase."""

__all__ = ["WORDS", "phrase", "LANGUAGES"]

LANGUAGES = ("en", "zh")

WORDS = {
    # the article
    "article_title": ("Backpropagation", "反向传播推导"),
    "article_about": ("This is the complete derivation of the gradients of the network ", "本文给出以下网络梯度的完整推导："),
    "article_convention": ("One convention decides every equation: the error signal belongs to one sample, and the mean over the "
                           "samples appears in the gradients of the parameters and nowhere else.",
                           "全文遵循一个约定：残差属于单个样本，对样本的平均只出现在参数的梯度中。"),
    "article_output": ("The chain rule carries the derivative of the loss through the output activation; then the formula is "
                       "simplified, each step by the rule named beside it.",
                       "链式法则把损失的导数传过输出层的激活函数，再逐步化简，每一步都注明所用规则。"),
    "article_errors": ("From the output downwards every unit collects the errors of the units that it feeds, each times its "
                       "weight, and multiplies the sum by the slope of its own activation.",
                       "自输出层向下，每个单元收集它所连接的上层单元的残差，乘以对应权重求和，再乘以自身激活函数的导数。"),
    "article_generic": ("For every layer ", "对每一层 "),
    "article_generic_end": (": ", "："),
    "article_gradients": ("A weight multiplies its input, so its gradient is the error signal times that input; a bias multiplies 1.",
                          "权重乘以其输入，故其梯度为残差乘该输入；偏置的输入恒为 1。"),
    "article_update": ("Gradient descent moves every parameter against its gradient: ", "梯度下降使每个参数沿负梯度方向移动："),
    "article_checked": ("Every right-hand side above was evaluated on a random instance and compared with the reference engine "
                        "or the complex step; the largest relative error is ",
                        "以上每个等式右端均在随机实例上求值，并与参考引擎或复步长导数比较；最大相对误差为 "),
    "period": (".", "。"), "semicolon": ("; ", "；"),
    "heading_notation": ("Notation", "记号"),
    "heading_forward": ("Forward pass", "前向传播"),
    "heading_loss": ("Loss and objective", "损失与目标函数"),
    "heading_output": ("Error signal of the output", "输出层残差"),
    "heading_errors": ("Error signals of the layers below", "下层的残差"),
    "heading_gradients": ("Gradients of the parameters", "参数的梯度"),
    "heading_update": ("Update", "参数更新"),
    "heading_summary": ("Summary", "小结"),
    "column_symbol": ("symbol", "记号"), "column_shape": ("shape", "形状"), "column_meaning": ("meaning", "含义"),
    "means_input": ("input", "输入"), "means_target": ("target", "目标值"), "means_weight": ("weight of a sample", "样本权重"),
    "means_W": ("weights", "权重"), "means_b": ("bias", "偏置"), "means_z": ("pre-activation", "加权输入"),
    "means_a": ("activation", "激活值"), "means_state": ("state", "状态"), "means_delta": ("error signal", "残差"),
    "means_E": ("loss of one sample", "单个样本的损失"), "means_L": ("mean loss", "平均损失"), "means_J": ("objective", "目标函数"),
    # rules: why a line holds
    "pre_activation": ("weighted sum of the inputs plus the bias", "输入的加权和加偏置"),
    "pre_activation_time": ("weighted sums of the inputs and of the state one step back", "输入与前一时刻状态的加权和"),
    "activation": ("activation function", "激活函数"),
    "softmax": ("softmax: positive numbers that sum to 1", "softmax：总和为 1 的正数"),
    "state": ("state", "状态"),
    "definition": ("definition", "定义"),
    "sample_loss": ("loss of one sample", "单个样本的损失"),
    "loss": ("mean over the samples", "对样本取平均"),
    "penalty": ("penalty on the parameters", "参数的惩罚项"),
    "weight_decay": ("weight decay", "权重衰减"),
    "objective": ("objective: the mean loss and the penalties", "目标函数：平均损失加惩罚项"),
    "objective_mean": ("objective: the mean loss over the samples", "目标函数：样本损失的平均"),
    "lookup": ("the row of the table that the id names", "按编号取表中的一行"),
    "update": ("update", "更新"),
    "output_error": ("error signal of the output", "输出层残差"),
    "output_delta": ("error signal of the output: slope of the loss times slope of the activation",
                     "输出层残差：损失的导数乘激活函数的导数"),
    "loss_slope": ("slope of the loss by the output", "损失对输出的导数"),
    "softmax_slope": ("chain rule through the softmax: its Jacobian contracted with the slope of the loss",
                      "softmax 的链式法则：雅可比矩阵与损失导数收缩"),
    "seed": ("the signal that is put in", "输入的误差信号"),
    "delta": ("chain rule: the errors above, shared out over the weights, times the slope of the activation",
              "链式法则：上层残差按权重分配，再乘激活函数的导数"),
    "delta_time": ("chain rule: the errors above and of the next step, times the slope of the activation",
                   "链式法则：上层与下一时刻的残差，再乘激活函数的导数"),
    "delta_plain": ("chain rule", "链式法则"),
    "adjoint": ("chain rule", "链式法则"),
    "adjoint_paths": ("chain rule over several paths: contributions add", "多路径链式法则：各路径相加"),
    "gradient_weight": ("error signal times the input of the weight, averaged over the samples",
                        "残差乘权重的输入，再对样本取平均"),
    "gradient_weight_time": ("error signal times the input of the weight, summed over time, averaged over the samples",
                             "残差乘权重的输入，对时间求和，再对样本取平均"),
    "gradient_bias": ("a bias is a weight on the input 1", "偏置是输入恒为 1 的权重"),
    "gradient_one": ("error signal times what the parameter multiplies, averaged over the samples",
                     "残差乘参数所乘的量，再对样本取平均"),
    "gradient": ("contributions of all places where the parameter is used add", "参数出现的各处贡献相加"),
    "and_decay": ("plus weight decay", "加权重衰减"),
    "input_gradient": ("the input's share of the error", "传到输入的误差"),
    "edge": ("at the border of time", "时间边界"),
    "side_stable": ("the form that runs: it cannot overflow", "实际运行的形式：不会溢出"),
    "side_slope": ("the slope from the stored activation", "由已存的激活值得到导数"),
    "side_substitute": ("put in", "代入"),
    "side_cancel": ("multiplied into the sum, where a factor cancels", "乘入括号，相消"),
    "side_fact": ("because the targets sum to 1", "因为目标值之和为 1"),
    "side_expand": ("multiplied out and collected", "展开并合并同类项"),
    "picture": ("The network: units by layer", "网络：各层的单元"),
    "sensitivity": ("a small step h in {symbol} changes {scalar} by about {slope} h", "{symbol} 增加微小的 h，{scalar} 约变化 {slope} h"),
    "otherwise": ("otherwise", "其他"),
}


def phrase(key, language="en"):
    """The phrase of the table in a language."""
    return WORDS[key][LANGUAGES.index(language)]
