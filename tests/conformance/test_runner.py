"""The command: what it prints, writes and returns for implementations that are right, wrong, and worse."""

from __future__ import annotations

import json
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from qemb_conformance import cli

ROOT = Path(__file__).parents[2]
CORPUS = ROOT / "conformance"
SPEC = CORPUS / "implementations" / "spec-decoder" / "qemb_spec.py"
RIGHT = f"python {SPEC}"
PRELUDE = f"""
import json, os, sys, time
sys.path[:0] = [{str(SPEC.parent)!r}, {str(CORPUS / "generator")!r}]
"""
DECODE = """
import qemb_spec
data = sys.stdin.buffer.read()
try:
    answer, code = qemb_spec.answer(data), 0
except qemb_spec.Rejected as error:
    answer, code = {"error": error.code}, 1
"""
END = """
print(json.dumps(answer))
sys.exit(code)
"""


@pytest.fixture
def adapter(tmp_path):
    """A decoder that is right but for what ``body`` does to ``answer`` and ``code``."""

    def write(body="", *, whole=False):
        path = tmp_path / f"adapter{len(list(tmp_path.iterdir()))}.py"
        path.write_text(PRELUDE + (body if whole else DECODE + body + END), encoding="utf-8")
        return f"python {path}"

    return write


@pytest.fixture
def run(capsys):
    """Run the command: exit code, and what it printed."""

    def command(*arguments):
        try:
            code = cli.main([str(argument) for argument in arguments])
        except SystemExit as stop:
            code = stop.code
        printed = capsys.readouterr()
        return code, printed.out, printed.err

    return command


# --- results ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("way", [[], ["--jsonl"], ["--jobs", "1"]])
def test_a_decoder_that_is_right(run, way):
    code, out, err = run("--decoder", RIGHT, "--only", "valid/linear/bits-0*", "--only", "invalid/invalid.dim/*", *way)
    assert (code, err) == (0, "")
    assert "FAIL" not in out
    table = {line.split()[0]: line.split()[1:] for line in out.splitlines() if line}
    good, bad = int(table["valid/linear"][0]), int(table["invalid"][0])
    assert table["valid/linear"][1:] == [f"{good}/{good}", f"{good}/{good}", "-", "-"]
    assert table["invalid"][1:] == [f"{bad}/{bad}", "-", f"{bad}/{bad}", "-"]
    assert table["all"][:2] == [str(good + bad), f"{good + bad}/{good + bad}"]


def test_verdict_and_code_are_scored_apart(run, adapter):
    body = "if code: answer = {'error': 'invalid.dim'}"
    code, out, _ = run("--decoder", adapter(body), "--only", "invalid/invalid.[cd]*/*", "--only", "valid/order/*")
    rows = {
        line.split()[0]: line.split()[1:] for line in out.splitlines() if re.match(r"(valid|invalid)\S*/|all ", line)
    }
    assert code == 1
    _, verdict, answer, scored, _ = rows["invalid/invalid.counts"]
    assert verdict.split("/")[0] == verdict.split("/")[1]
    assert (answer, scored.split("/")[0]) == ("-", "0")
    assert "invalid, all else" in out
    assert rows["valid/order"][1] == rows["valid/order"][2]


