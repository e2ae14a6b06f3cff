import asyncio

from histoxplain.widgets import Latest


def test_a_burst_is_drawn_once_with_the_newest_state():
    state, drawn = {"slider": 0}, []

    async def drag():
        draw = Latest(lambda: drawn.append(state["slider"]), on_error=drawn.append)
        for value in range(20):
            state["slider"] = value
            draw({"new": value})
        assert drawn == []
        await asyncio.sleep(0.05)

    asyncio.run(drag())
    assert drawn == [19, None]


def test_the_next_burst_is_drawn_again():
    drawn = []

    async def drag_twice():
        draw = Latest(lambda: drawn.append("x"), on_error=lambda error: None)
        for _ in range(2):
            draw()
            draw()
            await asyncio.sleep(0.05)

    asyncio.run(drag_twice())
    assert drawn == ["x", "x"]


def test_drawing_now_takes_the_place_of_what_was_waiting():
    drawn = []

    async def drag():
        draw = Latest(lambda: drawn.append("x"), on_error=lambda error: None)
        draw()
        draw.now()
        await asyncio.sleep(0.05)

    asyncio.run(drag())
    assert drawn == ["x"]


def test_errors_are_handed_over_and_the_next_drawing_goes_on():
    errors, fail = [], [True]

    def action():
        if fail[0]:
            raise RuntimeError("no picture")

    draw = Latest(action, errors.append)
    draw()
    fail[0] = False
    draw()
    assert [str(error) for error in errors] == ["no picture", "None"]
