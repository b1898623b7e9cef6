# More devices as ESP RainMaker knows them, for homing.devices, under which they are named.

from .devices import READ, Device, Param, of, power_param


def _slider(name, value, low, high, type=None, ui="esp.ui.slider"):
    return Param(name, value, type or "esp.param." + name.lower(), ui=ui, bounds=(low, high, 1))


class Light(Device):
    """A light: .power, and .brightness (0 to 100), .hue (0 to 360) and .saturation (0 to 100) for
    those that are given a value."""

    def __init__(
        self, name="Light", on_write=None, power=True, brightness=None, hue=None, saturation=None,
        params=(),
    ):  # fmt: skip
        own = [power_param(power)]
        if brightness is not None:
            own.append(_slider("Brightness", brightness, 0, 100))
        if hue is not None:
            own.append(_slider("Hue", hue, 0, 360, ui="esp.ui.hue-slider"))
        if saturation is not None:
            own.append(_slider("Saturation", saturation, 0, 100))
        super().__init__(name, "esp.device.lightbulb", own + list(params), on_write, "Power")

    power = of("Power")
    brightness = of("Brightness")
    hue = of("Hue")
    saturation = of("Saturation")


Lightbulb = Light


class Fan(Device):
    """A fan: .power, and .speed (0 to 5) if it is given one."""

    def __init__(self, name="Fan", on_write=None, power=False, speed=None, params=()):
        own = [power_param(power)]
        if speed is not None:
            own.append(_slider("Speed", speed, 0, 5))
        super().__init__(name, "esp.device.fan", own + list(params), on_write, "Power")

    power = of("Power")
    speed = of("Speed")


class TemperatureSensor(Device):
    """A thermometer: .temperature, in degrees Celsius, which the cloud only reads."""

    def __init__(self, name="Temperature Sensor", temperature=0.0, params=()):
        own = Param(
            "Temperature",
            float(temperature),
            "esp.param.temperature",
            (READ,),
            "esp.ui.text",
        )
        super().__init__(
            name, "esp.device.temperature-sensor", [own] + list(params), None, "Temperature"
        )

    temperature = of("Temperature")