def test_a_difference_in_full(run, adapter):
    body = """
if code == 0:
    flipped = int(answer["vectors"][1][2], 16) ^ 1 << 31
    answer["vectors"][1][2] = f"{flipped:08x}"
"""
    code, out, _ = run("--decoder", adapter(body), "--only", "valid/bases/linear")
    assert code == 1
    assert "FAIL valid/bases/linear: the answer differs" in out
    expected = json.loads((CORPUS / "valid/bases/linear.json").read_text())["vectors"][1][2]
    other = f"{int(expected, 16) ^ 1 << 31:08x}"
    assert re.search(rf"vectors\[1\]\[2\] +{expected} = \S+ +\| {other} = ", out)
    assert "guards against: " in out
    assert "file: " in out
    again = next(line for line in out.splitlines() if line.startswith("  again: "))
    assert "--only valid/bases/linear" in again
    # a clause that the case names, with its text and a link that leads there
    requirement, link = re.search(r"^  (QEMB-\S+)  (\S+)$", out, re.MULTILINE).groups()
    text = next(r["text"] for r in json.loads((ROOT / "spec/requirements.json").read_text())["requirements"]
                if r["id"] == requirement)  # fmt: skip
    assert text in " ".join(out.split())
    page, _, anchor = link.partition("#")
    headings = re.findall(r"^#+ (.*)$", Path(page).read_text(encoding="utf-8"), re.MULTILINE)
    assert anchor in {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_every_requirement_of_the_corpus_has_a_place_in_the_specification():
    from qemb_conformance.cases import load_corpus
    from qemb_conformance.clauses import find_clause

    anchors = {
        re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-")
        for heading in re.findall(r"^#+ (.*)$", (ROOT / "spec/qemb.md").read_text(encoding="utf-8"), re.MULTILINE)
    }
    for requirement in {name for case in load_corpus(CORPUS).cases for name in case.requirements}:
        clause = find_clause(CORPUS, requirement)
        assert clause.text, requirement
        assert clause.link.partition("#")[2] in anchors


def test_a_difference_in_a_long_array_is_found_by_the_spec_decoder(run, adapter):
    body = """
if code == 0:
    answer["vectors"][-1][-2] = "7f800000"
"""
    code, out, _ = run("--decoder", adapter(body), "--only", "valid/ieee/float32-dim-300")
    stored = json.loads((CORPUS / "valid/ieee/float32-dim-300.json").read_text())
    last = int(stored["header"]["rows"]) - 1
    assert code == 1
    assert "sha256" in stored["vectors"]
    assert re.search(rf"vectors\[{last}\]\[298\] +[0-9a-f]{{8}} = \S+ +\| 7f800000 = inf", out)


def test_no_more_than_so_many_failures_are_shown(run, adapter):
    crash = adapter("os._exit(7)", whole=True)
    code, out, _ = run("--decoder", crash, "--only", "valid/order/*", "--max-differences", "2")
    assert code == 1
    assert out.count("FAIL valid/") == 2
    assert "crash: exit code 7" in out
    assert re.search(r"and \d+ more failures", out)


def test_an_implementation_that_never_answers_is_given_up(run, adapter):
    sleeps = adapter("time.sleep(1000)", whole=True)
    code, out, _ = run("--decoder", sleeps, "--only", "valid/[lo]*", "--timeout", "0.2", "--max-differences", "100")
    assert code == 1
    assert out.count("no answer within 0.2 s") < 5 + 2 * 8  # those that run at that time are waited for
    assert "not tried, after 5 cases in a row without an answer" in out
    assert re.search(r"[1-9]\d* not tried, since it did not answer 5 in a row", out.splitlines()[-1])


def test_a_failure_is_about_the_key_that_differs(run, adapter):
    """Rows of the protocol for the keys, no requirement of values where none differs; each text once a run."""
    wrong = adapter("if code == 0: del answer['lookups']")
    code, out, _ = run("--decoder", wrong, "--only", "valid/bases/linear", "valid/bases/ieee")
    assert code == 1
    assert out.count("  lookups  ") == 4  # a difference and a link, twice
    assert out.count("for each token, then for each query, the row that a search finds") == 1
    assert "QEMB-LIN-01" not in out
    code, out, _ = run("--decoder", adapter("if code == 0: answer['vectors'] = []"), "--only", "valid/bases/linear")
    assert "QEMB-LIN-01" in out


def test_what_a_decoder_complains_of_is_shown_from_both_ends(run, adapter):
    lines = ["thread 'main' panicked at src/main.rs:3:5:", "index out of bounds", "note: RUST_BACKTRACE=1"]
    body = "sys.stderr.write('\\n'.join(sys.argv[1].split('|')))\nsys.exit(101)"
    only = ["--only", "valid/bases/linear"]
    _, out, _ = run("--decoder", f'{adapter(body, whole=True)} "{"|".join(lines)}"', *only)
    assert "  it said: " + "\n           ".join(lines) in out
    many = "|".join(str(number) for number in range(9))
    _, out, _ = run("--decoder", f"{adapter(body, whole=True)} '{many}'", *only)
    assert "  it said: " + "\n           ".join([*"0123", "...", *"78"]) in out


@pytest.mark.parametrize("options", [["--jsonl"], ["--timeout", "7"], ["--profile", "core"], ["--corpus", str(CORPUS)]])
def test_again_has_the_options(run, adapter, options):
    _, out, _ = run("--decoder", adapter("code = 9"), "--only", "valid/bases/linear", *options)
    again = next(line for line in out.splitlines() if line.startswith("  again: "))
    assert f" {shlex.join(options)}" in again
    assert "again: " not in run("--decoder", RIGHT, "--only", "valid/bases/linear", *options)[1]


@pytest.mark.parametrize(
    "only",
    ["valid/bases", "valid/bases/", CORPUS / "valid/bases", "valid/bases/*", "conformance/valid/bases/*.qemb"],
)
def test_only_takes_folders_and_files(run, only, monkeypatch):
    monkeypatch.chdir(ROOT)
    cases = len(list((CORPUS / "valid/bases").glob("*.qemb")))
    _, out, _ = run("--decoder", RIGHT, "--jsonl", "--only", only, "conformance/valid/linear/bits-01.qemb")
    assert f"{cases + 1} of {cases + 1} cases pass" in out


def test_profiles_and_features(run, adapter):
    body = """
if code == 0 and "transform" in answer:
    answer, code = {"unsupported": "transform"}, 2
"""
    lacking = adapter(body)
    code, out, _ = run("--decoder", lacking, "--only", "valid/bases/*", "--profile", "core")
    assert code == 0
    row = re.search(r"^all +(\d+) +\d+/(\d+) .* ([1-9])$", out, re.MULTILINE)
    cases, asked, left = map(int, row.groups())
    assert asked + left == cases
    assert f"good: {asked} of {asked} asked pass ({left} not asked), profile core" in out
    code, out, _ = run("--decoder", lacking, "--only", "valid/bases/*", "--profile", "full")
    assert code == 1
    assert "unsupported 'transform', which profile full asks for" in out


def test_what_was_not_asked_is_no_point(run, adapter, tmp_path):
    """Two good files that core is not asked for are left, and the third is wrong: that is 0 of 1."""
    body = "answer, code = ({'unsupported': 'product'}, 2) if answer['quantization']['level'] == '2' else ({}, 9)"
    only = ["--only", "valid/bases/product*", "--only", "valid/bases/linear"]
    options = ["--profile", "core", "--badge", tmp_path / "badge.json", "--json", tmp_path / "report.json"]
    code, out, _ = run("--decoder", adapter(body), *only, *options)
    (report,) = json.loads((tmp_path / "report.json").read_text())
    assert code == 1
    assert report["cases"] > report["asked"] == 1
    assert f"FAILED: 0 of 1 asked pass ({report['cases'] - 1} not asked)" in out
    assert json.loads((tmp_path / "badge.json").read_text())["message"] == "0/1"


def test_an_implementation_of_nothing_is_not_good(run, adapter):
    lacking = adapter("answer, code = {'unsupported': 'product'}, 2")
    code, out, _ = run("--decoder", lacking, "--only", "valid/product/*", "--profile", "core")
    assert code == 1
    assert re.search(r"FAILED: 0 of 0 asked pass \(\d+ not asked\)", out)


# --- expected failures ------------------------------------------------------------------------------------------------


def test_expected_failures_cannot_rot(run, adapter, tmp_path):
    wrong = adapter("if code == 0 and answer['header']['rows'] == '0': code = 5")
    listed = tmp_path / "known.txt"
    options = ["--decoder", wrong, "--only", "valid/bases/*", "--expected-failures", listed]
    assert run(*options[:4])[0] == 1

    listed.write_text("# empty tables crash\nvalid/bases/noughts  # division by rows\n\n")
    code, out, _ = run(*options, "--junit", tmp_path / "junit.xml")
    assert code == 0
    assert "1 of 1 expected failures fail" in out
    suite = ET.parse(tmp_path / "junit.xml").find("testsuite")  # noqa: S314
    assert (suite.get("failures"), suite.get("skipped")) == ("0", "1")

    listed.write_text("valid/bases/noughts\nvalid/bases/linear\n")
    code, out, _ = run(*options)
    assert code == 1
    assert "FAIL valid/bases/linear: it passes, and is on the list of expected failures: strike it off" in out
    assert "1 of them pass: valid/bases/linear" in out.splitlines()[-1]

    listed.write_text("valid/bases/nought*  # empty\n")
    assert run(*options)[0] == 0
    listed.write_text("valid/bases/n*\nvalid/bases/lin*\n")
    code, out, _ = run(*options)
    assert code == 1
    assert "1 of them pass: valid/bases/linear" in out
    listed.write_text("valid/nowhere/*\n")
    assert "'valid/nowhere/*'" in run(*options)[2]

    listed.write_text("valid/bases/noughts\nvalid/bases/nothing\n")
    code, out, err = run(*options)
    assert (code, out) == (2, "")
    assert "'valid/bases/nothing'" in err

    # a case that is not run this time does not count
    listed.write_text("valid/bases/noughts\nvalid/linear/bits-01\n")
    assert run(*options)[0] == 0


# --- reports ----------------------------------------------------------------------------------------------------------


def test_reports(run, adapter, tmp_path):
    body = "if code == 0: answer['tokens'] = ['\\x00\\ud800\\x1b<&>\"'] * 3\nsys.stderr.write('\\x00\\x07')"
    options = ["--junit", tmp_path / "j.xml", "--json", tmp_path / "r.json", "--badge", tmp_path / "b.json"]
    code, _, _ = run("--decoder", adapter(body), "--only", "valid/bases/*", "--only", "invalid/invalid.dim/*", *options)
    assert code == 1
    root = ET.parse(tmp_path / "j.xml").getroot()  # noqa: S314 - well-formed, whatever the adapter printed
    (suite,) = root
    cases = suite.findall("testcase")
    assert root.tag == "testsuites"
    assert int(suite.get("tests")) == len(cases)
    assert int(suite.get("failures")) == len(suite.findall("testcase/failure")) > 5
    assert (suite.get("errors"), suite.get("skipped")) == ("0", "0")
    failure = suite.find("testcase[@name='valid/bases/linear']/failure")
    assert failure.get("message") == "the answer differs"
    assert "tokens[0]: expected 61" in failure.text
    assert "QEMB-" in failure.text

    (report,) = json.loads((tmp_path / "r.json").read_text())
    by_id = {result["id"]: result for result in report["results"]}
    assert report["good"] is False
    assert report["passed"] == len(cases) - int(suite.get("failures"))
    assert by_id["valid/bases/linear"]["verdict"] is True
    assert by_id["valid/bases/linear"]["precise"] is False
    assert by_id["valid/bases/linear"]["differences"][1]["expected"].startswith("61 = ")

    badge = json.loads((tmp_path / "b.json").read_text())
    message = f"{report['passed']}/{len(cases)}"
    assert badge == {"schemaVersion": 1, "label": "qemb full", "message": message, "color": "red"}


# --- what is wrong with the command -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--decoder", "no-such-program"], "no program 'no-such-program'"),
        (["--decoder", ""], "a command is empty"),
        (["--decoder", RIGHT, "--only", "valid/nowhere/*"], "no case matches valid/nowhere/*"),
        (["--decoder", RIGHT, "--corpus", "/"], "holds no manifest.json"),
        (["--decoder", RIGHT, "--expected-failures", "/nowhere"], "/nowhere"),
        (["--decoder", RIGHT, "--profile", "everything"], "invalid choice"),
        (["--decoder", RIGHT, "--timeout", "0"], "--timeout: 0 is no number of seconds above 0"),
        (["--decoder", RIGHT, "--timeout", "x"], "--timeout: 'x' is no number of seconds"),
        (["--decoder", RIGHT, "--jobs", "0"], "--jobs: 0 is not 1 or more"),
        (["--decoder", RIGHT, "--random", "x"], "--random: 'x' is no whole number"),
        (["--decoder", RIGHT, "--seed", "1"], "--seed and --keep go with --random N"),
        (["--decoder", RIGHT, "--random", "1", "--keep", RIGHT.split()[1]], "--keep takes a folder"),
        (["--decoder", "no-shell < x"], "'<' means nothing"),
        (["--decoder", RIGHT, "--json", "/nowhere/x.json"], "its folder is not there"),
        (["--decoder", RIGHT, "--only", "linear"], "an id is such as valid/bases/linear"),
        (["--all", "--decoder", RIGHT], "--all"),
        (["--implementation", "nobody"], "no implementation 'nobody'"),
        (["--decoder", RIGHT, "--only", "valid/bases/linear", "--junit", "/nowhere/x.xml"], "/nowhere/x.xml"),
    ],
)
def test_wrong_commands(run, arguments, said):
    code, _, err = run(*arguments)
    assert code == 2
    assert said in err
    assert len(err.splitlines()) == 1


