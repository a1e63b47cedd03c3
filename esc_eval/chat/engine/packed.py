"""Linear layers of a model on a CPU with weights laid out for oneDNN, or rounded to 8 bits.

Torch's own float32 product lays weights out anew at every call; laid out once, small batches run up to three times
faster. The numbers differ by the order of summation alone. Eight bits (a scale for each output, activations rounded
as they come) are faster still and change what a model says.
"""

import warnings
from typing import Any

import torch
from torch import nn

from esc_eval.errors import EscEvalError

BATCH = 64  # tokens a pass that the layout is made for; any other number works
SHARE = 0.25  # of free memory that a second copy of the weights may take


class PackedLinear(nn.Linear):
    """A linear layer that computes with a packed copy of its weights."""

    packed: torch.Tensor
    version: int

    def lay_out(self) -> None:
        """Make the packed copy anew."""
        self.version = self.weight._version
        self.packed = torch.ops.mkldnn._reorder_linear_weight(self.weight.detach(), BATCH)

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        """The affine map, shape (..., in) -> (..., out)."""
        if self.weight._version != self.version:  # someone wrote into the weights
            self.lay_out()
        result: torch.Tensor = torch.ops.mkldnn._linear_pointwise(input, self.packed, self.bias, "none", [], "")
        return result


class Int8Linear(nn.Linear):
    """A linear layer that computes with weights of 8 bits."""

    packed: Any

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        """The affine map, shape (..., in) -> (..., out)."""
        result: torch.Tensor = torch.ops.quantized.linear_dynamic(input, self.packed, False)
        return result


def _plain_linears(model: nn.Module) -> list[nn.Linear]:
    return [module for module in model.modules() if type(module) is nn.Linear]


def pack_linears(model: nn.Module, free: int) -> bool:
    """Pack every plain linear layer of a float32 or bfloat16 model on a CPU; whether it was done.

    Args:
        model: In evaluation mode; its parameters stay as they are, so adapters can still be added.
        free: Bytes of free memory; nothing is packed where the copy would take much of it.
    """
    layers = _plain_linears(model)
    size = sum(layer.weight.nbytes for layer in layers)
    ops = torch.ops.mkldnn
    known = torch.backends.mkldnn.is_available() and hasattr(ops, "_linear_pointwise")
    if not layers or not known or size > SHARE * free or any(layer.weight.device.type != "cpu" for layer in layers):
        return False
    if {layer.weight.dtype for layer in layers} - {torch.float32, torch.bfloat16}:
        return False
    for layer in layers:
        layer.__class__ = PackedLinear
        layer.lay_out()
    return True


def to_int8(model: nn.Module) -> None:
    """Round the weights of every plain linear layer to 8 bits, one scale for each output.

    Raises:
        EscEvalError: The model is not on a CPU, or this build of torch has no 8-bit kernels.
    """
    layers = _plain_linears(model)
    if any(layer.weight.device.type != "cpu" for layer in layers):
        raise EscEvalError("int8 is for CPUs; on an accelerator leave the dtype out")
    try:
        for layer in layers:
            weight = layer.weight.detach().float()
            scales = (weight.abs().amax(dim=1).clamp(min=1e-12) / 127).double()
            zeros = torch.zeros(len(scales), dtype=torch.int64)
            with warnings.catch_warnings():  # deprecated in torch 2.13, whose replacement is a library of its own
                warnings.simplefilter("ignore", UserWarning)
                rounded = torch.quantize_per_channel(weight, scales, zeros, 0, torch.qint8)
            bias = None if layer.bias is None else layer.bias.detach().float()
            layer.packed = torch.ops.quantized.linear_prepack(rounded, bias)
            layer.__class__ = Int8Linear
    except (RuntimeError, AttributeError) as error:
        raise EscEvalError(f"this build of torch cannot compute with 8 bits: {error}") from error
