"""Collects vectors and gives them their common fields."""

from codec import Refused


class Book:
    """Vectors by file: `<area>/<topic>` -> list."""

    def __init__(self):
        self.files, self.ids = {}, set()

    def add(self, file, name, requirement, operation, given, *, expect=None, code=None, wire=None, edge=False, note):
        """One vector. With a code it is refused; `wire` is the error code that the peer is told."""
        name = f"{file.split('/')[0]}/{name}"
        assert name not in self.ids, name
        self.ids.add(name)
        result = "edge" if edge else "invalid" if code else "valid"
        vector = {"id": name, "requirement": requirement, "operation": operation, "input": given, "result": result}
        if code is None:
            vector["expect"] = expect
        else:
            vector["code"] = code
        if wire is not None:
            vector["wire"] = wire
        vector["note"] = note
        self.files.setdefault(file, []).append(vector)


def refusal(act, *args):
    """The code with which `act` refuses; fails when it does not."""
    try:
        act(*args)
    except Refused as refused:
        return refused.code
    raise AssertionError(f"{act.__name__} was expected to refuse")
