"""Hugging Face's Trainer on PyTorch, without a GPU.

Its networks' random weights are its own, so its losses are its own too. As in
the others there is no dropout, and the backbone's batch normalisation runs on
its statistics.
"""

import tempfile

import torch
import transformers
from transformers.trainer_callback import PrinterCallback

from benchmarks.peers import NotAvailable
from benchmarks.peers import data as examples
from benchmarks.peers.cases import CASES, Texts
from benchmarks.peers.task import CLASSES, HEAD_RATE, SEED, TAIL_RATE

_CALIBRATED_ON = 16
_MEAN = (0.485, 0.456, 0.406)
_DEVIATION = (0.229, 0.224, 0.225)
_OURS_TO_THEIRS = {
    "token_ids": "input_ids",
    "segment_ids": "token_type_ids",
    "padding_mask": "attention_mask",
}


def prepare(task, folder):
    """Writes random weights that stand for pretrained ones, once."""
    path = folder / "transformers"
    if path.exists():
        return
    torch.manual_seed(SEED)
    case = CASES[task.backbone]
    if isinstance(case, Texts):
        _bert(case).save_pretrained(path)
        return
    if case.network not in _NETWORKS:
        raise NotAvailable(f"transformers has no {case.network}")
    model = _NETWORKS[case.network]()
    (pictures, _), _ = examples.make(task)
    pixels = _as_tensors(pictures[:_CALIBRATED_ON])
    _calibrate(model, _normalised(pixels["pixel_values"]))
    model.save_pretrained(path)


def run(task, folder, data, clock, is_fast=False):
    """Loads the classifier and trains it in two stages.

    Args:
        task: What is to be done.
        folder: Where `prepare` wrote.
        data: Training and validation examples.
        clock: Whose sections are filled.
        is_fast: Whether it runs in channels_last and bfloat16.
    """
    if task.threads:
        torch.set_num_threads(task.threads)
    transformers.set_seed(SEED)
    case = CASES[task.backbone]
    clock.begin("build")
    model = _load(case, folder / "transformers")
    if is_fast and not isinstance(case, Texts):
        model = model.to(memory_format=torch.channels_last)
    clock.begin("head")
    is_half = is_fast or "bfloat16" in task.precision
    parts = [_Examples(*part) for part in data]
    _open(model, ("classifier",))
    logs = _fit(
        model, parts, task, task.head_epochs, HEAD_RATE, is_half, is_fast
    )
    if task.tail_epochs:
        clock.begin("tail")
        _open(model, ("classifier", *_tail(case, model)))
        logs = _fit(
            model, parts, task, task.tail_epochs, TAIL_RATE, is_half, is_fast
        )
    clock.end()
    return {
        "final_loss": [row["loss"] for row in logs if "loss" in row][-1],
        "validation_loss": [
            row["eval_loss"] for row in logs if "eval_loss" in row
        ][-1],
    }


class _Examples(torch.utils.data.Dataset):
    """Arrays in memory that give a whole batch at a time."""

    def __init__(self, inputs, labels):
        self._inputs = _as_tensors(inputs)
        self._labels = torch.from_numpy(labels)

    def __len__(self):
        return len(self._labels)

    def __getitems__(self, rows):
        picked = {name: values[rows] for name, values in self._inputs.items()}
        return picked | {"labels": self._labels[rows]}


def _fit(model, parts, task, epochs, rate, is_half, is_channels_last):
    """One call of Trainer, told to do what the others do and no more."""
    train, held = parts

    def collate(batch):
        if "pixel_values" not in batch:
            return batch
        pixels = _normalised(batch["pixel_values"])
        if is_channels_last:
            pixels = pixels.contiguous(memory_format=torch.channels_last)
        return batch | {"pixel_values": pixels}

    with tempfile.TemporaryDirectory() as folder:
        arguments = transformers.TrainingArguments(
            folder,
            num_train_epochs=epochs,
            per_device_train_batch_size=task.batch_size,
            per_device_eval_batch_size=task.batch_size,
            learning_rate=rate,
            lr_scheduler_type="constant",
            optim="sgd",
            max_grad_norm=0.0,
            bf16=is_half,
            use_cpu=True,
            eval_strategy="epoch",
            logging_strategy="epoch",
            save_strategy="no",
            report_to="none",
            disable_tqdm=True,
            dataloader_pin_memory=False,
            remove_unused_columns=False,
            prediction_loss_only=True,
            seed=SEED,
        )
        trainer = transformers.Trainer(
            model=model,
            args=arguments,
            data_collator=collate,
            train_dataset=train,
            eval_dataset=held,
        )
        trainer.remove_callback(PrinterCallback)
        trainer.train()
    return trainer.state.log_history