@pytest.fixture
def corpus(tmp_path):
    """A corpus of two cases, to be damaged."""
    folder = tmp_path / "corpus"
    manifest = json.loads((CORPUS / "manifest.json").read_text())
    manifest["cases"] = [case for case in manifest["cases"] if case["id"] in {"valid/bases/linear", "valid/bases/ieee"}]
    for case in manifest["cases"]:
        for name in (case["file"], case["expected"]):
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(CORPUS / name, folder / name)
    (folder / "manifest.json").write_text(json.dumps(manifest))
    return folder


def test_a_corpus_elsewhere(run, corpus):
    code, out, _ = run("--decoder", RIGHT, "--corpus", corpus)
    assert code == 0
    assert "2 of 2 cases pass" in out


def test_a_corpus_that_is_damaged(run, corpus):
    file = corpus / "valid/bases/linear.qemb"
    file.write_bytes(file.read_bytes().replace(b"\r\n", b"\n"))
    code, _, err = run("--decoder", RIGHT, "--corpus", corpus)
    assert code == 2
    assert "its SHA-256 differs; was it checked out as text?" in err
    file.unlink()
    assert "the clone is not complete" in run("--decoder", RIGHT, "--corpus", corpus)[2]
    (corpus / "manifest.json").write_text("[]")
    assert "is not a manifest" in run("--decoder", RIGHT, "--corpus", corpus)[2]


