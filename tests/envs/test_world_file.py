"""What a file of referents may hold, and what is said of one that may not."""

import json
import re
from hashlib import sha256

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from listed_cases import BIRDS, NAMES, bird_lines, text_lines

from parley.envs.listed_world import ListedWorld
from parley.envs.world_file import read_world


@pytest.fixture
def write(tmp_path):
    def written(lines, name="birds.jsonl"):
        path = tmp_path / name
        path.write_bytes(b"\n".join(line if isinstance(line, bytes) else line.encode() for line in lines))
        return path

    return written


def with_line(number, line, lines=None):
    lines = lines or bird_lines()
    return [*lines[: number - 1], line, *lines[number:]]


def test_a_line_is_a_referent(write):
    path = write([*bird_lines(), ""])
    world = read_world(path)
    assert world == ListedWorld.of(world.name, NAMES, BIRDS)
    assert world.name == f"birds-{sha256(path.read_bytes()).hexdigest()[:8]}"


def test_free_text_is_a_value_of_its_own(write):
    world = read_world(write(text_lines()), "told")
    assert world.name == "told"
    assert world.num_values.tolist() == [12]
    [rook] = world.at([3])
    assert world.describe(rook) == "the rook is one of the crows"
    assert world.facts(rook) == (("text", "the rook is one of the crows"),)


@pytest.mark.parametrize("end", ["", "\n", "\r\n"])
def test_how_lines_end_does_not_matter(write, end):
    lines = bird_lines()
    assert read_world(write([line + end[:-1] for line in lines[:-1]] + [lines[-1] + end])).size == 12


def test_another_content_is_another_world(write):
    names = {read_world(write(lines)).name for lines in (bird_lines(), bird_lines()[::-1], bird_lines())}
    assert len(names) == 2
    assert len({read_world(write(bird_lines(), name)).name for name in ("a.jsonl", "b.jsonl")}) == 2


@pytest.mark.parametrize(
    ("number", "value"), [("5", "5"), ("-1.50", "-1.50"), ("1e3", "1e3"), ("123456789" * 9, "123456789" * 9)]
)
def test_a_number_stands_as_it_is_written(write, number, value):
    line = f'{{"attributes": {{"bird": "crane", "family": "cranes", "clutch": {number}}}}}'
    world = read_world(write([*bird_lines(), line]))
    assert world.listed[12] == ("crane", "cranes", value)


def test_a_name_is_for_the_reader_alone(write):
    lines = [json.dumps(json.loads(line) | {"name": "anything"}) for line in bird_lines()]
    assert read_world(write(lines), "birds") == read_world(write(bird_lines()), "birds")


def test_words_of_any_script_may_stand_in_it(write):
    line = '{"attributes": {"bird": "Käuzchen 梟 \U0001f989", "family": "owls", "clutch": 4}}'
    assert read_world(write([*bird_lines(), line])).listed[12][0] == "Käuzchen 梟 \U0001f989"


def bird(**attributes):
    return json.dumps({"attributes": {"bird": "crane", "family": "cranes", "clutch": "2"} | attributes})


