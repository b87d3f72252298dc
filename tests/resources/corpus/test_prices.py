"""Files of prices: the example, and what is wrong with one."""

from pathlib import Path

import pytest

from resources.corpus.estimate.prices import read_prices

EXAMPLE = Path(__file__).parents[3] / "docs" / "prices.example.toml"
MACHINE = "[machines.m]\ncpus = 4\nper_hour = 1.5\n"


def test_the_example_is_a_file_of_prices_and_says_that_its_numbers_are_examples() -> None:
    prices = read_prices(EXAMPLE)
    assert prices.machine("gpu-1").gpus == 1
    assert prices.storage is not None
    assert "Every number here is an example" in EXAMPLE.read_text()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "the key currency is missing"),
        ('currency = "EUR"\n[machines.m]\ncpus = 4\n', "the key machines.m.per_hour is missing"),
        (f'currency = "EUR"\n{MACHINE}memory = 1\n', "there is no key machines.m.memory"),
        ('currency = "EUR"\n[storage]\nper_gb_month = -1\n', "storage.per_gb_month: Input should be greater"),
        (
            'currency = "EUR"\n[storage]\nper_gb_month = "dear"\n',
            "storage.per_gb_month: Input should be a valid number",
        ),
        ("currency = EUR", "is no TOML"),
    ],
)
def test_what_is_wrong_with_a_file_is_said_with_its_name_and_key(tmp_path: Path, text: str, message: str) -> None:
    file = tmp_path / "prices.toml"
    file.write_text(text)
    with pytest.raises(ValueError, match=r"prices\.toml") as error:
        read_prices(file)
    assert message in str(error.value)


def test_an_unknown_kind_and_a_missing_file_are_named(tmp_path: Path) -> None:
    file = tmp_path / "prices.toml"
    file.write_text(f'currency = "EUR"\n{MACHINE}')
    with pytest.raises(ValueError, match="kind 'n'; there are: m"):
        read_prices(file).machine("n")
    with pytest.raises(ValueError, match=r"no file of prices: .*missing\.toml"):
        read_prices(tmp_path / "missing.toml")
