import homing
from homing.devices import Switch


def switched(param, value):
    print("the lamp is", "on" if value else "off")


homing.run(devices=[Switch("Lamp", on_write=switched)])
