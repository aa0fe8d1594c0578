"""What vectors are worth in tasks: gensim's own scores, scipy's, and sums done by hand."""

from __future__ import annotations

import gzip
import json
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import qemb as codec
from qemb_tools import UsageError
from qemb_tools.evaluate.analogies import read_analogies, score_analogies
from qemb_tools.evaluate.files import evaluate
from qemb_tools.evaluate.intervals import Paired, wilson
from qemb_tools.evaluate.outliers import Cluster, read_clusters, score_clusters
from qemb_tools.evaluate.similarity import read_pairs, score_pairs, spearman
from qemb_tools.evaluate.table import Table, Vocabulary, open_table
from qemb_tools.evaluate.texts import read_labelled, read_sets

quick = settings(max_examples=60, deadline=None)


def table_of(vectors: dict[str, list[float]]) -> Table:
    matrix = np.array(list(vectors.values()), np.float32)
    return Table(Vocabulary(vectors), lambda rows: matrix[rows])


# --- gensim's answers -----------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def words(gensim_data, tmp_path_factory):
    """A file of most words of gensim's sets, some in several cases, with vectors that answer some of the questions."""
    rng = np.random.default_rng(5)
    sections = read_analogies(str(gensim_data / "questions-words.txt"))
    vectors = {}
    for section in sections:
        step = 2 * rng.normal(size=20)
        for a, b, c, d in section.questions:
            for word, partner in ((a, b), (c, d)):
                base = vectors.setdefault(word, rng.normal(size=20))
                vectors.setdefault(partner, base + step + 0.8 * rng.normal(size=20))
    for name in ("wordsim353.tsv", "simlex999.txt"):
        for word in {word for pair in read_pairs(str(gensim_data / name)).words for word in pair}:
            vectors.setdefault(word, rng.normal(size=20))
    for word in list(vectors)[::7]:
        vectors[word.swapcase()] = vectors[word] + 0.1 * rng.normal(size=20)
    chosen = [word for i, word in enumerate(vectors) if i % 11]
    rng.shuffle(chosen)
    path = tmp_path_factory.mktemp("words") / "words.qemb"
    codec.write(path, chosen, np.array([vectors[word] for word in chosen], np.float32), scheme="float32")
    return path


@pytest.fixture(scope="module")
def keyed(words):
    pytest.importorskip("gensim")
    from gensim.models import KeyedVectors

    keyed = KeyedVectors(20)
    with codec.open(words) as embedding:
        keyed.add_vectors(list(embedding), embedding.matrix())
    return keyed


@pytest.mark.parametrize(("restrict", "fold"), [(300_000, True), (1000, True), (1000, False)])
def test_analogies_are_gensims(gensim_data, words, keyed, restrict, fold):
    path = str(gensim_data / "questions-words.txt")
    asked = read_analogies(path)[:4]  # gensim answers one question at a time
    few = words.with_name("questions.txt")
    few.write_text("".join(
        f": {section.name}\n" + "".join(" ".join(q) + "\n" for q in section.questions[:400]) for section in asked
    ))  # fmt: skip
    score, sections = keyed.evaluate_word_analogies(str(few), restrict_vocab=restrict, case_insensitive=fold)
    with open_table(str(words), restrict=restrict, fold=fold) as table:
        found = score_analogies(table, read_analogies(str(few)))
    assert 0.05 < score < 0.95
    assert found.total.accuracy == score
    assert [(each.name, each.correct, each.found) for each in found.sections] == [
        (each["section"], len(each["correct"]), len(each["correct"]) + len(each["incorrect"])) for each in sections[:-1]
    ]
    assert found.total.found < found.total.questions == sum(len(section.questions[:400]) for section in asked)


