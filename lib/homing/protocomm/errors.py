class Refused(Exception):
    """The request gets no answer: the transport fails it and the link stays up.

    Espressif's device code knows no error message for these cases (protocomm.c returns ESP_FAIL);
    what the client sees is an ATT error, or a socket closed without a reply.
    """


def tell(post, item):
    """post(item), news for main. When main is behind, it is lost: the client matters more."""
    if post:
        try:
            post(item)
        except Refused:
            pass
