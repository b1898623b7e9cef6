# Devices as ESP RainMaker knows them: what a maker declares, and what the cloud may read and write.
#
# Type names and default names are those of Espressif's standard types (esp_rmaker_standard_types.h,
# esp_rmaker_standard_params.h), which phone apps go by. How they are told to a cloud: model.py.

READ = "read"
WRITE = "write"
NAME = "esp.param.name"

_TYPES = {bool: "bool", int: "int", float: "float", str: "string", dict: "object", list: "array"}


def check(options):
    """Raise TypeError for an option of homing.run that is neither of these nor of its others."""
    for name in options:
        if name not in ("devices", "services", "info"):
            raise TypeError("unexpected keyword argument %r" % name)


class Param:
    """One value of a device: bool, int, float, str, dict or list; its type never changes.

    name: what the cloud calls it. type: such as "esp.param.power"; None for one of your own.
    access: of READ and WRITE; what has no READ is never told to anybody. ui: such as
    "esp.ui.slider". bounds: (smallest, largest) or (smallest, largest, step) of a number. choices:
    the texts that it may be. persist: keep it in flash.
    """

    def __init__(
        self, name, value, type=None, access=(READ, WRITE), ui=None, bounds=None, choices=None,
        persist=False,
    ):  # fmt: skip
        self.name = name
        self.type = type
        self.access = access
        self.ui = ui
        self.bounds = bounds
        self.choices = choices
        self.persist = persist
        self.value = value
        self.device = None
        self.changed = False  # since it was last reported
        self.value = self.check(value)

    @property
    def data_type(self):
        """What the cloud calls its type."""
        return _TYPES[type(self.value)]

    def check(self, value):
        """The value as this parameter keeps it. Raises ValueError if it cannot be."""
        kind = type(self.value)
        if kind is float and type(value) is int:
            value = float(value)
        if type(value) is not kind or kind not in _TYPES:
            raise ValueError("%s: not of its type" % self.name)
        if self.bounds and not self.bounds[0] <= value <= self.bounds[1]:
            raise ValueError("%s: out of bounds" % self.name)
        if self.choices and value not in self.choices:
            raise ValueError("%s: not one of its choices" % self.name)
        return value

    def set(self, value):
        """What it is now, said by the board: kept, reported. Raises ValueError, OSError."""
        if self.put(value) and self.device and self.device.model:
            self.device.model.settle()

    def put(self, value):
        """As set(), but nobody hears of it yet; True if it is another value than before."""
        value = self.check(value)
        if value == self.value:
            return False
        self.value = value
        self.changed = True
        return True


class Device:
    """A device of your own: its name, a type such as "esp.device.switch", and its parameters.

    on_write(param, value): called in main when the cloud writes, before the value is taken;
    ValueError from it refuses. It is not called for the name. primary: the parameter that an app
    shows first, by name.
    """

    service = False

    def __init__(self, name, type, params, on_write=None, primary=None):
        self.name = name
        self.type = type
        self.params = list(params)
        self.on_write = on_write
        self.primary = primary
        self.model = None
        if not self.service and not any(param.type == NAME for param in self.params):
            self.params.insert(0, Param("Name", name, NAME, persist=True))
        for param in self.params:
            param.device = self

    def __getitem__(self, name):
        """The parameter of that name, or KeyError."""
        for param in self.params:
            if param.name == name:
                return param
        raise KeyError(name)


class Service(Device):
    """A service of your own: as a device, but without a name of its own that a person gives."""

    service = True


def of(name):
    """A property that stands for the value of the parameter of that name."""

    def get(self):
        return self[name].value

    def set_(self, value):
        self[name].set(value)

    return property(get, set_)


def power_param(value):
    """The parameter of a device that is on or off."""
    return Param("Power", value, "esp.param.power", ui="esp.ui.toggle")


class Switch(Device):
    """Something that is on or off: .power."""

    def __init__(self, name="Switch", on_write=None, power=False, params=()):
        """params: more parameters than the standard ones, as for the others."""
        super().__init__(
            name, "esp.device.switch", [power_param(power)] + list(params), on_write, "Power"
        )

    power = of("Power")


def __getattr__(name):
    # Most boards have a switch; what the others are is loaded for those who name it.
    from . import device_kinds

    return getattr(device_kinds, name)
