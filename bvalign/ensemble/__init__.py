"""Training: networks, packs of members, and the LightningModule that trains them."""
