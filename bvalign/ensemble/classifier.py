"""The base class of our networks, with the interface of timm's."""

from jaxtyping import Float, Num
from torch import Tensor, nn


class Classifier(nn.Module):
    """A feature extractor and one linear layer, with the part of timm's interface that is needed.

    Plan `packed` runs this code too, and its linear layers put a member axis in front.
    """

    num_features: int
    fc: nn.Module

    def forward_features(
        self, input: Num[Tensor, "batch ..."]
    ) -> Float[Tensor, "*members batch features"]:
        """Features of each input, `num_features` of them."""
        raise NotImplementedError

    def forward_head(
        self, features: Float[Tensor, "... features"], pre_logits: bool = False
    ) -> Float[Tensor, "... outputs"]:
        return features if pre_logits else self.fc(features)

    def forward(self, input: Num[Tensor, "batch ..."]) -> Float[Tensor, "*members batch classes"]:
        return self.forward_head(self.forward_features(input))

    def get_classifier(self) -> nn.Module:
        return self.fc

    def reset_classifier(self, num_classes: int, global_pool: str | None = None) -> None:
        self.num_classes = num_classes
        self.fc = nn.Linear(self.num_features, num_classes) if num_classes else nn.Identity()
