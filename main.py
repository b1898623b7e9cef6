"""Blink while online. This file is yours."""

import asyncio

from machine import Pin

import homing

led = Pin(8, Pin.OUT)


async def app(me):  # called when the board is provisioned and online
    print("I am", me.id, "at", me.ip)
    while True:
        led.value(me.online and not led.value())
        await asyncio.sleep_ms(500)


homing.run(app)  # provision if needed, join, bind to the account, run app