@pytest.mark.parametrize("name", ["wordsim353.tsv", "simlex999.txt"])
@pytest.mark.parametrize(("restrict", "fold"), [(300_000, True), (900, False)])
def test_similarity_is_gensims(gensim_data, words, keyed, name, restrict, fold):
    path = str(gensim_data / name)
    _, theirs, unknown = keyed.evaluate_word_pairs(path, restrict_vocab=restrict, case_insensitive=fold)
    with open_table(str(words), restrict=restrict, fold=fold) as table:
        found = score_pairs(table, read_pairs(path))
    assert found.spearman == pytest.approx(theirs[0], abs=1e-6)  # gensim's cosines are float32
    assert 100 * (1 - found.found / found.pairs) == pytest.approx(unknown)
    assert unknown > 0


# --- statistics -----------------------------------------------------------------------------------------------------


@quick
@given(st.lists(st.tuples(st.integers(0, 6), st.integers(0, 6)), max_size=30))
def test_spearman_is_scipys_with_ties(pairs):
    stats = pytest.importorskip("scipy.stats")
    left, right = [a for a, _ in pairs], [b for _, b in pairs]
    if len(set(left)) < 2 or len(set(right)) < 2:
        assert math.isnan(spearman(left, right))
    else:
        assert spearman(left, right) == pytest.approx(stats.spearmanr(left, right)[0], abs=1e-12)


@quick
@given(st.integers(1, 5000), st.data())
def test_wilsons_interval_is_scipys(count, data):
    stats = pytest.importorskip("scipy.stats")
    right = data.draw(st.integers(0, count))
    theirs = stats.binomtest(right, count).proportion_ci(0.95, "wilson")
    assert wilson(right, count) == pytest.approx((theirs.low, theirs.high), abs=1e-12)


@quick
@given(st.integers(0, 300), st.integers(0, 300), st.integers(0, 2000))
def test_mcnemars_test_is_the_binomial_one(gained, lost, same):
    stats = pytest.importorskip("scipy.stats")
    paired = Paired(gained, lost, gained + lost + same + 1)
    theirs = stats.binomtest(gained, gained + lost).pvalue if gained + lost else 1
    assert paired.p == pytest.approx(theirs, rel=1e-9)
    low, high = paired.interval
    assert low < paired.difference * paired.count / (paired.count + 2) < high
    assert Paired(lost, gained, paired.count).interval == pytest.approx((-high, -low))


def test_paired_interval_covers_the_true_difference_as_often_as_it_says():
    rng = np.random.default_rng(3)
    inside = 0
    for _ in range(2000):
        kinds = rng.choice(4, 500, p=[0.70, 0.06, 0.04, 0.20])  # both, only second, only first, neither
        low, high = Paired.of(np.isin(kinds, [0, 2]), np.isin(kinds, [0, 1])).interval
        inside += low <= 0.02 <= high
    assert 0.935 < inside / 2000 < 0.97


# --- outliers -------------------------------------------------------------------------------------------------------

HAND = {"a": [1, 0], "b": [4, 3], "c": [3, 4], "near": [0, 1], "far": [0, -2], "new": [1, 0], "york": [0, 1]}


def test_outliers_by_hand():
    # cosines: ab 0.8, ac 0.6, bc 0.96; near: a 0, b 0.6, c 0.8; far: a 0, b -0.6, c -0.8
    # with near: a 1.4, b 2.36, c 2.36, near 1.4: b and c are more at home, a is not, so position 2 of 3
    # with far: a 1.4, b 1.16, c 0.76, far -1.4: position 3 of 3, detected
    found = score_clusters(table_of(HAND), [Cluster("hand", ["a", "b", "c"], ["near", "far", "nowhere"])])
    assert found.accuracy == 1 / 2
    assert found.opp == pytest.approx((2 / 3 + 1) / 2)
    assert (found.found, found.questions, found.missing) == (2, 3, ["nowhere"])


