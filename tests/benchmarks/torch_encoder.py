"""The network of `embed.encoder` in PyTorch, for comparison."""

import numpy as np
import torch
from torch import nn

from embed.checkpoint import TrainedEncoder, named_parameters
from embed.encoder import EncoderConfig, Stage, _at_centres
from embed.filters import invariants
from embed.geometry import zyx

_EPSILON = 1e-6  # flax's, in its LayerNorm


class TorchStage(nn.Module):
    """A valid convolution, channel normalisation and ReLU, then pointwise residual blocks."""

    def __init__(self, channels: int, stage: Stage, *, normalise: bool, channels_first: bool):
        super().__init__()
        self.channels_first = channels_first
        self.conv = nn.Conv3d(channels, stage.width, stage.kernel, stage.stride)
        width = stage.width
        self.norm = nn.LayerNorm(width, eps=_EPSILON) if normalise else nn.Identity()
        self.blocks = nn.ModuleList(
            nn.Sequential(
                nn.LayerNorm(width, eps=_EPSILON),
                nn.Linear(width, width),
                nn.ReLU(),
                nn.Linear(width, width),
            )
            for _ in range(stage.blocks)
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Channels are last outside; Conv3d takes the same memory, or a copy, as channels first."""
        x = x.permute(0, 4, 1, 2, 3)
        y = self.conv(x.contiguous() if self.channels_first else x).permute(0, 2, 3, 4, 1)
        y = torch.relu(self.norm(y))
        for block in self.blocks:
            y = y + block(y)
        return y


class TorchEncoder(nn.Module):
    """The network of an `EncoderConfig`, its convolutions over channels last or first."""

    def __init__(self, config: EncoderConfig, *, channels_first: bool = False):
        super().__init__()
        self.config = config
        channels = [1, *(stage.width for stage in config.stages)]
        self.stages = nn.ModuleList(
            TorchStage(channels[i], stage, normalise=i > 0, channels_first=channels_first)
            for i, stage in enumerate(config.stages)
        )
        read = sum(config.stages[i].width for i in config.read)
        self.norm = nn.LayerNorm(read, eps=_EPSILON)
        self.head = nn.Linear(read, config.embedding_dim)
        self.filters = (
            nn.Linear(config.bank.count, config.embedding_dim, bias=False)
            if config.filters
            else None
        )
        assert not config.statistics, "of segments none are shown in benchmarks"
        wide = config.embedding_dim + 2 * config.angles
        self.turn = nn.Linear(wide, config.embedding_dim, bias=False) if config.angles else None
        self.shift = nn.Parameter(torch.zeros(config.angles))
        self.scale = nn.Parameter(torch.ones(config.angles))
        if not channels_first:
            self.to(memory_format=torch.channels_last_3d)

    def forward(self, block: torch.Tensor) -> torch.Tensor:
        """Features of every field of view, as `Encoder.features` gives them."""
        cells = self.config.cells(zyx(block.shape[1:]))
        x, read = block[..., None], []
        for i, stage in enumerate(self.stages):
            x = stage(x)
            if i in self.config.read:
                read.append(_at_centres(x, self.config, i, cells))
        learnt = self.head(self.norm(torch.cat(read, dim=-1)))
        return learnt if self.filters is None else learnt + self.filters(self._answers(block))

    def _answers(self, block: torch.Tensor) -> torch.Tensor:
        """What the filters answer, as `FilterBank` gives it."""
        bank, x = self.config.bank, block[:, None]
        for axis in range(3):
            weights = np.stack([bank.weights(axis, s).transpose(2, 1, 0) for s in bank.scales])
            taps = [weights.shape[-1] if a == axis else 1 for a in range(3)]
            kernel = torch.tensor(weights.reshape(-1, weights.shape[2], *taps)).to(block)
            step = [bank.stride[a] if a == axis else 1 for a in range(3)]
            groups = len(bank.scales) if axis > 0 else 1
            x = nn.functional.conv3d(x, kernel, stride=step, groups=groups)
        orders = bank.orders(2)
        by_order = {key: x[:, i :: len(orders)] for i, key in enumerate(orders)}
        return torch.cat(invariants(by_order, bank.axes, torch.sqrt), dim=1).movedim(1, -1)

    def _angles(self, block: torch.Tensor) -> torch.Tensor:
        """Cosines and sines of the tones, as `AngleReading` lays them beside an embedding."""
        bank, x = self.config.tone_bank, block[:, None]
        for axis in range(3):
            taps = np.stack([bank.mean_weights(axis, s).ravel() for s in bank.scales])
            shape = [taps.shape[-1] if a == axis else 1 for a in range(3)]
            kernel = torch.tensor(taps.reshape(-1, 1, *shape)).to(block)
            step = [bank.stride[a] if a == axis else 1 for a in range(3)]
            groups = len(bank.scales) if axis > 0 else 1
            x = nn.functional.conv3d(x, kernel, stride=step, groups=groups)
        angles = (x.movedim(1, -1) - self.shift) * self.scale
        return torch.cat([torch.cos(angles), torch.sin(angles)], dim=-1)

    def embed(self, block: torch.Tensor) -> np.ndarray:
        """Embeddings of length 1, as `Encoder` gives them."""
        with torch.inference_mode():
            x = nn.functional.normalize(self(block), dim=-1, eps=_EPSILON)
            if self.turn is not None:
                x = self.turn(torch.cat([x, self._angles(block)], dim=-1))
            return nn.functional.normalize(x.float(), dim=-1, eps=_EPSILON).numpy()


def torch_encoder(encoder: TrainedEncoder, *, channels_first: bool = False) -> TorchEncoder:
    """The same network with the same parameters."""
    network = TorchEncoder(encoder.config, channels_first=channels_first)
    named = named_parameters(encoder)
    with torch.no_grad():
        for i, stage in enumerate(network.stages):
            _take(stage.conv, stage.norm, named, f"['stages'][{i}][0]")
            for j, (norm, widen, _, narrow) in enumerate(stage.blocks, 1):
                path = f"['stages'][{i}][{j}]"
                _take(widen, norm, named, path, "['widen']")
                _take(narrow, norm, named, path, "['narrow']")
        _take(network.head, network.norm, named, "", "['head']")
        if network.filters is not None:
            kernel = torch.tensor(named["['filters']['kernel'].value"])
            network.filters.weight.copy_(kernel.T)
        if network.turn is not None:
            network.turn.weight.copy_(torch.tensor(named["['angles']['turn']['kernel'].value"]).T)
            network.shift.copy_(torch.tensor(named["['angles']['shift'].value"]))
            network.scale.copy_(torch.tensor(named["['angles']['scale'].value"]))
    return network


def _take(
    product: nn.Module, norm: nn.Module, named: dict[str, np.ndarray], path: str, layer: str = ""
) -> None:
    """Copies the parameters of a convolution or matrix, and of the normalisation beside it."""
    kernel = torch.tensor(named[f"{path}{layer}['kernel'].value"])
    last = kernel.ndim - 1
    product.weight.copy_(kernel.permute(last, last - 1, *range(last - 1)))
    product.bias.copy_(torch.tensor(named[f"{path}{layer}['bias'].value"]))
    if isinstance(norm, nn.LayerNorm):
        norm.weight.copy_(torch.tensor(named[f"{path}['norm']['scale'].value"]))
        norm.bias.copy_(torch.tensor(named[f"{path}['norm']['bias'].value"]))
