"""`internvid plan --generator`: what training a generator takes, with a file of prices its time and money too."""

import json
from pathlib import Path

import pytest
from command import internvid, refused, succeeded

PRICES = """
currency = "EUR"
[machines.gpus]
cpus = 16
gpus = 2
gpu_teraflops = 300
per_hour = 4.0
[machines.cpus]
cpus = 16
per_hour = 1.0
"""


@pytest.mark.slow
def test_a_step_is_reckoned_with_its_time_and_money(lake, tmp_path):
    prices = tmp_path / "prices.toml"
    prices.write_text(PRICES)
    ask = ("plan", "--generator", "t2v-tiny", "--prices", str(prices))
    told = json.loads(succeeded(internvid(*ask, "--json", lake=lake.root)))
    assert told["parameters"]["denoiser"] < told["trained"] == sum(told["parameters"].values())
    assert told["batch_bytes"] > told["fixed_bytes"]
    assert told["step_seconds"] == pytest.approx(told["videos"] * told["flops"] / (2 * 300e12 * 0.4))
    assert told["fitting"]["24"] < told["fitting"]["80"]
    text = succeeded(internvid(*ask, lake=lake.root))
    assert "A step on 2 GPUs of 300 TFLOP/s, of which 40% are assumed to be reached" in text
    assert "Reckoned, not measured" in text


def test_mistakes_are_told(lake, tmp_path: Path):
    def ask(*arguments: str, **environment: str) -> str:
        return refused(internvid("plan", "--generator", *arguments, lake=lake.root, **environment))

    prices = tmp_path / "prices.toml"
    prices.write_text(PRICES)
    assert "there is no recipe of a generator 'viclip-tiny'" in ask("viclip-tiny")
    assert "those with gpu_teraflops in the prices: gpus" in ask("t2v-tiny", "--prices", str(prices), "--kind", "cpus")
    assert "give --prices FILE" in ask("t2v-tiny", "--kind", "gpus")
    assert "is neither a folder nor on this machine" in ask("t2v-sd", INTERNVID_IMAGE_MODEL=str(tmp_path / "none"))
