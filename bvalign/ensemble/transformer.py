"""A small transformer that reads token ids, trained from scratch."""

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor, nn

from bvalign.ensemble.classifier import Classifier

PADDING = 0
"""The token id that pads a text to its length; attention ignores it."""


class Transformer(Classifier):
    """Word and position embeddings, `depth` encoder blocks, the mean over words, a linear layer.

    Each block normalises before attention and before its ReLU layers (Xiong et al. 2020). There is
    no dropout, so that only initial weights and the order of the data are random.

    Args:
        num_classes: outputs.
        in_chans: token ids; a text is a 1 x length image whose channels are one-hot tokens.
        img_size: (1, length).
        width: of the embeddings.
        depth: number of blocks.
        heads: of the attention; must divide `width`.
    """

    def __init__(
        self,
        num_classes: int = 6,
        in_chans: int = 4000,
        img_size: tuple[int, int] = (1, 24),
        width: int = 64,
        depth: int = 2,
        heads: int = 4,
    ) -> None:
        super().__init__()
        self.words = nn.Embedding(in_chans, width, padding_idx=PADDING)
        self.positions = nn.Parameter(torch.empty(img_size[1], width))
        self.blocks = nn.ModuleList([_Block(width, heads) for _ in range(depth)])
        self.norm = nn.LayerNorm(width)
        for weight in (self.words.weight, self.positions):
            nn.init.normal_(weight, std=0.1)
        self.num_features = width
        self.reset_classifier(num_classes)

    def forward_features(
        self, input: Int64[Tensor, "batch length"]
    ) -> Float[Tensor, "batch width"]:
        """Features of token ids."""
        present = input != PADDING
        x = self.words(input) + self.positions
        for block in self.blocks:
            x = block(x, present)
        weight = present.to(x.dtype).unsqueeze(-1)
        return (self.norm(x) * weight).sum(dim=1) / weight.sum(dim=1).clamp(min=1)


class _Block(nn.Module):
    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        if width % heads:
            raise ValueError(f"the heads must divide the width, got {heads} heads, width {width}")
        self.heads = heads
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.qkv, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.hidden, self.back = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)

    def forward(
        self, x: Float[Tensor, "batch length width"], present: Bool[Tensor, "batch length"]
    ) -> Float[Tensor, "batch length width"]:
        qkv = self.qkv(self.norm1(x)).unflatten(-1, (3, self.heads, -1)).movedim(-3, 0)
        q, k, v = (part.transpose(1, 2) for part in qkv)
        # a finite penalty: a text without words would be NaN with -inf
        penalty = (~present).to(x.dtype).mul(-1e4)[:, None, None, :]
        attended = nn.functional.scaled_dot_product_attention(q, k, v, attn_mask=penalty)
        x = x + self.out(attended.transpose(1, 2).flatten(2))
        return x + self.back(torch.relu(self.hidden(self.norm2(x))))
