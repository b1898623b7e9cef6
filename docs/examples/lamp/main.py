"""A lamp that is lit while its board is online."""

import asyncio

from machine import Pin

import homing

lamp = Pin(8, Pin.OUT, value=0)


async def app(me):
    while True:
        if lamp.value() != me.online:
            lamp.value(me.online)
            print("the lamp is", "lit" if me.online else "dark")
        await asyncio.sleep_ms(200)


homing.run(app)
