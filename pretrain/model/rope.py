"""Where a token stands: positions that restart at each document, and how they enter the model.

Rotary embedding: Su et al. 2021, "RoFormer", section 3.4.2, in the half-split layout of Llama
checkpoints on disk (dimension i is paired with i + C/2). Sinusoids: Vaswani et al. 2017, section
3.5, all sines before all cosines. Nothing is kept in buffers: a cast of the model to bf16 would
round them.
"""

import torch
from torch import Tensor


def document_positions(segment_ids: Tensor) -> Tensor:
    """Distance of each token from the first token of its run of equal segment ids.

    Args:
        segment_ids: (B, T) integers.

    Returns:
        (B, T) int64, 0 at the first token of each document.
    """
    index = torch.arange(segment_ids.shape[1], device=segment_ids.device)  # (T,)
    starts = torch.ones_like(segment_ids, dtype=torch.bool)
    starts[:, 1:] = segment_ids[:, 1:] != segment_ids[:, :-1]
    start_index = torch.where(starts, index, 0).cummax(dim=1).values  # (B, T)
    return index - start_index


def _angles(position_ids: Tensor, *, dim: int, theta: float) -> Tensor:
    exponent = torch.arange(0, dim, 2, device=position_ids.device, dtype=torch.float32) / dim
    inverse_wavelength = 1.0 / (theta**exponent)  # (dim / 2,)
    return position_ids[..., None].float() * inverse_wavelength  # (B, T, dim / 2)


def rope_tables(position_ids: Tensor, *, head_dim: int, theta: float) -> tuple[Tensor, Tensor]:
    """Cosines and sines for `apply_rope`.

    Args:
        position_ids: (B, T) or (1, T).
        head_dim: C, even.
        theta: base of the wavelengths.

    Returns:
        two tensors (B, 1, T, C) fp32.
    """
    angles = _angles(position_ids, dim=head_dim, theta=theta)
    angles = torch.cat((angles, angles), dim=-1)[:, None]  # (B, 1, T, C)
    return angles.cos(), angles.sin()


def apply_rope(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """`x` (B, H, T, C) rotated by its positions, computed in fp32 at least, in the dtype of `x`."""
    first, second = x.chunk(2, dim=-1)
    rotated = torch.cat((-second, first), dim=-1)
    return (x * cos + rotated * sin).to(x.dtype)


def sinusoids(position_ids: Tensor, *, d_model: int) -> Tensor:
    """Fixed position vectors, (B, T, D) fp32."""
    angles = _angles(position_ids, dim=d_model, theta=10_000.0)
    return torch.cat((angles.sin(), angles.cos()), dim=-1)
