"""Makes the models in this folder with fastText itself, and its own answers beside them.

    pip install 'numpy<2' fasttext-wheel==0.9.2
    python make.py

Training is not repeatable to the bit; what is tested is that a model and the answers to it agree.
"""

import random
from pathlib import Path

import fasttext
import numpy as np

HERE = Path(__file__).parent
WORDS = [f"{a}{b}{c}" for a in ("ka", "lo", "mí", "日") for b in ("r", "st", "ñ") for c in ("a", "eth", "o", "um")]
WORDS += [f"w{n}" for n in range(280)]
ASKED = [*WORDS[:40], "</s>", "karum", "日本", "x"]
"""The last three are no words of the models."""


def corpus(path: Path) -> None:
    """Two labels, each with words of its own."""
    draw = random.Random(7)
    with path.open("w", encoding="utf-8") as file:
        for _ in range(600):
            label = draw.choice("ab")
            half = WORDS[::2] if label == "a" else WORDS[1::2]
            file.write(f"__label__{label} {' '.join(draw.choices(half, k=12))}\n")


def main() -> None:
    """Train and save."""
    text = HERE / "corpus.txt"
    corpus(text)
    settings = {"dim": 5, "bucket": 120, "epoch": 2, "thread": 1, "minCount": 1, "verbose": 0}
    models = {
        "supervised": fasttext.train_supervised(str(text), minn=0, maxn=0, **settings),
        "supervised-subwords": fasttext.train_supervised(str(text), minn=2, maxn=3, wordNgrams=2, **settings),
        "skipgram": fasttext.train_unsupervised(str(text), model="skipgram", minn=1, maxn=4, **settings),
    }
    answers = {}
    for name, model in models.items():
        model.save_model(str(HERE / f"{name}.bin"))
        answers[name] = np.array([model.get_word_vector(word) for word in ASKED])
    for name, source, options in (
        ("quantized", "supervised", {"dsub": 2}),
        ("quantized-norms", "supervised", {"dsub": 2, "qnorm": True}),
        ("quantized-subwords", "supervised-subwords", {"dsub": 2, "qnorm": True}),
        ("quantized-pruned", "supervised-subwords", {"dsub": 2, "cutoff": 300, "retrain": False}),
    ):
        model = fasttext.load_model(str(HERE / f"{source}.bin"))
        model.quantize(str(text), **options)
        model.save_model(str(HERE / f"{name}.ftz"))
        answers[name] = np.array([model.get_word_vector(word) for word in ASKED])
    np.savez(HERE / "answers.npz", asked=np.array(ASKED), **answers)
    text.unlink()


if __name__ == "__main__":
    main()
