"""The two sides of training: our loop, and PEFT with transformers' Trainer, on the same rows from one start."""

import json
from pathlib import Path
from typing import Any

import torch
from clocks import now, parts_of, step_ends
from peft import LoraConfig, PromptEncoderConfig, PromptTuningConfig, get_peft_model
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM, PreTrainedModel, Trainer, TrainingArguments

from tunewright.backbones.examples import View
from tunewright.backbones.fetch import model_folder
from tunewright.backbones.load import device
from tunewright.methods.base import copy_into
from tunewright.recipe import Recipe
from tunewright.runs.constant import constant_prefixes
from tunewright.runs.environment import peak_memory_bytes, reset_peak_memory
from tunewright.runs.prepare import Prepared, prepare
from tunewright.runs.tuning import make_batches, make_plan
from tunewright.training.batches import Batches, Place
from tunewright.training.loop import train
from tunewright.training.rows import RowEncoder

BATCH, TOKENS, SLOTS, RANK = 8, 140, 20, 8
METHODS: dict[str, dict[str, Any]] = {
    "prompt-tuning": {"name": "prompt-tuning", "length": SLOTS, "placement": "front"},  # where PEFT puts them
    "p-tuning": {"name": "p-tuning", "length": SLOTS, "placement": "front", "encoder": "mlp", "init": "none"},
    "lora": {"name": "lora", "rank": RANK, "alpha": 16, "target_modules": ["q_proj", "v_proj"]},
    "full": {"name": "full"},
    "after-fields": {"name": "prompt-tuning", "length": SLOTS, "placement": "after-fields"},
}
RATES = {"prompt-tuning": 3e-2, "p-tuning": 1e-4, "lora": 1e-3, "full": 1e-5, "after-fields": 1e-3}


def recipe_of(spec: dict[str, Any]) -> Recipe:
    """The recipe of both sides: `spec` has method, model, task, steps, and precision (what both start from: fp32)."""
    return Recipe.model_validate(
        {
            "model": spec["model"],
            "task": spec["task"],
            "template": "plain",
            "method": METHODS[spec["method"]],
            "training": {
                "steps": spec["steps"],
                "batch_size": BATCH,
                "max_tokens": TOKENS,
                "optimizer": "adamw",
                "learning_rate": RATES[spec["method"]],
                "schedule": "constant",
                "weight_decay": 0.0,
                "clip": 1.0,
                "precision": spec.get("precision", "fp32"),
            },
        }
    )


def batches_of(prepared: Prepared, rows: int | None = None) -> tuple[Batches, RowEncoder]:
    """The steps of the training split (its first `rows`), as a run makes them."""
    split = prepared.task.split("train")
    encoder = prepared.encoder(split if rows is None else split[:rows])
    defaults = prepared.method.defaults_for(prepared.backbone.family)
    assert defaults is not None
    return make_batches(prepared, encoder, "answer", defaults), encoder


def start(spec: dict[str, Any], folder: Path) -> dict[str, Any]:
    """Write what both sides begin with: the trained parameters, and every step's ids and labels.

    Of full tuning the parameters are the model's own, and are not written once more.
    """
    prepared = prepare(recipe_of(spec))
    trained = prepared.tuner.tunable.trained()
    if spec["method"] != "full":
        save_file({name: p.detach().cpu().contiguous() for name, p in trained.items()}, folder / "start.safetensors")
    stream = batches_of(prepared, spec.get("rows"))[0].steps(Place(0, 0))
    steps = [[ids_and_labels(example.views[0]) for example in next(stream)[1]] for _ in range(spec["steps"])]
    if any(len(step) != BATCH for step in steps):
        raise SystemExit(f"too few rows for {spec['steps']} steps of {BATCH}: the Trainer would cut them otherwise")
    (folder / "batches.json").write_text(json.dumps(steps), encoding="utf-8")
    lengths = sorted(len(row["input_ids"]) for step in steps for row in step)
    return {
        "trained_parameters": sum(p.numel() for p in trained.values()),
        "shortest": lengths[0],
        "longest": lengths[-1],
    }


def ids_and_labels(view: View) -> dict[str, list[int]]:
    """A view as peers read it: no slots, the answer and the end token among the ids, labels for these alone."""
    answer = [ask.token for ask in view.asks]
    ids = [token for token, slot in zip(view.ids, view.soft) if slot < 0] + answer[-1:]
    assert ids[-len(answer) :] == answer
    return {"input_ids": ids, "labels": [-100] * (len(ids) - len(answer)) + answer}


def ours(spec: dict[str, Any], folder: Path) -> dict[str, Any]:
    """Train with our loop."""
    prepared = prepare(recipe_of(spec))
    tuner, defaults = prepared.tuner, prepared.method.defaults
    assert defaults is not None
    if spec["method"] != "full":
        copy_into(tuner.tunable.trained(), load_file(folder / "start.safetensors"), "start")
    batches, encoder = batches_of(prepared, spec.get("rows"))
    plan = make_plan(prepared, defaults, len(encoder.rows), "answer", encoder)
    if spec.get("cached"):
        tuner.prefixes = constant_prefixes(prepared, plan, defaults, len(encoder.rows), folder)
        assert tuner.prefixes is not None, "a run would not keep the constant prefixes here"
    loaded = bytes_loaded(prepared.backbone.model)
    with step_ends() as ends, parts_of(tuner) as parts:
        started = now()
        trained = train(tuner, batches, plan, folder=folder / "ours")
        total = now() - started
    after = [end - started for end in ends]
    return {**_measured(ends, loaded), "losses": trained.losses, "total": total, "parts": dict(parts), "ends": after}


