"""Model files from anywhere: the same values as OmegaConf reads, and nothing that is not plain data."""

from __future__ import annotations

import pathlib
import sys
import textwrap

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from omegaconf import OmegaConf

import modelzoo
from modelzoo import bounds
from modelzoo.config import document as marks
from modelzoo.config import interpolation, modelfile
from modelzoo.config import plain as config_plain
from modelzoo.config.config import from_mapping
from modelzoo.errors import ConfigError, Path, Problems


@pytest.fixture
def write(tmp_path, monkeypatch):
    """Writes x.yaml into an empty working directory and returns its name."""
    monkeypatch.chdir(tmp_path)

    def write(text: str | bytes) -> str:
        content = text if isinstance(text, bytes) else textwrap.dedent(text).encode()
        pathlib.Path("x.yaml").write_bytes(content)
        return "x.yaml"

    return write


def refusal(path: str) -> str:
    with pytest.raises(ConfigError) as caught:
        modelfile.load(path)
    return str(caught.value)


def plain(text: str) -> object:
    problems = Problems()
    data = config_plain.plain(marks.read(text, "x.yaml"), problems)
    problems.check()
    return data


def test_a_file_may_have_the_name_of_an_override(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert modelfile.is_override("a=b.yaml")
    (tmp_path / "a=b.yaml").touch()
    (tmp_path / "seed=1").touch()
    assert modelfile.is_file("a=b.yaml")
    assert modelfile.is_file("./c=d.yaml")
    assert modelfile.is_override("seed=1")


def test_a_block_and_a_model_with_rules_are_the_two_forms_of_a_file(write):
    assert modelfile.load(write("layers: [ReLU]")) == {"model": {"layers": ["ReLU"]}}
    text = "model: {layers: [ReLU]}\ninit: {biases: {param: bias, fill: 0}}"
    assert modelfile.load(write(text)) == {
        "model": {"layers": ["ReLU"]},
        "init": {"biases": {"param": "bias", "fill": 0}},
    }


SCALARS = (
    "1 +1 -1 00 007 0o17 0x1F 0b101 1_000 1e-3 1e3 1E5 1.5e3 -1e+3 1_0e2 .5 -.5 5. 1._5 .e3 .5e3 1e 1e5.5 "
    ".inf -.inf .NaN nan yes no on off y n Yes TRUE true False null ~ NULL 2020-01-01 2020-01-01T00:00:00Z ??? "
    "Linear(4,8) =4*dim 0.1.2 + 1- 08 09 1__0 0x 0b2 12e03 1.e5 +.5 +.inf 1:60 1,000 9223372036854775807"
).split()


@pytest.mark.parametrize("text", SCALARS)
def test_a_plain_scalar_is_read_as_omegaconf_reads_it(text):
    assert repr(plain(f"a: {text}")) == repr({"a": OmegaConf.to_container(OmegaConf.create(f"a: {text}"))["a"]})


@pytest.mark.parametrize(
    ("text", "read", "write"),
    [
        ("017", 15, "15 or 17"),
        ("-010", -8, "-8 or -10"),
        ("1:30", 90, "90"),
        ("1:30.5", 90.5, "90.5"),
        ("190:20:30", 685230, "685230"),
    ],
)
def test_a_number_that_yaml_reads_as_another_is_refused_with_the_number_to_write(text, read, write):
    with pytest.raises(ConfigError) as caught:
        plain(f"a: [1, {text}]")
    hint = f"Write {write}; a text in quotes: '{text}'."
    assert str(caught.value) == f"x.yaml:1:8  a.1\n  YAML reads '{text}' as {read}. {hint}"
    assert plain(f"a: '{text}'") == {"a": text}


def test_an_integer_beyond_the_bound_of_all_integers_is_refused_where_it_stands():
    with pytest.raises(ConfigError) as caught:
        plain("a: 12345678901234567890")
    assert str(caught.value) == (
        "x.yaml:1:4  a\n"
        "  12345678901234567890 is too large: integers are below 9,223,372,036,854,775,808. Write a float, as in 1e30."
    )


numbers = st.from_regex(r"[-+]?[0-9_.:eE+-]{1,8}", fullmatch=True)
words = st.text("abnoyestrufl~?=*() ", min_size=1, max_size=8)


@settings(deadline=None)  # machines differ
@given(st.one_of(numbers, words))
def test_any_scalar_that_both_accept_is_the_same_to_both(text):
    try:
        theirs = OmegaConf.to_container(OmegaConf.create(f"a: {text}\nb: 1"))
    except Exception:
        return
    try:
        ours = plain(f"a: {text}\nb: 1")
    except ConfigError:
        return
    assert repr(ours) == repr(theirs)


keys = st.one_of(
    st.from_regex(r"[a-z_]{1,6}", fullmatch=True).filter(lambda key: key not in ("y", "n", "null")), st.integers(0, 9)
)
values = st.recursive(
    st.one_of(
        st.integers(1 - 2**63, 2**63 - 1),
        st.booleans(),
        st.none(),
        st.text("abc: #'\"\n|-{}[]\\é", max_size=12),
        st.floats(allow_nan=False),
    ),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(keys, inner, max_size=3)),
    max_leaves=12,
)


