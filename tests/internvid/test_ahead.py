"""Inputs that are made in threads, ahead of their use."""

import threading
import time
from itertools import count, islice

import pytest

from internvid.ahead import made_ahead, prepared_ahead


@pytest.mark.parametrize("threads", [0, 1, 3])
def test_results_come_in_the_order_of_the_inputs_whichever_is_ready_first(threads):
    def prepare(number: int) -> int:
        time.sleep(0.02 if number % 3 == 0 else 0.0)
        return number * number

    assert list(prepared_ahead(prepare, range(10), threads=threads)) == [number * number for number in range(10)]
    assert list(prepared_ahead(prepare, [], threads=threads)) == []


def test_the_next_one_is_prepared_while_one_is_in_use():
    prepared = {number: threading.Event() for number in range(4)}

    def prepare(number: int) -> int:
        prepared[number].set()
        return number

    for number in prepared_ahead(prepare, range(4)):
        if number < 3:
            assert prepared[number + 1].wait(60)  # it would not be, before this one is done with


def test_no_more_are_prepared_than_threads_and_one_even_of_inputs_without_end():
    begun = []
    prepared = prepared_ahead(lambda number: begun.append(number) or number, count(), threads=2)
    assert list(islice(prepared, 3)) == [0, 1, 2]
    prepared.close()  # waits for what is under way
    assert max(begun) <= 4


def test_an_error_is_raised_in_the_place_of_its_input_and_threads_end():
    def prepare(number: int) -> int:
        if number == 2:
            raise ValueError("a broken picture")
        return number

    prepared = prepared_ahead(prepare, range(9), threads=2)
    assert list(islice(prepared, 2)) == [0, 1]
    with pytest.raises(ValueError, match="a broken picture"):
        next(prepared)
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("prepare")]


def test_what_makes_items_runs_in_a_thread_and_its_error_is_raised_in_their_order():
    makers = []

    def items():
        for number in range(3):
            makers.append(threading.current_thread())
            yield number
        raise ValueError("the sound ends here")

    made = made_ahead(items())
    assert list(islice(made, 3)) == [0, 1, 2]
    with pytest.raises(ValueError, match="the sound ends here"):
        next(made)
    assert threading.main_thread() not in makers
    assert list(made_ahead(iter("abc"))) == ["a", "b", "c"]