MALFORMED = [
    ("", "is blank; every line must hold a referent"),
    (" \t", "is blank; every line must hold a referent"),
    ("{broken", "is not JSON: Expecting property name enclosed in double quotes"),
    ('{"attributes": {}} {}', "is not JSON: Extra data"),
    (b'{"text": "\xff"}', "is not UTF-8: invalid start byte at byte 11"),
    ("\ufeff" + bird(), "is not JSON: Unexpected UTF-8 BOM"),
    ("[" * 100_000, "is not JSON: "),
    (bird().replace('"2"', "NaN"), "is not JSON: NaN is no number"),
    (bird().replace('"2"', "-Infinity"), "is not JSON: -Infinity is no number"),
    ("7", "must be a JSON object, got the number 7"),
    ("[]", "must be a JSON object, got a list"),
    ('"crane"', "must be a JSON object, got the string 'crane'"),
    ("null", "must be a JSON object, got null"),
    ("{}", "must hold either attributes or text, got nothing"),
    ('{"name": "crane"}', "must hold either attributes or text, got name"),
    ('{"text": "a crane", "attributes": {"bird": "crane"}}',
     "must hold either attributes or text, got text, attributes"),
    ('{"attributes": {"bird": "crane"}, "colour": 1, "age": 2}',
     "must hold attributes, and a name at most, got also age, colour"),
    ('{"attributes": {"bird": "crane"}, "name": 3}', "name must be a string, got the number 3"),
    ('{"attributes": ["crane"]}', "attributes must be an object of names and values, got a list"),
    ('{"attributes": {}}', "attributes must be an object of names and values, got an empty object"),
    (bird().replace('"clutch"', '"bird"'), "holds 'bird' twice"),
    ('{"text": "a", "text": "b"}', "holds 'text' twice"),
    (bird(clutch=None), "clutch must be a string, got null"),
    (bird(clutch=True), "clutch must be a string, got true"),
    (bird(clutch=["2"]), "clutch must be a string, got a list"),
    (bird(clutch={"low": "2"}), "clutch must be a string, got an object"),
    ('{"text": 5}', "text must be a string, got the number 5"),
    (bird(clutch=""), "clutch must be a string without blanks at its ends, got ''"),
    (bird(clutch="2 "), "clutch must be a string without blanks at its ends, got '2 '"),
    (bird(clutch="\u00a02"), "clutch must be a string without blanks at its ends, got '\\xa02'"),
    (bird(clutch="2\n3"), "clutch must be one line that can be printed, got a control character in '2\\n3'"),
    (bird(clutch="2\x7f3"), "clutch must be one line that can be printed, got a control character in"),
    (bird(clutch="2\u20283"), "clutch must be one line that can be printed, got a line break in"),
    (bird(clutch="2\u20293"), "clutch must be one line that can be printed, got a line break in"),
    (bird(clutch="2\ud8003"), "clutch must be one line that can be printed, got half a character in"),
    ('{"attributes": {"bi\\nrd": "crane"}}', "the name of an attribute must be one line that can be printed"),
    ('{"attributes": {"": "crane"}}', "the name of an attribute must be a string without blanks at its ends"),
    (bird(wings="2"),
     "must have what line 1 has, in its order: bird, family, clutch; got bird, family, clutch, wings"),
    ('{"attributes": {"bird": "crane", "family": "cranes"}}',
     "must have what line 1 has, in its order: bird, family, clutch; got bird, family"),
    ('{"attributes": {"family": "cranes", "bird": "crane", "clutch": 2}}',
     "must have what line 1 has, in its order: bird, family, clutch; got family, bird, clutch"),
    ('{"text": "a crane"}', "must have what line 1 has, in its order: bird, family, clutch; got text"),
    (bird_lines()[1], "the referent reads the same as that of line 2"),
    ('{"attributes": {"bird": "jay", "family": "crows", "clutch": "5"}, "name": "again"}',
     "the referent reads the same as that of line 5"),
]  # fmt: skip


@pytest.mark.parametrize(("line", "message"), MALFORMED, ids=[message for _, message in MALFORMED])
def test_a_malformed_line_is_named_by_its_number(write, line, message):
    path = write(with_line(7, line))
    with pytest.raises(ValueError, match=f"^{re.escape(f'{path}, line 7: {message}')}"):
        read_world(path)


def test_the_first_malformed_line_is_the_one_that_is_named(write):
    path = write(with_line(9, "", with_line(3, "{")))
    with pytest.raises(ValueError, match="line 3: is not JSON"):
        read_world(path)


def test_blank_lines_at_the_end_are_lines(write):
    path = write([*bird_lines(), "", ""])
    with pytest.raises(ValueError, match="line 13: is blank"):
        read_world(path)


def test_free_text_that_occurs_twice_is_named(write):
    path = write([*text_lines(), text_lines()[0]])
    with pytest.raises(ValueError, match="line 13: the referent reads the same as that of line 1"):
        read_world(path)


def test_attributes_do_not_follow_free_text(write):
    path = write([*text_lines(), bird()])
    with pytest.raises(ValueError, match="line 13: must have what line 1 has, in its order: text; got bird,"):
        read_world(path)


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ([], " is empty: it must list referents, one a line"),
        (bird_lines()[:8], ": world 'birds-"),
        ([json.dumps({"attributes": {"a": i, "b": "c"}}) for i in range(12)],
         ": attribute 'b' needs at least 2 distinct values, got ('c',)"),
    ],
)  # fmt: skip
def test_a_file_that_makes_no_world_is_named(write, lines, message):
    path = write(lines)
    with pytest.raises(ValueError, match=f"^{re.escape(f'{path}{message}')}"):
        read_world(path)


def test_a_short_file_says_which_split_lacks_what(write):
    message = (
        "is too small to split: of its 8 referents 1 are in the validation split, and an episode needs at "
        "least 2"
    )
    with pytest.raises(ValueError, match=message):
        read_world(write(bird_lines()[:8]))


def test_a_file_that_cannot_be_read_is_an_error_of_the_system(tmp_path):
    with pytest.raises(OSError, match=r"nothing\.jsonl"):
        read_world(tmp_path / "nothing.jsonl")


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=25)
@given(line=st.one_of(st.binary(), st.text().map(lambda text: json.dumps({"text": text}).encode())))
@example(line=b'{"attributes": {"bird": "crane", "family": "cranes", "clutch": 1}}')
def test_any_line_is_read_or_refused_by_its_number(write, line):
    path = write(with_line(7, line.replace(b"\n", b" ")))
    try:
        assert read_world(path).size == 12
    except ValueError as error:
        assert str(error).startswith(f"{path}, line 7: ")  # noqa: PT017 (either is right)
