"""Pretrained text encoders, such as BERT, to be fine-tuned; needs `pip install 'bvalign[text]'`."""

from jaxtyping import Float, Int64
from torch import Tensor, nn

from bvalign.ensemble.classifier import Classifier


class PretrainedText(Classifier):
    """A Hugging Face encoder with a new linear layer on the features of its first token.

    `--model.arch=bvalign.ensemble.pretrained_text.PretrainedText`, with the data's `tokenizer` of
    the same name. Members differ only in the linear layer, the order of the data and a bootstrap.
    Dropout is off, as it would not draw from the streams of the members.

    Args:
        num_classes: outputs.
        in_chans: token ids of the data.
        pretrained: name or folder; the paper uses `bert-base-uncased`.

    Raises:
        ValueError: transformers is not installed, or the encoder has fewer tokens than the data.
    """

    def __init__(
        self, num_classes: int, in_chans: int, pretrained: str = "bert-base-uncased"
    ) -> None:
        super().__init__()
        self.encoder = load_encoder(pretrained)
        config = self.encoder.config
        if config.vocab_size < in_chans:
            raise ValueError(
                f"{pretrained} knows {config.vocab_size} tokens, the data has ids up to "
                f"{in_chans - 1}; use --data.tokenizer={pretrained}"
            )
        for module in self.encoder.modules():
            if isinstance(module, nn.Dropout):
                module.p = 0.0
        self.padding = config.pad_token_id or 0
        self.num_features = config.hidden_size
        self.reset_classifier(num_classes)

    def forward_features(
        self, input: Int64[Tensor, "batch length"]
    ) -> Float[Tensor, "batch features"]:
        """Features of token ids, as wide as the encoder's hidden layers."""
        mask = (input != self.padding).long()
        return self.encoder(input_ids=input, attention_mask=mask).last_hidden_state[:, 0]


def load_encoder(pretrained: str) -> nn.Module:
    """The encoder in float32, to be trained, from the local cache, a folder or the hub."""
    try:
        from transformers import AutoModel
    except ImportError as error:
        raise ValueError("pretrained text encoders need: pip install 'bvalign[text]'") from error
    return AutoModel.from_pretrained(pretrained, dtype="float32").train()