def _load(case, path):
    """Loads the classifier, its batch normalisation held on statistics."""
    kind = transformers.AutoModelForImageClassification
    if isinstance(case, Texts):
        kind = transformers.AutoModelForSequenceClassification
    model = kind.from_pretrained(path)
    linear = [m for m in model.modules() if isinstance(m, torch.nn.Linear)][-1]
    kernel, bias = examples.head_weights(linear.in_features)
    with torch.no_grad():
        linear.weight.copy_(torch.from_numpy(kernel.T))
        linear.bias.copy_(torch.from_numpy(bias))
    for norm in _norms(model):
        norm.eval()
        # Trainer puts the model into training mode at every step.
        norm.train = lambda mode=True, norm=norm: norm
    return model


def _open(model, names):
    """Lets those modules train, all but their batch normalisation."""
    for name, parameter in model.named_parameters():
        parameter.requires_grad = name.startswith(names)
    for norm in _norms(model):
        for parameter in norm.parameters():
            parameter.requires_grad = False


def _tail(case, model):
    """What the last block's parameters' names begin with."""
    if isinstance(case, Texts):
        return (f"bert.encoder.layer.{case.layers - 1}.", "bert.pooler.")
    if case.network == "ResNet50":
        return ("resnet.encoder.stages.3.",)
    # The two stages of the smallest resolution, five blocks, and the top.
    blocks = len(model.efficientnet.encoder.blocks)
    encoder = "efficientnet.encoder"
    last = [f"{encoder}.blocks.{i}." for i in range(blocks - 5, blocks)]
    return (*last, f"{encoder}.top_")


def _res_net_50():
    # Keras' ResNet50 takes the stride in the first convolution of a block.
    return transformers.ResNetForImageClassification(
        transformers.ResNetConfig(
            num_labels=CLASSES, downsample_in_bottleneck=True
        )
    )


def _efficient_net_b0():
    return transformers.EfficientNetForImageClassification(
        transformers.EfficientNetConfig(
            num_labels=CLASSES,
            width_coefficient=1.0,
            depth_coefficient=1.0,
            hidden_dim=1280,
            drop_connect_rate=0.0,
            dropout_rate=0.0,
        )
    )


def _bert(case):
    return transformers.BertForSequenceClassification(
        transformers.BertConfig(
            num_labels=CLASSES,
            vocab_size=case.vocabulary,
            num_hidden_layers=case.layers,
            num_attention_heads=case.heads,
            hidden_size=case.width,
            intermediate_size=case.inner_width,
            max_position_embeddings=case.positions,
            hidden_dropout_prob=0.0,
            attention_probs_dropout_prob=0.0,
        )
    )


_NETWORKS = {
    "ResNet50": _res_net_50,
    # The nearest there is: transformers has the first version alone.
    "EfficientNetV2B0": _efficient_net_b0,
}


def _norms(model):
    kind = torch.nn.BatchNorm2d
    return [module for module in model.modules() if isinstance(module, kind)]


def _calibrate(model, pixels):
    """Gives batch normalisation the statistics of these pictures.

    Convolutions and scales are drawn anew: as transformers draws them,
    signals vanish in EfficientNet, and arithmetic on vanishing numbers is
    slow.
    """
    for module in model.modules():
        if isinstance(module, torch.nn.Conv2d):
            torch.nn.init.kaiming_normal_(module.weight)
    momenta = [norm.momentum for norm in _norms(model)]
    for norm in _norms(model):
        torch.nn.init.ones_(norm.weight)
        norm.momentum = 1.0
    with torch.no_grad():
        model.train()(pixels)
    for norm, momentum in zip(_norms(model), momenta, strict=True):
        norm.momentum = momentum


def _as_tensors(inputs):
    """Names arrays as transformers does; pictures stay bytes."""
    if isinstance(inputs, dict):
        return {
            _OURS_TO_THEIRS[name]: torch.from_numpy(values).long()
            for name, values in inputs.items()
        }
    pixels = torch.from_numpy(inputs).permute(0, 3, 1, 2).contiguous()
    return {"pixel_values": pixels}


def _normalised(pixels):
    mean = torch.tensor(_MEAN).view(-1, 1, 1) * 255
    deviation = torch.tensor(_DEVIATION).view(-1, 1, 1) * 255
    return (pixels.float() - mean) / deviation
