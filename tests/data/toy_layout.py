"""A toy data set: ``toy.txt`` names pictures, each is three files side by side."""

from co2net.data.layouts import Request, register_layout
from co2net.data.samples import Sample


@register_layout
class Toy:
    title = "toy"

    def fits(self, root):
        return (root / "toy.txt").is_file()

    def read(self, request: Request):
        if request.list is not None:
            from co2net.data.frame_lists import read_listed

            return read_listed(request)
        names = (request.root / "toy.txt").read_text().split()
        files = [[request.root / f"{name}.{kind}.png" for kind in ("real", "mask", "composite")] for name in names]
        return [Sample(*paths, picture=number) for number, paths in enumerate(files)]
