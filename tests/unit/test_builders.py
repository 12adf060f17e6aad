"""The inputs that other tests build on are what they claim to be."""

import pytest

from tests.builders import damaged_images, odd_images
from udfs.image_codec import DecodeLimits, ImageFault, decode


@pytest.mark.parametrize("name", sorted(damaged_images()))
def test_damaged_image_cannot_be_decoded(name):
    with pytest.raises(ImageFault):
        decode(damaged_images()[name], DecodeLimits())


@pytest.mark.parametrize("name", sorted(odd_images()))
def test_odd_image_decodes_to_its_upright_size(name):
    expected = (64, 48, 3) if name == "rotated_jpeg" else (48, 64, 3)
    assert decode(odd_images()[name], DecodeLimits()).shape == expected