@settings(deadline=None)  # machines differ
@given(st.dictionaries(keys, values, min_size=1, max_size=4))
def test_a_file_that_omegaconf_writes_gives_the_same_data_to_both(data):
    text = OmegaConf.to_yaml(OmegaConf.create(data))
    assert repr(plain(text)) == repr(OmegaConf.to_container(OmegaConf.create(text)))


def test_anchors_and_merge_keys_give_what_omegaconf_makes_of_them():
    text = "a: &a {x: 1, y: 2}\nb: &b {y: 3, z: 4}\nc: {w: 0, <<: [*a, *b], x: 9}\nd: [*a, *a]"
    ours, theirs = plain(text), OmegaConf.to_container(OmegaConf.create(text))
    theirs["c"] = {key: theirs["c"][key] for key in "yzxw"}  # OmegaConf 2.4 moves 'x' behind 'w'
    assert repr(ours) == repr(theirs)


REFERENCES = """
args: {dim: 4, wide: "${.dim}"}
layers:
  a: {in: "${args.dim}", out: "${..b.out}"}
  b: {out: "${args.wide}", text: "Linear(${args.dim}, ${.out})"}
  c: ${.a}
  d: {e: "${..c.in}"}
list: [1, "${list.0}", "${args.dim}"]
"""


def test_references_mean_what_they_mean_to_omegaconf():
    problems = Problems()
    ours = interpolation.resolve(plain(REFERENCES), problems)
    problems.check()
    assert ours == OmegaConf.to_container(OmegaConf.create(REFERENCES), resolve=True)


def test_a_block_file_counts_references_from_where_hydra_mounts_it(write):
    file = modelfile.load(write("args: {dim: 3}\nlayers: ['Linear(${model.args.dim}, ${..args.dim})']"))
    assert file["model"]["layers"] == ["Linear(3, 3)"]


