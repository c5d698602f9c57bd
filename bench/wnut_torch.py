"""The twin of ``wnut.py`` in PyTorch: reads data.npz and settings.json of a folder, prints predictions and times as JSON."""

import json
import sys
import time
from pathlib import Path

import numpy as np
import torch

from backproof.data.tags import convert, spans


class Tagger(torch.nn.Module):
    """A table for each channel, the windows one after another, one hidden layer."""

    def __init__(self, how, table, drawn, freeze):
        super().__init__()
        widths = [table.shape[1]] + [how["channel_dimensions"]] * (len(how["rows"]) - 1)
        self.tables = torch.nn.ModuleList(torch.nn.Embedding(rows, d, sparse=True) for rows, d in zip(how["rows"], widths))
        hidden, = how["hidden_layer_sizes"]
        self.window = how["window"]
        self.below = torch.nn.Linear(self.window * sum(widths), hidden)
        self.above = torch.nn.Linear(hidden, len(how["tags"]))
        self.dropout = torch.nn.Dropout(how["dropout"])
        with torch.no_grad():
            for layer in (self.below, self.above):
                torch.nn.init.xavier_uniform_(layer.weight)
                layer.bias.zero_()
            for one in self.tables:
                one.weight.normal_(0, 0.1)
                one.weight[0] = 0
            given = torch.from_numpy(~drawn)
            given[1] = True                                              # unknown words begin at the mean of the vectors
            self.tables[0].weight[given] = torch.from_numpy(table)[given]
        self.tables[0].weight.requires_grad_(not freeze)

    def forward(self, ids):
        parts = [one(ids[:, k * self.window:(k + 1) * self.window]).flatten(1) for k, one in enumerate(self.tables)]
        return self.above(self.dropout(torch.tanh(self.below(torch.cat(parts, 1)))))


def entity_f1(true, predicted):
    """Whole entities over all types; the tables of the report are counted by seqeval, this one only chooses the epoch."""
    hits = found = there = 0
    for a, b in zip(true, predicted):
        a, b = set(spans(a)), set(spans(b))
        hits, found, there = hits + len(a & b), found + len(b), there + len(a)
    return 2 * hits / max(1, found + there)


def main():
    folder, seed, freeze = Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3] == "freeze"
    torch.set_num_threads(1)
    torch.manual_seed(seed)
    how, data = json.loads((folder / "settings.json").read_text()), np.load(folder / "data.npz")
    ids = {part: torch.from_numpy(data[f"{part}_ids"]) for part in ("train", "dev", "test")}
    y = torch.from_numpy(data["train_y"])
    model = Tagger(how, data["table"], data["drawn"], freeze)
    sparse = [p for p in model.tables.parameters() if p.requires_grad]
    dense = [*model.below.parameters(), *model.above.parameters()]
    rate = how["learning_rate_init"]
    optimizers = [torch.optim.SparseAdam(sparse, lr=rate), torch.optim.Adam(dense, lr=rate)]

    def cut(numbers, part):
        ends = np.cumsum(data[f"{part}_lengths"])
        tags = [how["tags"][k] for k in numbers.tolist()]
        return [convert(tags[end - length:end]) for end, length in zip(ends, data[f"{part}_lengths"])]

    def tagged(part):
        model.eval()
        with torch.no_grad():
            numbers = torch.cat([model(chunk).argmax(1) for chunk in ids[part].split(4096)]).numpy()
        model.train()
        return cut(numbers, part)

    true = cut(data["dev_y"], "dev")
    best, kept, waited, seconds = -1.0, None, 0, []
    for _ in range(how["max_iter"]):
        began = time.perf_counter()
        for batch in torch.randperm(len(y)).split(how["batch_size"]):
            loss = torch.nn.functional.cross_entropy(model(ids["train"][batch]), y[batch])
            for optimizer in optimizers:
                optimizer.zero_grad(set_to_none=True)
            loss.backward()
            for optimizer in optimizers:
                optimizer.step()
        seconds.append(time.perf_counter() - began)
        score = entity_f1(true, tagged("dev"))
        waited = 0 if score >= best + how["tol"] else waited + 1
        if score > best:
            best, kept = score, {part: tagged(part) for part in ("dev", "test")}
        if waited > how["n_iter_no_change"]:
            break
    print(json.dumps({"predicted": kept, "epochs": len(seconds), "seconds": float(np.median(seconds))}))


if __name__ == "__main__":
    main()