def test_failures_without_the_specification_beside_the_corpus(run, corpus, adapter):
    code, out, _ = run("--decoder", adapter("code = 9"), "--corpus", corpus)
    assert code == 1
    assert re.search(r"^  QEMB-\S+$", out, re.MULTILINE)


# --- random files -----------------------------------------------------------------------------------------------------


def test_random_files(run, adapter):
    code, out, _ = run("--decoder", RIGHT, "--random", "12", "--seed", "5")
    assert code == 0
    assert re.search(r"^random/5 +12 +12/12 +12/12", out, re.MULTILINE)
    body = "if answer['header']['rows'] != '0': answer['vectors'][0][0] = 'x'"
    code, out, _ = run("--decoder", adapter(body), "--random", "12", "--seed", "5")
    assert code == 1
    # one of them alone is the same file, and fails the same
    name = re.search(r"^FAIL (random/5/\d+): (.*)$", out, re.MULTILINE)
    code, alone, _ = run("--decoder", adapter(body), "--random", "12", "--seed", "5", "--only", name[1])
    assert code == 1
    assert name[0] in alone
    assert "0 of 1 cases pass" in alone


def test_random_files_that_fail_are_kept(run, adapter, tmp_path):
    wrong = adapter("if answer['header']['rows'] != '0': answer['vectors'][0][0] = 'x'")
    random = ["--random", "4", "--seed", "5"]
    folder = tmp_path / "kept"
    assert run("--decoder", RIGHT, *random, "--keep", folder)[0] == 0
    assert not folder.exists()
    _, out, _ = run("--decoder", wrong, *random, "--keep", folder)
    numbers = re.findall(r"^FAIL random/5/(\d+): ", out, re.MULTILINE)
    assert {path.name for path in folder.iterdir()} == {f"5-{n}{end}" for n in numbers for end in (".qemb", ".json")}
    file = Path(re.search(r"^  file: (\S+\.qemb), its answer beside it as .json$", out, re.MULTILINE)[1])
    done = subprocess.run([sys.executable, SPEC], input=file.read_bytes(), capture_output=True, check=True)
    assert json.loads(done.stdout) == json.loads(file.with_suffix(".json").read_text())