def test_phrases_are_means_of_their_words_where_they_are_no_words():
    # new york is (1, 1) over its norm, which is between b and c
    split = score_clusters(table_of(HAND), [Cluster("x", ["b", "c", "New_York"], ["far"])])
    assert split.missing == []
    assert split.accuracy == 1
    whole = score_clusters(table_of({**HAND, "New York": [0, -1]}), [Cluster("x", ["b", "c", "New_York"], ["a"])])
    assert whole.accuracy == 0


def test_a_cluster_of_which_one_word_remains_is_not_asked():
    found = score_clusters(table_of(HAND), [Cluster("x", ["a", "nowhere"], ["far"])])
    assert (found.accuracy, found.opp, found.found, found.questions) == (None, None, 0, 1)


@quick
@given(st.integers(2, 8), st.integers(1, 8), st.integers(0, 2**32 - 1))
def test_the_outlier_is_last_where_leaving_it_out_leaves_the_most_compact_cluster(members, outliers, seed):
    names = [f"w{i}" for i in range(members + outliers)]
    vectors = np.random.default_rng(seed).normal(size=(len(names), 5))
    found = score_clusters(
        table_of(dict(zip(names, vectors.tolist(), strict=True))), [Cluster("x", names[:members], names[members:])]
    )
    detected, positions = 0, 0
    unit = vectors.astype(np.float32) / np.linalg.norm(vectors.astype(np.float32).astype(float), axis=1, keepdims=True)
    for outlier in range(members, len(names)):
        group = [*range(members), outlier]
        compact = [  # the paper's equation 1, word by word
            np.mean([unit[i] @ unit[j] for i in group for j in group if i != j and left not in (i, j)])
            for left in group
        ]
        position = sum(each < compact[-1] for each in compact[:-1])
        positions += position / members
        detected += position == members
    if members > 2:  # of two, one pair remains whichever is left out, and rounding decides ties
        assert found.accuracy == detected / outliers
        assert found.opp == pytest.approx(positions / outliers)


def test_clusters_are_read_from_a_file_or_a_folder(tmp_path):
    (tmp_path / "one.txt").write_text("a\nb\r\n\n\nc d\ne\n\n")
    (tmp_path / "two.txt").write_text("x\ny\nz\n \nw\n")
    one = Cluster("one", ["a", "b"], ["c d", "e"])
    assert read_clusters(str(tmp_path / "one.txt")) == [one]
    assert read_clusters(str(tmp_path)) == [one, Cluster("two", ["x", "y", "z"], ["w"])]


# --- texts ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("two.tsv", 'a "good film\t1\na bad film\t0\n'),
        ("three.tsv", '17\t1\ta "good film\n18\t0\ta bad film\n19\t0\ta bad film\n'),
        ("headed.tsv", 'Review\tLabel\na "good film\t1\na bad film\t0\n'),
        ("quoted.csv", 'id,sentiment,text\n1,1,"a ""good film"\n2,0,a bad film\n3,0,a bad film\n'),
        ("class.tsv", 'a "good film\t1\na bad film\t0\na class film\tclass\na class film\tclass\n'),
        ("marked.tsv", '\ufeffa "good film\t1\r\na bad film\t0\r\n\r\n'),
    ],
)
def test_columns_of_texts_and_labels_are_told_apart(tmp_path, name, text):
    (tmp_path / name).write_bytes(text.encode())
    (tmp_path / f"{name}.gz").write_bytes(gzip.compress(text.encode()))
    for path in (tmp_path / name, tmp_path / f"{name}.gz"):
        found = read_labelled(str(path))
        assert found.texts[:2] == ['a "good film', "a bad film"]
        assert found.labels[:2] == ["1", "0"]


def test_class_folders(tmp_path):
    for label, text in (("pos", b"good"), ("neg", b"bad\xff")):
        (tmp_path / label).mkdir()
        (tmp_path / label / "1.txt").write_bytes(text)
    found = read_labelled(str(tmp_path))
    assert (found.texts, found.labels) == (["bad\ufffd", "good"], ["neg", "pos"])