def test_a_place_is_found_in_both_forms_of_a_file(write):
    key = Path(("model", "layers", "out"))
    assert modelfile.load(write("layers:\n  out: ReLU")).locate(key, 0, 0) == ("x.yaml:2:3", "model.layers.out")
    file = modelfile.load(write("model:\n  layers:\n    out: ReLU"))
    assert file.locate(key, 0, 0) == ("x.yaml:3:5", "model.layers.out")
    assert file.locate(key / "bias", 0, 0) == ("x.yaml:3:5", "model.layers.out.bias")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "x.yaml\n  The file is empty. A model file holds a block, or 'model' and optionally 'init' and 'groups', and nothing else."),
        ("- 1", "x.yaml:1:1\n  This is no mapping. A model file holds a block, or 'model' and optionally 'init' and 'groups', and nothing else."),
        ("defaults: [mlp]", "x.yaml:1:1  defaults\n  'defaults' refers to other files. Compose it: python run.py model=x"),
        ("hydra: {}", "x.yaml:1:1  hydra\n  'hydra' configures the run. Compose it: python run.py model=x"),
        ("# @package _global_\na: 1", "x.yaml:1:1\n  A model file has no '# @package' header. Remove it."),
        ("a: 1\n---\nb: 2", "x.yaml:2:1\n  A second document begins here; a file holds one."),
        ("a: !!python/name:os.system x", "x.yaml:1:4  a\n  The tag '!!python/name:os.system' is not allowed: a file is plain data. Remove it."),
        ("a: !x {b: 1}", "x.yaml:1:4  a\n  The tag '!x' is not allowed: a file is plain data. Remove it."),
        ("a: 1\na: 2", "x.yaml:2:1  a\n  The key 'a' stands twice in one mapping."),
        ("a: {1: x, '1': y}", "x.yaml:1:11  a.1\n  The key '1' stands twice in one mapping."),
        ("a: {on: x}", "x.yaml:1:5  a.on\n  YAML reads the key 'on' as a boolean. Put it in quotes: 'on'."),
        ("a: {1.5: x}", "x.yaml:1:5  a.1.5\n  YAML reads the key '1.5' as a number. Put it in quotes: '1.5'."),
        ("a: {~: x}", "x.yaml:1:5  a.~\n  YAML reads the key '~' as nothing (null). Put it in quotes: '~'."),
        ("a: {[1]: x}", "x.yaml:1:5  a\n  A key must be a name or an index, not a list or a mapping. Quote it."),
        ("a: =", "x.yaml:1:4  a\n  '=' cannot be read as a value. Quote it, if a text is meant."),
        ("a: &a [*a]", "x.yaml:1:8\n  The alias '*a' stands inside its own anchor."),
        ("a: *b", "x.yaml:1:4\n  The alias '*b' has no anchor before it."),
        ("model: {}\nmodle: {}", "x.yaml:2:1  modle\n  'modle' stands beside 'model'. A model file holds a block, or 'model' and optionally 'init' and 'groups', and nothing else."),
        ("a: ${oc.env:HOME}", "x.yaml:1:1  model.a\n  '${oc.env:HOME}' is not a plain reference. A reference names another key of the same file, as in ${args.dim}."),
        ("a: ${b.${c}}", "x.yaml:1:1  model.a\n  '${b.${c}' is not a plain reference. A reference names another key of the same file, as in ${args.dim}."),
        ("args: {dim: 1}\na: ${.args.dmi}", "x.yaml:2:1  model.a\n  '${.args.dmi}' refers to 'model.args.dmi', which does not exist. Did you mean 'dim'?"),
        ("a: ${.b}\nb: ${.a}", "x.yaml:1:1  model.a\n  '${.b}' refers to itself.\nx.yaml:2:1  model.b\n  '${.a}' refers to itself."),
        ("a: {x: 1, y: '${..a}'}", "x.yaml:1:11  model.a.y\n  '${..a}' refers to itself."),
        ("a: ???\nb: ${.a}", "x.yaml:2:1  model.b\n  '${.a}' refers to 'model.a', which is missing (???)."),
        ("a: [1]\nb: x${.a}", "x.yaml:2:1  model.b\n  '${.a}' is a mapping or a list and cannot stand inside a text."),
        ("a: ${.nope}\nb: ${.a}\nc: ${.b}", "x.yaml:1:1  model.a\n  '${.nope}' refers to 'model.nope', which does not exist. Known: a, b, c."),
        ("layers: {a: [b}", "x.yaml:1:15\n  This is not YAML: did not find expected ',' or ']'. Inside [] and {} a text with a comma, a bracket, a colon or ??? needs quotes."),
    ],
)  # fmt: skip
def test_what_is_no_plain_data_is_refused_with_its_place(write, text, message):
    assert refusal(write(text)) == message


def test_bytes_that_are_no_text_are_refused(write):
    assert refusal(write(b"a: 1\nb: \xff")) == "x.yaml\n  The file is not UTF-8: line 2 has the byte 0xff."
    assert refusal(write("a: 1".encode("utf-16"))) == "x.yaml\n  The file is not UTF-8: line 1 has the byte 0xff."
    assert refusal(write(b"a: \x00")).startswith("x.yaml")