def test_random_files_of_the_profile_core_are_all_asked_for(run, adapter):
    body = """
q = answer["quantization"]
framed = {s["kind"] for s in answer["sections"] if s["codec"] != "0"} & set(qemb_spec.KINDS.split())
if "transform" in answer or q["level"] in "23" or framed:
    code = 9
"""
    code, out, _ = run("--decoder", adapter(body), "--random", "20", "--seed", "5", "--profile", "core")
    assert code == 0
    assert re.search(r"^random/core/5 +20 +20/20 +20/20 +- +-$", out, re.MULTILINE)


# --- encoders ---------------------------------------------------------------------------------------------------------

ENCODER = """
import struct
import rawfile
request = json.load(sys.stdin)
def say(code, **answer):
    print(json.dumps(answer))
    sys.exit(code)
if request["scheme"] == "lossy":
    say(2, unsupported="lossy")
dim, rows, tokens = int(request["dim"]), request["vectors"], [bytes.fromhex(t) for t in request["tokens"]]
if len(tokens) != len(rows) or any(len(row) != dim for row in rows):
    say(1, error="invalid.shape")
if len(set(tokens)) < len(tokens):
    say(1, error="invalid.duplicate_token")
if any(len(token) > 65536 for token in tokens):
    say(1, error="invalid.token_length")
def order(bits):
    return bits ^ (0xFFFFFFFF if bits >> 31 else 1 << 31)
def utf8(token):
    try:
        return token.decode() is not None
    except UnicodeDecodeError:
        return False
file = rawfile.RawFile(len(rows), len(rows), dim)
file.required_features = 0 if all(map(utf8, tokens)) else 1
file.add("QUAN", rawfile.descriptor(rawfile.IEEE, 32, dim, parameters=bytes(8)))
file.add("CODE", b"".join(struct.pack("<I", order(int(value, 16))) for row in rows for value in row))
rawfile.add_tokens(file, tokens)
#CHANGE
sys.stdout.buffer.write(file.build())
"""


