"""Packs that can be trained in step."""

from bvalign.predictions.run.claims import Offer, in_step


def test_what_can_go_on_together():
    fresh, five = Offer((0,), frozenset({0})), Offer((1,), frozenset({0, 4, 5}))
    four, six = Offer((2,), frozenset({0, 3, 4})), Offer((3,), frozenset({0, 6}))
    assert in_step([]) == ([], 0)
    assert in_step([fresh]) == ([fresh], 0)
    assert in_step([fresh, five]) == ([five], 5)
    assert in_step([four, fresh, five]) == ([five, four], 4)
    assert in_step([five, six, four]) == ([six], 6)
    other = Offer((4,), frozenset({0}))
    assert in_step([fresh, other]) == ([fresh, other], 0)
