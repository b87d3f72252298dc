"""The base of providers of `transformers` models: the model's origin, and the device it runs on."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Literal

from internvid.hub import HubModel
from resources.models.provider import ModelProvider, Readiness

if TYPE_CHECKING:
    import torch


class HubProvider(ModelProvider):
    """A model of `transformers`.

    weights: an id of the Hugging Face hub, or a folder as `save_pretrained` writes it. commit: commit, tag or branch of
    the hub; only a commit always names the same weights. device: as torch names it; auto takes a GPU if available.
    dtype: auto: as stored on a GPU, float32 on a CPU.
    """

    weights: str
    commit: str = "main"
    device: str = "auto"
    dtype: Literal["auto", "float32", "float16", "bfloat16"] = "auto"

    @cached_property
    def hub_model(self) -> HubModel:
        return HubModel(self.weights, self.commit)

    @property
    def model(self) -> str:
        return self.hub_model.name

    @property
    def revision(self) -> str | None:
        if self.hub_model.revision is None:
            self.__dict__.pop("hub_model")  # its files may be downloaded later; the revision is cached once they exist
        return self.hub_model.revision

    @property
    def weights_version(self) -> str:
        """The first part of the version of such a provider."""
        return self.hub_model.version + ("" if self.dtype == "auto" else f"+{self.dtype}")

    @property
    def device_name(self) -> str:
        return str(self.torch_device)

    @property
    def torch_device(self) -> torch.device:
        from internvid.viclip.device import device_named

        return device_named(self.device)

    @property
    def torch_dtype(self) -> torch.dtype | Literal["auto"]:
        """As `from_pretrained` takes it."""
        import torch

        if self.dtype == "auto":
            return torch.float32 if self.torch_device.type == "cpu" else "auto"
        return getattr(torch, self.dtype)

    def readiness(self) -> Readiness:
        size = self.hub_model.size_bytes
        if size is None and self.weights.startswith(("/", ".", "~")):
            return Readiness("missing", advice=f"there is no model folder {self.weights}: correct `weights`")
        if size is None:
            return Readiness(
                "missing",
                advice=f"the first run fetches {self.weights} from the Hugging Face hub; "
                f"`hf download {self.weights}` does so now, or give a folder as `weights`",
            )
        return Readiness("ready", size)
