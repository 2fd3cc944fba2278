"""The root is what the page on packages says: a second implementation, which shares no line with the first, agrees."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from hypothesis import given, settings
from tests.package import root_by_hand
from tests.package.programs import images

from vac.image.image import Image
from vac.package.image_file import decode_head
from vac.package.page_table import encode_image, load_file


@settings(max_examples=60)
@given(images(), images(), images())
def test_a_second_implementation_agrees(lowest: Image, middle: Image, image: Image) -> None:
    chain = [encode_image(lowest)]
    loaded = load_file(chain[0], decode_head(chain[0]), None)
    for above in (middle, image):
        chain.append(encode_image(above, loaded))
        loaded = load_file(chain[-1], decode_head(chain[-1]), loaded)
    assert root_by_hand.root_of(*chain) == loaded.root


def test_the_second_implementation_knows_nothing_of_the_first() -> None:
    path = Path(root_by_hand.__file__)
    code = "import sys, runpy; runpy.run_path(sys.argv[1]); sys.exit('vac' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code, str(path)]).returncode == 0