def quiet(precision: str) -> dict[str, Any]:
    """What every peer's trainer is told: one constant rate, nothing looked at, kept or reported beside the losses."""
    return {
        "lr_scheduler_type": "constant",
        "weight_decay": 0.0,
        "max_grad_norm": 1.0,
        "bf16": precision == "bf16",
        "use_cpu": device().type == "cpu",
        "dataloader_pin_memory": device().type != "cpu",
        "eval_strategy": "no",
        "save_strategy": "no",
        "logging_strategy": "steps",
        "logging_steps": 1,
        "report_to": "none",
        "disable_tqdm": True,
    }


def peer(spec: dict[str, Any], folder: Path) -> dict[str, Any]:
    """Train with PEFT and transformers' Trainer, without evaluation, saving or reporting."""
    precision, method = spec["precision"], spec["method"]
    half = precision == "bf16" and method != "full"  # frozen weights in bf16, as ours are; trained ones in fp32
    dtype = torch.bfloat16 if half else torch.float32
    model = AutoModelForCausalLM.from_pretrained(model_folder(spec["model"]), dtype=dtype, use_safetensors=True)
    tuned = model if method == "full" else adapted(model, method, load_file(folder / "start.safetensors"))
    rows = [row for step in json.loads((folder / "batches.json").read_text(encoding="utf-8")) for row in step]
    arguments = TrainingArguments(
        output_dir=str(folder / "peer"),
        max_steps=spec["steps"],
        per_device_train_batch_size=BATCH,
        train_sampling_strategy="sequential",
        learning_rate=RATES[method],
        dataloader_num_workers=0,
        **quiet(precision),
    )
    pad = model.config.pad_token_id or 0  # masked, so any id will do
    trainer = Trainer(tuned, arguments, data_collator=lambda part: _collate(part, pad), train_dataset=rows)
    loaded = bytes_loaded(model)
    with step_ends() as ends:
        started = now()
        trainer.train()
    losses = [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]
    return {**_measured(ends, loaded), "losses": losses, "ends": [end - started for end in ends]}


def adapted(model: PreTrainedModel, method: str, start: dict[str, torch.Tensor]) -> torch.nn.Module:
    """The model in PEFT's wrapping, its trained parameters set to our start."""
    if method == "lora":
        settings = METHODS["lora"]
        config: Any = LoraConfig(
            task_type="CAUSAL_LM", r=RANK, lora_alpha=settings["alpha"], target_modules=settings["target_modules"]
        )
        names = {f"base_model.{name}": value for name, value in start.items()}
    elif method == "p-tuning":
        width = model.config.hidden_size
        config = PromptEncoderConfig(task_type="CAUSAL_LM", num_virtual_tokens=SLOTS, encoder_hidden_size=width)
        names = {
            f"prompt_encoder.default.{name.removeprefix('tunable.encoder.').replace('mlp.', 'mlp_head.')}": value
            for name, value in start.items()
        }
    else:
        config = PromptTuningConfig(task_type="CAUSAL_LM", num_virtual_tokens=SLOTS)
        names = {"prompt_encoder.default.embedding.weight": start["tunable.prompt"]}
    tuned = get_peft_model(model, config)
    copy_into({name: p for name, p in tuned.named_parameters() if p.requires_grad}, names, "start")
    return tuned


def _collate(rows: list[dict[str, list[int]]], pad: int) -> dict[str, torch.Tensor]:
    """Ids, mask and labels [B, T], padded on the right."""
    width = max(len(row["input_ids"]) for row in rows)

    def padded(name: str, fill: int) -> torch.Tensor:
        return torch.tensor([row[name] + [fill] * (width - len(row[name])) for row in rows])

    lengths = torch.tensor([len(row["input_ids"]) for row in rows])
    mask = (torch.arange(width) < lengths[:, None]).long()
    return {"input_ids": padded("input_ids", pad), "attention_mask": mask, "labels": padded("labels", -100)}


def bytes_loaded(model: torch.nn.Module) -> int:
    """The memory in use before training, from which on the peak is counted.

    Every weight is read first: weights of a mapped file come into memory when they are first used.
    """
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.sum()
    reset_peak_memory()
    return peak_memory_bytes()


def _measured(ends: list[float], loaded: int) -> dict[str, Any]:
    """Speed without the first step, and the highest memory since the model was loaded."""
    peak = peak_memory_bytes()
    speed = BATCH * (len(ends) - 1) / (ends[-1] - ends[0])
    return {"steps": len(ends), "examples_per_second": speed, "peak_bytes": peak, "added_bytes": peak - loaded}
