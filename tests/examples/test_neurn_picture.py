"""The picture of NeuRN on real digits."""

import numpy as np
import pytest
from PIL import Image


@pytest.mark.usefixtures("shared_data")
def test_the_picture_is_drawn_and_neurn_is_told_to_be_like_sobel(load_example, tmp_path, capsys):
    load_example("neurn_picture").main(tmp_path / "new" / "digits.png")
    with Image.open(tmp_path / "new" / "digits.png") as picture:
        assert min(picture.size) > 400
        assert np.asarray(picture.convert("HSV"))[..., 1].max() > 200  # in colour
    told = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert [line[0] for line in told] == ["MNIST:", "MNIST-M:", "USPS:", "street:"]
    assert all(0.9 < float(line[-1]) < 1 for line in told)
