"""Files to columns, and the one line that says what is wrong with a file."""

import json
from pathlib import Path

import pytest

from tunewright.errors import InputError
from tunewright.tasks.readers import read_file


def write(path: Path, data: str | bytes) -> Path:
    path.write_bytes(data if isinstance(data, bytes) else data.encode())
    return path


def test_jsonl_with_bom_crlf_blank_lines_and_unicode(tmp_path: Path) -> None:
    file = write(
        tmp_path / "a.jsonl", '\ufeff{"text": "Zürich 北京 😀", "n": 1}\r\n\r\n{"text": "b\u2028c", "n": 2}\r\n'
    )
    split = read_file(file)
    assert split.columns == {"text": ["Zürich 北京 😀", "b\u2028c"], "n": [1, 2]}
    assert list(split.numbers) == [1, 3]
    assert split.place(1) == f"{file} row 3"


def test_jsonl_keys_that_differ_by_row(tmp_path: Path) -> None:
    file = write(tmp_path / "a.jsonl", '{"b": 1, "a": 2}\n{"a": 3, "c": 4}\n')
    assert read_file(file).columns == {"b": [1, None], "a": [2, 3], "c": [None, 4]}
    assert list(read_file(file).columns) == ["b", "a", "c"]


def test_labels_are_one_object_however_many_rows(tmp_path: Path) -> None:
    file = write(tmp_path / "a.jsonl", '{"label": "positive"}\n' * 50)
    assert len({id(label) for label in read_file(file).columns["label"]}) == 1


def test_a_row_of_a_megabyte(tmp_path: Path) -> None:
    text = "word " * 200_000
    assert read_file(write(tmp_path / "a.jsonl", json.dumps({"text": text}))).columns["text"] == [text]
    assert read_file(write(tmp_path / "a.csv", f'text,label\n"{text}",x\n')).columns["text"] == [text]


def test_half_a_surrogate_pair_becomes_a_mark(tmp_path: Path) -> None:
    file = write(tmp_path / "a.jsonl", '{"text": "a\\ud83d!"}\n{"text": "\\ud83d\\ude00"}\n')
    assert read_file(file).columns["text"] == ["a\ufffd!", "😀"]


@pytest.mark.parametrize(
    ("name", "data", "message"),
    [
        ("a.jsonl", "", "a.jsonl: the file is empty"),
        ("a.jsonl", "\n \n", "a.jsonl: the file is empty"),
        ("a.jsonl", '{"a": 1}\n{"a": }\n', "a.jsonl line 2: invalid JSON: Expecting value (column 7)"),
        ("a.jsonl", '{"a": 1}\n{"a": 2', "a.jsonl line 2: invalid JSON: Expecting ',' delimiter (column 8)"),
        ("a.jsonl", '{"a": 1}\n[1]\n', "a.jsonl line 2: a JSON object wanted, found a list"),
        ("a.jsonl", b'{"a": 1}\n{"a": "\xff"}\n', "a.jsonl line 2: not UTF-8 text"),
        ("a.jsonl", "[" * 100_000, "a.jsonl line 1: invalid JSON"),
        ("a.json", "", "a.json: the file is empty"),
        ("a.json", '[{"a": 1},\n x]', "a.json line 2: invalid JSON: Expecting value (column 2)"),
        ("a.json", '{"a": 1}', "a.json: a JSON list of objects wanted, found an object"),
        ("a.json", '[{"a": 1}, "x"]', "a.json row 2: a JSON object wanted, found a string"),
        ("a.json", "[]", "a.json: no rows in this file"),
        ("a.csv", "", "a.csv: the file is empty"),
        ("a.csv", "text,label\n", "a.csv: no rows in this file"),
        ("a.csv", "text,label\na,b\n\nc,d,e\n", "a.csv line 4: 2 columns wanted as in the header, found 3"),
        ("a.csv", "text,text\na,b\n", "a.csv: the header has the column 'text' twice"),
        ("a.csv", b"text,label\na,b\n\xe4,b\n", "a.csv line 3: not UTF-8 text (save the table as UTF-8)"),
        ("a.csv", 'text,label\n"a,b\n', "a.csv line 2: not a readable table: unexpected end of data"),
        ("a.parquet", "", "a.parquet: the file is empty"),
        ("a.parquet", "no parquet", "a.parquet: not a readable Parquet file"),
        ("a.txt", " \n", "a.txt: the file is empty"),
        ("a.docx", "x", "a.docx: unknown kind of file; known endings: .jsonl"),
    ],
)
def test_what_is_wrong_is_one_line(tmp_path: Path, name: str, data: str | bytes, message: str) -> None:
    with pytest.raises(InputError) as error:
        read_file(write(tmp_path / name, data))
    assert str(error.value).startswith(f"{tmp_path}/{message}")
    assert "\n" not in str(error.value)


def test_a_missing_file_and_a_folder(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"x\.jsonl: no such file$"):
        read_file(tmp_path / "x.jsonl")
    (tmp_path / "d.jsonl").mkdir()
    with pytest.raises(InputError, match=r"d\.jsonl: a folder, a file wanted$"):
        read_file(tmp_path / "d.jsonl")


def test_csv_with_quotes_newlines_and_bom(tmp_path: Path) -> None:
    file = write(tmp_path / "a.csv", '\ufefftext, label\r\n"one\ntwo, ""three""",x\r\n\r\nfour,y\r\n')
    split = read_file(file)
    assert split.columns == {"text": ['one\ntwo, "three"', "four"], "label": ["x", "y"]}
    assert list(split.numbers) == [2, 4]  # a spreadsheet's rows: the header is row 1, the blank row counts


def test_semicolons_and_tabs(tmp_path: Path) -> None:
    wanted = {"text": ["a, b"], "label": ["x"]}
    assert read_file(write(tmp_path / "a.csv", "text;label\na, b;x\n")).columns == wanted
    assert read_file(write(tmp_path / "a.tsv", "text\tlabel\na, b\tx\n")).columns == wanted


def test_parquet_json_and_text(tmp_path: Path) -> None:
    import pyarrow
    import pyarrow.parquet

    table = pyarrow.table({"text": ["a", None], "tags": [["x"], []]})
    pyarrow.parquet.write_table(table, tmp_path / "a.parquet")
    assert read_file(tmp_path / "a.parquet").columns == {"text": ["a", None], "tags": [["x"], []]}
    assert read_file(write(tmp_path / "a.json", '[{"t": "a"}, {"t": "b"}]')).columns == {"t": ["a", "b"]}
    assert read_file(write(tmp_path / "a.txt", b" caf\xe9 \xa35\r\nb\n")).columns == {"text": ["café £5\nb"]}
