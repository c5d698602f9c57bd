"""``python bench/wnut.py FOLDER VECTORS``: named entities of WNUT-17, backproof beside the same network in PyTorch.

Reads   train.conll, dev.conll and test.conll in FOLDER (WNUT-17), word vectors; --peer, a Python that has PyTorch.
Gives   a Markdown table: entity F1 on dev and test over the seeds, counted by seqeval for both, seconds of training an epoch, the
        baseline of each word's most frequent tag.

Both have the same numbers of the same words, the same vectors to start from, layers, distributions of initial values, dropout,
optimizer (lazy Adam on the tables: SparseAdam there), minibatch, epochs at most and rule of stopping: the epoch of the best entity
F1 on dev. Each draws its own initial values, orders and dropout. They take turns, one seed after the other, with one thread each.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

from backproof.data.conll import read_conll
from backproof.data.tags import convert, score_entities
from backproof.data.vectors import read_vectors
from backproof.estimators import WindowTagger
from backproof.word_jobs import baseline

PARTS = ("train", "dev", "test")
SETTINGS = {"window": 5, "channels": ("word", "case"), "hidden_layer_sizes": (100,), "activation": "tanh", "dropout": 0.4,
            "min_count": 2, "channel_dimensions": 10, "learning_rate_init": 1e-3, "batch_size": 64, "max_iter": 15,
            "n_iter_no_change": 3, "tol": 1e-4}


def ours(text, vectors, seed, freeze):
    tagger = WindowTagger(vectors=vectors, early_stopping=True, random_state=seed, freeze_vectors=freeze, threads=1, **SETTINGS)
    tagger.fit(text["train"].sentences, text["train"].tags, eval_set=(text["dev"].sentences, text["dev"].tags))
    return tagger, {"predicted": {part: tagger.predict(text[part].sentences) for part in ("dev", "test")},
                    "epochs": tagger.n_iter_, "seconds": float(np.median(tagger.model_.history["seconds"]))}


def exchange(tagger, text, folder):
    """What the twin reads: numbers of the words, tags, first vectors, sizes."""
    arrays = {f"{part}_ids": tagger._ids(text[part].sentences) for part in PARTS}
    arrays.update({f"{part}_y": tagger._encode([convert(tags) for tags in text[part].tags]) for part in ("train", "dev")})
    arrays.update({f"{part}_lengths": np.array([len(s) for s in text[part].sentences]) for part in PARTS})
    arrays["table"] = tagger.initial_vectors_.vectors
    arrays["drawn"] = np.array([word not in tagger.given for word in tagger.initial_vectors_.words])
    np.savez(folder / "data.npz", **arrays)
    sizes = [len(vocabulary) for vocabulary in tagger.coder_.vocabularies]
    (folder / "settings.json").write_text(json.dumps({**SETTINGS, "tags": tagger.classes_.tolist(), "rows": sizes}))


def theirs(peer, folder, seed, freeze):
    script, source = Path(__file__).with_name("wnut_torch.py"), Path(__file__).parents[1] / "src"
    done = subprocess.run([peer, script, folder, str(seed), "freeze" if freeze else "learn"], capture_output=True, text=True,
                          env={**os.environ, "PYTHONPATH": str(source), "OMP_NUM_THREADS": "1"})
    if done.returncode:
        sys.exit(f"the twin failed:\n{done.stderr[-2000:]}")
    return json.loads(done.stdout)


def scores(text, found):
    return {part: score_entities(text[part].tags, found["predicted"][part])["overall"]["f1"] for part in ("dev", "test")}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("vectors")
    parser.add_argument("--peer", help="a Python with PyTorch; none: ours alone")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--freeze", action="store_true", help="leave the word vectors as they are given")
    asked = parser.parse_args()
    text = {part: read_conll(asked.folder / f"{part}.conll") for part in PARTS}
    met = {token.lower() for part in PARTS for sentence in text[part].sentences for token in sentence}
    vectors = read_vectors(asked.vectors, words=met)                     # rows that no file reads are never touched
    usual = baseline(text["train"])
    plain = {part: score_entities(text[part].tags, usual(text[part].sentences))["overall"]["f1"] for part in ("dev", "test")}
    results = {"backproof": [], "PyTorch": []}
    with tempfile.TemporaryDirectory() as folder:
        for seed in range(asked.seeds):
            tagger, found = ours(text, vectors, seed, asked.freeze)
            results["backproof"].append({**scores(text, found), "epochs": found["epochs"], "seconds": found["seconds"]})
            if seed == 0:
                tagger.given = vectors.lowered()
                exchange(tagger, text, Path(folder))
            if asked.peer:
                found = theirs(asked.peer, folder, seed, asked.freeze)
                results["PyTorch"].append({**scores(text, found), "epochs": found["epochs"], "seconds": found["seconds"]})
            print(json.dumps({name: rows[-1] for name, rows in results.items() if rows}), file=sys.stderr, flush=True)
    print("| | dev F1 | test F1 | epochs | seconds an epoch |\n| --- | --- | --- | --- | --- |")
    for name, rows in results.items():
        if rows:
            column = {key: np.array([row[key] for row in rows]) for key in rows[0]}
            print(f"| {name} | {column['dev'].mean():.4f} ± {column['dev'].std(ddof=1):.4f} | {column['test'].mean():.4f} ± "
                  f"{column['test'].std(ddof=1):.4f} | {column['epochs'].mean():.1f} | {np.median(column['seconds']):.2f} |")
    print(f"| most frequent tag of each word | {plain['dev']:.4f} | {plain['test']:.4f} | | |")


if __name__ == "__main__":
    main()
