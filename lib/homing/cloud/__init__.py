# Clouds: how a board that is online gets bound to its owner. Modules are imported where needed.
