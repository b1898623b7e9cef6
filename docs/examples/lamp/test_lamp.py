"""The lamp is lit when its owner has given it Wi-Fi, and dark while the router is away."""


def test_lit_once_it_has_wifi(board, phone):
    board.wait_state("advertising")
    phone.provision()
    board.wait_text("the lamp is lit")
    board.reset()
    board.wait_text("the lamp is lit", start=board.log.rindex("@boot"))


def test_dark_while_the_router_is_away(board, phone, scene):
    phone.provision()
    board.wait_text("the lamp is lit")
    scene.access_point.up = False
    board.wait_text("the lamp is dark")
    scene.access_point.up = True
    board.wait_text("the lamp is lit", start=board.log.rindex("dark"))