@pytest.fixture
def encoder(adapter):
    """An encoder of `exact` in thirty lines, with a change to the file it makes."""
    return lambda change="": adapter(ENCODER.replace("#CHANGE", change), whole=True)


def test_an_encoder_that_is_right(run, encoder):
    code, out, _ = run("--encoder", encoder())
    assert code == 0
    tables = len(list((CORPUS / "encode").glob("*.json")))
    assert tables > 15
    assert re.search(r"(\d+) of \1 asked pass \(\d+ not asked\)", out)  # lossy


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("file['CODE'].data = bytes(len(file['CODE'].data))", "vectors[0][0]"),
        ("file['TOKB'].data = file['TOKB'].data.upper(); file.drop('INDX')", "tokens[0]"),
        ("file['CODE'].data += b'x'", "the file does not conform: spec-decoder says invalid.section_size"),
        ("print('{}'); sys.exit()", "the file does not conform: spec-decoder says malformed.magic"),
        ("os.kill(os.getpid(), 9)", "crash: killed by SIGKILL"),
        ("say(1, error='invalid.value')", "refused as invalid.value, a table that a file can hold"),
        ("say(2, unsupported='lossy')", "unsupported 'lossy', which is not the scheme that was asked for"),
    ],
)
def test_encoders_that_are_wrong(run, encoder, change, said):
    code, out, _ = run("--encoder", encoder(change), "--only", "encode/exact-floats")
    assert code == 1
    assert said in out