def test_the_split_is_a_fifth_of_each_class_and_the_seeds_own(tmp_path):
    (tmp_path / "a.tsv").write_text("".join(f"text number {i}\t{'x' if i % 4 else 'y'}\n" for i in range(100)))
    train, test = read_sets(str(tmp_path / "a.tsv"))
    assert sorted(train.texts + test.texts) == sorted(f"text number {i}" for i in range(100))
    assert (test.labels.count("x"), test.labels.count("y")) == (15, 5)
    assert read_sets(str(tmp_path / "a.tsv")) == (train, test)
    assert read_sets(str(tmp_path / "a.tsv"), seed=1)[1] != test


# --- errors ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("read", "text", "message"),
    [
        (
            read_pairs,
            b"# x\na\tb\t1\n\na b\n",
            "line 4: word, tab, word, tab, score is expected; the line has 2 fields",
        ),
        (read_pairs, b"word 1\tword 2\tscore\n", "line 1: the score 'score' is no number; put # before a line that is"),
        (read_pairs, b"a\tb\tnan\n", "line 1: the score 'nan' is no number"),
        (read_pairs, b"# x\n", "set: the set is empty; lines of word, tab, word, tab, score are expected"),
        (read_pairs, b"a\tb\t1\n\xff\tb\t1\n", "line 2: this is not UTF-8 (invalid start byte); convert the file"),
        (read_analogies, b"a b c d\n", "line 1: a line with a colon and a section's name has to come first"),
        (read_analogies, b": x\na b c\n", "line 2: four words are expected, or a colon and a section; there are 3"),
        (read_analogies, b": x\n", "set: there is no question"),
        (
            read_clusters,
            b"a\nb\n",
            "set: two words or more, an empty line and outliers are expected; there are 2 lines",
        ),
        (read_clusters, b"a\nb\n\nc\n\nd\n", "there are 2 and 1 and 1 lines"),
        (read_labelled, b"", "set: it is empty; lines of a label and a text are expected, with a tab between"),
        (read_labelled, b"a text\n", "line 1: a label and a text with a tab between are expected; the line has 1"),
        (read_labelled, b"a\t1\nb\n", "line 2: 2 fields, as the first line has, are expected; the line has 1"),
        (read_sets, b"a\t1\nb\t1\n", "set: texts of two classes or more are expected; all have one label"),
        (read_sets, b"a long\t1\nb long\t2\n", "set: nothing is left to test on; name a test set as TRAIN,TEST"),
    ],
)
def test_bad_sets_get_one_line(tmp_path, read, text, message):
    (tmp_path / "set").write_bytes(text)
    with pytest.raises(codec.InvalidError) as caught:
        read(str(tmp_path / "set"))
    where, _, told = message.partition(": ")
    assert told in str(caught.value) or message in str(caught.value)
    assert where in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1


def test_a_csv_that_ends_in_quotes_is_refused(tmp_path):
    (tmp_path / "a.csv").write_text('1,text\n0,"text\n')
    with pytest.raises(codec.InvalidError, match=r"the CSV is damaged .*line 2"):
        read_labelled(str(tmp_path / "a.csv"))


# --- files side by side ---------------------------------------------------------------------------------------------