def test_only_a_regular_file_of_at_most_one_megabyte_is_opened(write, tmp_path):
    assert refusal("none.yaml") == "none.yaml\n  There is no such file."
    assert refusal(str(tmp_path)) == f"{tmp_path}\n  This is not a regular file."
    assert refusal("/dev/zero") == "/dev/zero\n  This is not a regular file."
    assert refusal(write("#" * (2**20 + 1))) == "x.yaml\n  The file is larger than 1 MB."
    assert modelfile.load(write("a: 1\n" + "#" * (2**20 - 5))) == {"model": {"a": 1}}


def test_aliases_are_counted_before_they_expand(write):
    bomb = "\n".join(
        ["a0: &a0 [1, 1, 1, 1, 1, 1, 1, 1, 1, 1]"]
        + [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]" for i in range(1, 30)]
    )
    assert refusal(write(bomb)).endswith("The file holds more than 200,000 values, aliases counted in full.")


def test_references_are_counted_while_they_expand(write):
    doubling = "a0: x\n" + "\n".join(f"a{i}: '${{.a{i - 1}}}${{.a{i - 1}}}'" for i in range(1, 60))
    assert "more than" in refusal(write(doubling))
    wide = "a0: [1, 1]\n" + "\n".join(f"a{i}: ['${{..a{i - 1}}}', '${{..a{i - 1}}}']" for i in range(1, 60))
    assert "more than" in refusal(write(wide))
    chain = "a0: 1\n" + "\n".join(f"a{i}: ${{.a{i - 1}}}" for i in range(1, 3000))
    assert "more than 100 levels deep" in refusal(write(chain))


@pytest.mark.parametrize("text", ["a: " + "[" * 100_000, "{a: " * 100_000, "- " * 100_000, "? " * 100_000])
def test_deep_nesting_is_refused_without_a_crash(write, text):
    assert "more than 100 levels deep" in refusal(write(text))


def test_aliases_and_anchors_cannot_hide_depth(write):
    text = "a0: &a0 1\n" + "\n".join(f"a{i}: &a{i} [*a{i - 1}]" for i in range(1, 150))
    assert "more than 100 levels deep" in refusal(write(text))


@settings(deadline=None)  # machines differ
@given(st.binary(max_size=200))
def test_any_bytes_end_in_data_or_in_our_error(tmp_path_factory, content):
    path = tmp_path_factory.getbasetemp() / "any.yaml"
    path.write_bytes(content)
    try:
        assert isinstance(modelfile.load(path), dict)
    except ConfigError as error:
        assert str(path) in str(error)


@settings(deadline=None)  # machines differ
@given(st.text("ab:-[]{}&*!|>'\"\n #?,%@`$<\\\t", max_size=60))
def test_any_punctuation_ends_in_data_or_in_our_error(tmp_path_factory, content):
    path = tmp_path_factory.getbasetemp() / "text.yaml"
    path.write_text(content, encoding="utf-8")
    try:
        assert isinstance(modelfile.load(path), dict)
    except ConfigError as error:
        assert str(path) in str(error)


# Each text marks one position of a value with X; the file's own X must be found from the value's.
TEXTS = [
    "f: |\n  one\n    two X\n  three",
    "f: |2\n    one X",
    "f: |-   # comment\n\n\n  one\n\n  X two\n",
    "f: >\n  one\n  two\n\n  three X\n",
    "a:\n  - f: >-\n      one\n      two X\n    g: 1",
    "f: one two X",
    "f: one\n  two\n  X three",
    "f: 'it''s ''X'''",
    "f: 'one\n  two\n\n  X'",
    'f: "a\\n\\tb \\"c\\" \\u00e9 X"',
    'f: "one \\\n  two X"',
    'f: "one\\x20two\n  X"',
    "f: é ü X",
    "{a: [1, {f: 'y X'}]}",
]


