"""What the doors to models of `transformers` have in common: where the model is from, and where it runs."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Literal

from internvid.hub import HubModel
from resources.door import Door, Readiness

if TYPE_CHECKING:
    import torch


class HubDoor(Door):
    """weights: an id of the Hugging Face hub, or a folder as `save_pretrained` writes it. commit: of the hub, a commit,
    tag or branch; only a commit is sure to be the same model tomorrow. device: as torch names it; auto takes a GPU if
    there is one. dtype: auto is as the weights are stored on a GPU, and float32 on a CPU.
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
            self.__dict__.pop("hub_model")  # its files may have come since; once they are there, a row costs no look
        return self.hub_model.revision

    @property
    def weights_version(self) -> str:
        """What the version of such a door begins with."""
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
        if size is None:
            return Readiness(
                "missing",
                advice=f"the first run fetches {self.weights} from the Hugging Face hub; "
                f"`hf download {self.weights}` does so now, or give a folder as `weights`",
            )
        return Readiness("ready", size)