@pytest.fixture
def sets(tmp_path):
    """Files of 80 words around two centres, and a set of each kind that they do well on."""
    rng = np.random.default_rng(6)
    centres = 3 * rng.normal(size=(2, 8))
    names = [f"w{i}" for i in range(80)]
    vectors = (centres[np.arange(80) % 2] + rng.normal(size=(80, 8))).astype(np.float32)
    with (tmp_path / "words.txt").open("w") as file:
        for name, vector in zip(names, vectors, strict=True):
            print(name, *(f"{value:.6f}" for value in vector), file=file)
    matrix = np.array([line.split()[1:] for line in (tmp_path / "words.txt").read_text().splitlines()], np.float32)
    codec.write(tmp_path / "words.qemb", names, matrix, bits=2)
    unit = matrix / np.linalg.norm(matrix, axis=1, keepdims=True)
    pairs = "".join(f"w{i}\tW{i + 1}\t{unit[i] @ unit[i + 1]}\n" for i in range(40))
    (tmp_path / "pairs.tsv").write_text(f"# pairs\n{pairs}w1\tnowhere\t3\n")
    (tmp_path / "cluster.txt").write_text("w0\nw2\nw4\nw6\n\nw1\nw3\n")
    texts = [
        f"w{rng.integers(40) * 2 + i % 2}, w{rng.integers(80)}!\t{'odd' if i % 2 else 'even'}\n" for i in range(300)
    ]
    (tmp_path / "train.tsv").write_text("".join(texts[:200]))
    (tmp_path / "test.tsv").write_text("".join(texts[200:]))
    (tmp_path / "strange.tsv").write_text("w0 w1\todd\nw2 w1\tstrange\n")
    (tmp_path / "questions.txt").write_text(": one\nw0 w1 w2 w3\nw0 w1 w2 w1\n: two\nw0 w1 w2 nowhere\n")
    return tmp_path


ALL = ("--similarity", "pairs.tsv", "--outliers", "cluster.txt", "--analogies", "questions.txt")


def test_a_column_for_each_file(qemb, sets):
    pytest.importorskip("sklearn")
    printed = qemb("evaluate", "words.txt", "words.qemb", *ALL, "--classify", "train.tsv,test.tsv").stdout
    lines = {line.partition("  ")[0] or line.strip().partition("  ")[0]: line for line in printed.splitlines()}
    assert printed.splitlines()[0].split() == ["words.txt", "words.qemb"]
    assert lines["pairs, Spearman"].split()[-2] == "1.0000"
    assert lines["pairs found"].split() == ["pairs", "found", *["40", "of", "41"] * 2]
    assert lines["outliers detected"].split()[-4:-2] == ["100.00", "%"]
    assert lines["train.tsv,test.tsv, accuracy"].endswith("%")
    assert "not in words.txt, of pairs: nowhere" in lines
    assert "not in words.qemb, of analogies: nowhere" in lines
    assert [line for line in printed.splitlines() if line != line.rstrip()] == []


def test_json_has_the_same_and_the_pairing(qemb, sets):
    pytest.importorskip("sklearn")
    plain, packed = json.loads(
        qemb("evaluate", "words.txt", "words.qemb", *ALL, "--classify", "train.tsv,test.tsv", "--json").stdout
    )
    assert (plain["rows"], plain["dim"], plain["size"]) == (80, 8, (sets / "words.txt").stat().st_size)
    assert plain["similarity"][0]["spearman"] == pytest.approx(1)
    assert plain["similarity"][0]["missing"] == ["nowhere"]
    assert packed["similarity"][0]["spearman"] < 1
    assert [(each["name"], each["found"], each["questions"]) for each in plain["analogies"]["sections"]] == [
        ("one", 2, 2), ("two", 0, 1),
    ]  # fmt: skip
    assert plain["analogies"]["sections"][1]["accuracy"] is None
    first, second = plain["classify"][0], packed["classify"][0]
    assert (first["gained"], first["lost"], first["difference"], first["mcnemar_p"]) == (0, 0, 0, 1)
    assert first["tested"] == 100
    assert first["wilson_95"] == pytest.approx(wilson(round(100 * first["accuracy"]), 100))
    assert second["accuracy"] - first["accuracy"] == pytest.approx(second["difference"])
    assert second["difference_95"][0] < second["difference"] < second["difference_95"][1]