@pytest.mark.parametrize("text", TEXTS)
def test_a_position_in_a_text_becomes_the_position_in_the_file(text):
    def find(data: object, key: Path) -> tuple[Path, str] | None:
        items = data.items() if isinstance(data, dict) else enumerate(data) if isinstance(data, list) else ()
        for name, value in items:
            found = (key / name, value) if isinstance(value, str) and "X" in value else find(value, key / name)
            if found:
                return found
        return None

    document = marks.read(text, "x.yaml")
    key, value = find(plain(text), Path())
    line, column = value[: value.index("X")].count("\n") + 1, value.index("X") - value.rfind("\n", 0, value.index("X"))
    file_line = text[: text.index("X")].count("\n") + 1
    file_column = text.index("X") - text.rfind("\n", 0, text.index("X"))
    assert document.place(key, line, column) == f"x.yaml:{file_line}:{file_column}"


def test_the_end_of_a_line_of_a_text_is_after_its_last_character():
    document = marks.read("f: |\n  if x\n    y\n", "x.yaml")
    assert document.place(Path(("f",)), 1, 5) == "x.yaml:2:7"
    assert document.place(Path(("f",)), 2, 1) == "x.yaml:3:5"
    assert document.place(Path(("f",)), 9, 9) == "x.yaml:3:6"


def test_a_mapping_from_python_follows_references_and_checks_keys():
    config = from_mapping({"args": {"dim": 3}, "layers": ["Linear(${model.args.dim}, 1)"]}, {"w": {"fill": 1}})
    assert (config.model["layers"], config.init) == (["Linear(3, 1)"], {"w": {"fill": 1}})
    with pytest.raises(ConfigError) as caught:
        from_mapping({"layers": {True: "ReLU"}})
    assert str(caught.value) == (
        "model.layers.True\n  YAML reads the key 'True' as a boolean. Put it in quotes: 'no' or 'on'."
    )


def test_a_path_a_dictconfig_and_a_mapping_are_one_config(write):
    text = "args: {dim: 3}\nlayers: ['Linear(${..args.dim}, 1)']"
    path = write(text)
    a, b = from_mapping(path), from_mapping(OmegaConf.create(text))
    assert a.model == b.model == from_mapping(modelfile.load(path)).model
    assert a.locate(Path(("model", "layers", 0)), 0, 0) == ("x.yaml:2:10", "model.layers.0")


def test_rules_of_their_own_file_replace_those_of_the_model_file(write, tmp_path):
    rules = tmp_path / "rules.yaml"
    rules.write_text("w: {fill: 2}")
    config = from_mapping(write("model: {layers: [ReLU]}\ninit: {v: {fill: 1}}"), rules)
    assert config.init == {"w": {"fill": 2}}
    assert config.locate(Path(("init", "w")), 0, 0) == (f"{rules}:1:1", "init.w")


def test_opening_a_file_imports_no_omegaconf(write):
    import subprocess

    path = write("layers: [ReLU]")
    code = "import sys; from modelzoo.config.config import from_mapping; from_mapping({!r}){}; print('omegaconf' in sys.modules)"
    environment = {"PYTHONPATH": str(pathlib.Path(modelfile.__file__).parents[1])}
    for extra, expected in (("", "False\n"), ("; import omegaconf", "True\n")):
        run = subprocess.run(
            [sys.executable, "-c", code.format(path, extra)], capture_output=True, text=True, env=environment
        )
        assert (run.stdout, run.stderr) == (expected, "")


@pytest.mark.parametrize(
    "text",
    [
        "layers:\n" + "".join(f"  a{each}: os.system\n" for each in range(1_000)),
        "layers:\n" + "".join(f"  a{each}: !tag ReLU\n" for each in range(1_000)),
        "layers:\n" + "".join(f"  a{each}: ${{b{each}}}\n" for each in range(1_000)),
        "layers: {a: {_target_: Linear, " + ", ".join(f"k{each}: 1" for each in range(1_000)) + "}}\n",
    ],
    ids=["targets", "tags", "references", "arguments"],
)
def test_a_file_with_hundreds_of_mistakes_is_answered_with_the_first_of_them(write, text):
    with pytest.raises(ConfigError) as error:
        modelzoo.build(write(text))
    assert len(error.value.problems) == 200


def test_a_text_without_references_counts_towards_the_characters_of_a_file():
    with pytest.raises(ConfigError) as caught:
        interpolation.resolve({"a": "x" * (bounds.CHARACTERS + 1)}, Problems())
    assert "more than 8,388,608 characters of text" in str(caught.value)
