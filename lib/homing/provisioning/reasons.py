# Why a network was not joined, as far as a phone is told (network_constants.proto,
# WifiConnectFailedReason). A file of its own: an online board loads nothing else of provisioning.

AUTH_ERROR = 0
NETWORK_NOT_FOUND = 1
