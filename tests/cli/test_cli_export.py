"""`tunewright export`: a run to a PEFT folder from the command line."""

from pathlib import Path

from cli_files import Run, classify_recipe, write_recipe
from peft import PeftModel
from transformers import AutoModelForCausalLM

FRONT = {"name": "prompt-tuning", "length": 4, "placement": "very-front"}


def test_a_run_becomes_a_peft_folder(cli: Run, llama: Path, tmp_path: Path) -> None:
    recipe = write_recipe(tmp_path, classify_recipe(tmp_path, llama, method=FRONT))
    assert cli("tune", recipe).code == 0
    out = tmp_path / "peft"
    done = cli("export", tmp_path / "out", "--to", "peft", "--output", out)
    assert (done.code, done.out) == (0, f"written: {out} (PROMPT_TUNING, 4 virtual tokens)\n")
    model = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(llama), str(out))
    assert model.prompt_encoder["default"].embedding.weight.shape == (4, 32)
    again = cli("export", tmp_path / "out", "--output", out)
    assert again.code == 2 and "already there; --overwrite" in again.err
    done = cli("export", tmp_path / "out", "--output", out, "--overwrite", "--json")
    assert done.json == {"output": str(out), "peft_type": "PROMPT_TUNING", "virtual_tokens": 4, "tasks": []}


def test_what_cannot_be_said_is_one_line(cli: Run, llama: Path, tmp_path: Path) -> None:
    recipe = write_recipe(tmp_path, classify_recipe(tmp_path, llama))
    assert cli("tune", recipe).code == 0
    done = cli("export", tmp_path / "out", "--output", tmp_path / "peft")
    assert done.code == 2 and len(done.err.splitlines()) == 1
    assert "PEFT puts virtual tokens before everything; here text comes first: tune with method.placement" in done.err
    assert not (tmp_path / "peft").exists()
    assert cli("export", tmp_path / "nothing", "--output", tmp_path / "peft").code == 2
    assert (
        "'onnx' is not one of 'peft'" in cli("export", tmp_path / "out", "--to", "onnx", "--output", tmp_path / "x").err
    )


def test_a_run_merged_into_a_model(cli: Run, llama: Path, tmp_path: Path) -> None:
    recipe = write_recipe(tmp_path, classify_recipe(tmp_path, llama, method="layer-norm"))
    assert cli("tune", recipe).code == 0
    out = tmp_path / "merged"
    done = cli("export", tmp_path / "out", "--merge", "--output", out)
    assert (done.code, done.out) == (0, f"written: {out} (layer-norm merged; logits differ by at most 0)\n")
    assert cli("export", tmp_path / "out", "--merge", "--output", out, "--overwrite", "--json").json == {
        "output": str(out), "method": "layer-norm", "difference": 0.0,
    }  # fmt: skip
    AutoModelForCausalLM.from_pretrained(out)
    done = cli("export", tmp_path / "out", "--output", tmp_path / "peft")
    assert done.code == 2 and "nothing that PEFT has a form for; export --merge writes the whole model" in done.err
    done = cli("export", tmp_path / "out", "--merge", "--to", "promptsource", "--output", tmp_path / "x")
    assert done.code == 2 and "give one of them" in done.err
