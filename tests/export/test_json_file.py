"""Errors that name the line."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backend.errors import DatasetError, PayloadError
from backend.export.json_file import JsonFile

TEXT = """\
[
  {"id": 1, "data": {"video": "a"},
   "annotations": []},
  {"id": 2,
   "annotations": [{"result": [
     {"x": 1,
      "x" : 2,
      "\\u0079": {"a.b": [ ]}}
   ]}]}
]
"""


def test_values_are_located():
    file = JsonFile(None, TEXT, json.loads(TEXT))
    assert file.locate("") == (1, 1)
    assert file.locate("[0].data.video") == (2, 31)
    assert file.locate("[1]") == (4, 3)
    assert file.locate("[1].annotations[0].result[0].x") == (7, 13)  # of two the one that counts
    assert file.locate("[1].annotations[0].result[0].y") == (8, 17)


def test_of_a_path_that_leads_nowhere_the_last_value_on_its_way():
    file = JsonFile(None, TEXT, json.loads(TEXT))
    assert file.locate("[1].annotations[0].result[0].z.w") == (6, 6)
    assert file.locate("[1].annotations[3]") == (5, 19)
    assert file.locate("[1].id.deeper") == (4, 10)
    assert file.locate("[7]") == (1, 1)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text("abc", min_size=1, max_size=2), inner, max_size=3)
    ),
    max_leaves=12,
)


def paths(value: object, path: str = ""):
    yield path, value
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in items:
        yield from paths(inner, path + (f"[{key}]" if isinstance(key, int) else f".{key}"))


@given(json_values, st.sampled_from([None, 0, 2]))
def test_every_value_stands_where_it_is_said_to(value, indent):
    text = json.dumps(value, indent=indent)
    file = JsonFile(None, text, value)
    for path, inner in paths(value):
        line, column = file.locate(path.removeprefix("."))
        rest = "\n".join([text.split("\n")[line - 1][column - 1 :], *text.split("\n")[line:]])
        assert json.JSONDecoder().raw_decode(rest)[0] == inner


def test_errors_about_values_name_file_and_line(tmp_path):
    path = tmp_path / "export.json"
    path.write_bytes(b"\xef\xbb\xbf" + TEXT.encode())
    file = JsonFile.read(path)
    assert file.value == json.loads(TEXT)
    with pytest.raises(DatasetError) as caught, file.naming_lines():
        raise PayloadError("wrong", "[0].data.video")
    assert str(caught.value) == f"{path}, line 2, column 31: wrong"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b'[\n {"id": 1,\n  "data": }\n]', "line 3, column 11: this is no JSON: Expecting value"),
        (b"", "line 1, column 1: this is no JSON"),
        (b"[1, 2", "line 1, column 6: this is no JSON"),
        (b'{"a": "\xff"}', "no text in UTF-8"),
        (b"[" * 100_000, "nested too deeply"),
        (b"1" * 5000, "out of all proportion"),
    ],
)
def test_what_is_no_json_is_refused(tmp_path, content, message):
    path = tmp_path / "export.json"
    path.write_bytes(content)
    with pytest.raises(DatasetError, match=message):
        JsonFile.read(path)


def test_a_file_that_is_not_there(tmp_path):
    with pytest.raises(DatasetError, match=r"nothing\.json cannot be read: No such file"):
        JsonFile.read(tmp_path / "nothing.json")
