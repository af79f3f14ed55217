"""The picture of domains and the table of preparations, on real digits."""

import numpy as np
import pytest
from PIL import Image

pytestmark = pytest.mark.usefixtures("shared_data")


def test_all_domains_are_drawn(load_example, tmp_path):
    load_example("domains_picture").main(tmp_path / "new" / "domains.png")
    with Image.open(tmp_path / "new" / "domains.png") as picture:
        assert picture.width > 3 * picture.height > 600
        assert np.asarray(picture.convert("HSV"))[..., 1].max() > 200  # street digits have colours


def test_how_digits_lie_in_the_frame_decides(load_example, monkeypatch, capsys):
    """A short version of the table: MNIST's framing makes Semeion, whose digits fill the frame, like MNIST."""
    preparations = load_example("preparations")
    monkeypatch.setattr(preparations, "PREPARATIONS", preparations.PREPARATIONS[::2])
    monkeypatch.setattr(preparations, "SEEDS", 1)
    monkeypatch.setattr(preparations, "EPOCHS", 2)
    preparations.main()
    heading, *lines = capsys.readouterr().out.splitlines()
    assert heading.split() == ["mnist", "usps", "semeion", "fonts"]
    (plain, framed) = (dict(zip(heading.split(), map(float, line.split()[-4:]), strict=True)) for line in lines)
    assert plain["mnist"] > 90
    assert framed["semeion"] > plain["semeion"] + 20
