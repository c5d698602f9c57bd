"""The prose of what is printed, in English and Chinese: one table, one row per phrase."""

__all__ = ["WORDS", "phrase", "LANGUAGES"]

LANGUAGES = ("en", "zh")

WORDS = {
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
    "update": ("update", "更新"),
    "output_error": ("error signal of the output", "输出层残差"),
    "output_delta": ("error signal of the output: slope of the loss times slope of the activation",
                     "输出层残差：损失的导数乘激活函数的导数"),
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
    "check_failed": ("does not hold", "不成立"),
}


def phrase(key, language="en"):
    """The phrase of the table in a language."""
    return WORDS[key][LANGUAGES.index(language)]
