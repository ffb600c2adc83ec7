"""What a network of ours has in common with timm's."""

from torch import Tensor, nn


class Classifier(nn.Module):
    """A feature extractor, then one linear layer: the part of timm's interface that is needed."""

    num_features: int
    fc: nn.Module

    def forward_features(self, input: Tensor) -> Tensor:
        """Input (batch, channels, height, width) to features (batch, num_features)."""
        raise NotImplementedError

    def forward_head(self, features: Tensor, pre_logits: bool = False) -> Tensor:
        return features if pre_logits else self.fc(features)

    def forward(self, input: Tensor) -> Tensor:
        return self.forward_head(self.forward_features(input))

    def get_classifier(self) -> nn.Module:
        return self.fc

    def reset_classifier(self, num_classes: int, global_pool: str | None = None) -> None:
        self.num_classes = num_classes
        self.fc = nn.Linear(self.num_features, num_classes) if num_classes else nn.Identity()

    @property
    def head_hidden_size(self) -> int:
        return self.num_features