def test_accuracy_is_that_of_scikit_learn_over_means_done_by_hand(sets):
    pytest.importorskip("sklearn")
    from sklearn.linear_model import LogisticRegression
    from sklearn.preprocessing import StandardScaler

    (result,) = evaluate([str(sets / "words.qemb")], texts=[f"{sets / 'train.tsv'},{sets / 'test.tsv'}"])
    with codec.open(sets / "words.qemb") as embedding:
        means, labels = [], []
        for name in ("train.tsv", "test.tsv"):
            lines = [line.split("\t") for line in (sets / name).read_text().splitlines()]
            texts = [text.replace(",", "").replace("!", "").split() for text, _ in lines]
            means.append(np.array([embedding[text].mean(axis=0) for text in texts]))
            labels.append([label for _, label in lines])
    scaler = StandardScaler().fit(means[0])
    model = LogisticRegression(max_iter=1000).fit(scaler.transform(means[0]), labels[0])
    (classified,) = result.classified.values()
    assert classified.accuracy == model.score(scaler.transform(means[1]), labels[1])
    assert 0.6 < classified.accuracy < 1


def test_texts_in_tokens_are_cut_at_spaces_alone(sets):
    pytest.importorskip("sklearn")
    codec.write(sets / "marks.qemb", ["w0,", "w1,", "w0", "w1"], np.eye(4, dtype=np.float32), scheme="float32")
    (sets / "marks.tsv").write_text("W0, w0, w0,\tx\nw1, w1, w1,\ty\n" * 10)
    (result,) = evaluate([str(sets / "marks.qemb")], texts=[str(sets / "marks.tsv")], whitespace=True)
    assert next(iter(result.classified.values())).accuracy == 1


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        ((), 2, "name what to evaluate on: --similarity, --analogies, --outliers or --classify"),
        (("--similarity", "nowhere.tsv"), 2, "nowhere.tsv does not exist; check the name"),
        (("--similarity", "questions.txt"), 1, "questions.txt, line 1"),
        (("--classify", "train.tsv,strange.tsv"), 1, "is not among those of train.tsv; check the columns"),
        (("--restrict", "-1", "--similarity", "pairs.tsv"), 2, "--restrict and --seed are 0 or more"),
    ],
)
def test_what_is_wrong_is_said_in_a_line(qemb, sets, arguments, code, message):
    assert message in qemb("evaluate", "words.qemb", *arguments, code=code).stderr


def test_vectors_that_are_not_finite_are_refused(qemb, sets):
    codec.write(sets / "nan.qemb", ["w0", "w1"], [[np.nan, 1], [1, 2]], scheme="float32")
    told = qemb("evaluate", "nan.qemb", "--classify", "train.tsv,test.tsv", code=1).stderr
    assert "vectors of some words are not finite; nothing can be learned from them (nan.qemb" in told


def test_a_table_from_standard_input(qemb, sets):
    piped = json.loads(qemb("evaluate", "-", *ALL, "--json", stdin=(sets / "words.txt").read_bytes()).stdout)[0]
    named = json.loads(qemb("evaluate", "words.txt", *ALL, "--json").stdout)[0]
    for each in (piped, named):
        assert each.pop("size") > 0
        each.pop("file")
    assert piped == named


def test_scikit_learn_is_asked_for_by_its_extra(monkeypatch):
    monkeypatch.setattr("qemb_tools.evaluate.classify.find_spec", lambda name: None)
    with pytest.raises(UsageError, match=r'scikit-learn.*pip install "qemb-format\[sklearn\]"'):
        evaluate(["nowhere"], texts=["nowhere"])


@quick
@given(st.lists(st.sampled_from(["a", "A", "b", "B", "ß", "SS", "c"]), unique=True, min_size=1), st.booleans())
def test_the_first_of_words_that_count_as_one_stands_for_them(words, fold):
    vocabulary = Vocabulary(words, fold=fold)
    for row, word in enumerate(words):
        same = [i for i, other in enumerate(words) if (other.upper() == word.upper() if fold else other == word)]
        assert vocabulary.row(word) == same[0] == vocabulary.first(row)
        assert vocabulary.same(same[0]) == same
