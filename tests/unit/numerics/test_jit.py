"""Compiled kernels are cached under a digest of all that they may call."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from numerics import jit


@pytest.fixture
def tree(tmp_path: Path) -> Iterator[Path]:
    """A package of three rooms: ``first`` calls ``second``, which calls ``third``; ``apart`` calls none."""
    for name in ("", "first", "second", "second/inner", "third", "apart"):
        folder = tmp_path / "product" / name
        folder.mkdir()
        (folder / "__init__.py").write_text("")
    kernel = "from numerics.jit import njit\n"
    (tmp_path / "product/first/kernels.py").write_text(kernel + "from product.second.inner.kernels import add\n")
    (tmp_path / "product/second/inner/kernels.py").write_text(kernel + "from product.third.kernels import two\n")
    (tmp_path / "product/third/kernels.py").write_text(kernel)
    (tmp_path / "product/apart/kernels.py").write_text(kernel)
    yield tmp_path / "product"
    _forget()


def _forget() -> None:
    jit._digest.cache_clear()
    jit._with_kernels.cache_clear()


def _changed(tree: Path, room: str, module: str) -> bool:
    """Return whether the digest of ``room`` is another one after ``module`` was changed."""
    _forget()
    before = jit._digest(tree / room)
    (tree / module).write_text((tree / module).read_text() + "# changed\n")
    _forget()
    return jit._digest(tree / room) != before


@pytest.mark.parametrize("module", ["first/kernels.py", "second/inner/kernels.py", "third/kernels.py"])
def test_a_change_of_what_a_kernel_may_call_changes_its_digest(tree: Path, module: str) -> None:
    assert _changed(tree, "first", module)


@pytest.mark.parametrize("module", ["apart/kernels.py", "first/kernels.py", "second/__init__.py"])
def test_a_change_elsewhere_does_not(tree: Path, module: str) -> None:
    assert not _changed(tree, "second", module)


def test_a_folder_inside_a_room_belongs_to_the_room(tree: Path) -> None:
    assert jit._room(tree / "second/inner") == tree / "second"
    assert jit._room(tree / "second") == tree / "second"
    assert jit._room(tree) == tree
