"""The stores that the same tests run over, each test with one of its own."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path

import pytest

from .postgres import PostgresMissing, postgres

BACK_ENDS = ("segments", "sealed", "jsonl", "sqlite", "postgresql")


@pytest.fixture(scope="session")
def postgres_url() -> Iterator[str]:
    try:
        with postgres() as url:
            yield url
    except PostgresMissing as missing:
        pytest.skip(f"no PostgreSQL: {missing}")


@pytest.fixture(params=BACK_ENDS)
def back_end(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture
def new_store_name(back_end: str, request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[], str]:
    """Gives the name of a store that is not there yet, each time another one."""
    numbers = count()

    def name() -> str:
        number = next(numbers)
        if back_end == "jsonl":
            return str(tmp_path / f"{number}.jsonl")
        if back_end == "sqlite":
            return f"sqlite:///{tmp_path}/{number}.db"
        if back_end == "postgresql":
            return fresh_database(request.getfixturevalue("postgres_url"))
        return str(tmp_path / str(number))

    return name


_DATABASES = count()


def fresh_database(url: str) -> str:
    """URL of a schema of its own in this server."""
    from sqlalchemy import create_engine, text

    schema = f"store_{next(_DATABASES)}"
    engine = create_engine(url.replace("postgresql:", "postgresql+psycopg:"))
    with engine.begin() as connection:
        connection.execute(text(f"CREATE SCHEMA {schema}"))
    engine.dispose()
    return f"{url}&options=-csearch_path%3D{schema}"