@pytest.mark.parametrize(
    ("find", "put", "case"),
    [
        ("error=\"invalid.duplicate_token\"", "error=\"invalid.option\"", "refused-twice"),
        ("if len(set(tokens)) < len(tokens):", "if False:", "refused-twice"),
        ("if len(tokens) != len(rows) or", "if", "refused-tokens"),
        ("if any(len(token) > 65536", "if any(len(token) > 65535", "exact-long-token"),
        ("0 if all(map(utf8, tokens)) else 1", "0", "exact-byte-tokens"),
        ("order(int(value, 16))", "order(int(value, 16) or 1 << 31)", "exact-special"),
        ("order(int(value, 16))", "order(int(value, 16) | (1 << 22) * (value[:2] == '7f'))", "exact-special"),
        ("bytes.fromhex(t) for", "bytes.fromhex(t).strip() + b'~' * (len(t) == 2) for", "exact-odd-tokens"),
    ],
)  # fmt: skip
def test_each_rule_of_an_encoder_has_a_case_that_notices(run, adapter, find, put, case):
    assert find in ENCODER
    code, out, _ = run("--encoder", adapter(ENCODER.replace(find, put), whole=True), "--only", f"encode/{case}")
    assert code == 1
    assert f"FAIL encode/{case}: " in out


def test_errors_of_lossy_tables_are_measured(run, adapter):
    """Zeros are a table of relative error 1, and the right rows negated one of 2."""
    lossy = ENCODER.replace('say(2, unsupported="lossy")', "pass")
    for put, error in (("0", "1.0000"), ("int(value, 16) ^ 1 << 31", "2.0000")):
        wrong = adapter(lossy.replace("order(int(value, 16))", f"order({put})"), whole=True)
        code, out, _ = run("--encoder", wrong, "--only", "encode/lossy-3")
        assert code == 1
        assert f"the relative error is {error}; at 3 bits it is 0.35 at most" in out
    assert run("--encoder", adapter(lossy, whole=True), "--only", "encode/lossy-[1-8]")[0] == 0


def test_the_tables_are_those_that_the_script_writes():
    check = [sys.executable, CORPUS / "encode" / "build.py", "--check"]
    done = subprocess.run(check, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "")


# --- ways to start it -------------------------------------------------------------------------------------------------


def test_a_bare_clone_is_enough(tmp_path):
    """No package of the environment is seen: ``-S`` leaves site-packages out."""
    command = [sys.executable, "-S", "-E", CORPUS / "run.py", "--decoder", f"python -S -E {SPEC}"]
    only = ["--only", "valid/bases/linear", "--only", "invalid/invalid.dim/*"]
    done = subprocess.run([*command, *only], capture_output=True, text=True, check=False, cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "good: " in done.stdout
    done = subprocess.run(command[:4], capture_output=True, text=True, check=False, cwd=tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "conformance: the reference codec is not installed here: name a decoder with --decoder\n"


def test_random_files_need_a_package(tmp_path):
    command = [sys.executable, "-S", "-E", CORPUS / "run.py", "--decoder", f"python -S -E {SPEC}", "--random", "9"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path)
    said = "conformance: spec-decoder needs the package zstandard: pip install zstandard\n"
    assert (done.returncode, done.stdout, done.stderr) == (2, "", said)


def test_it_is_a_command_of_qemb(tmp_path):
    qemb = Path(sys.executable).parent / "qemb"
    command = [qemb, "conformance", "--only", "valid/bases/linear", "--only", "encode/refused-twice"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "reference: good: 1 of 1 cases pass, profile full" in done.stdout
    assert "reference, encoder: good: 1 of 1 cases pass" in done.stdout
    done = subprocess.run([qemb, "conformance", "--corpus", "/"], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("qemb: / holds no manifest.json")
