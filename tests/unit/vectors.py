# Security 1 with PoP "abcd1234", as recorded from Espressif's own client classes against an
# independent model of a device: client private key 20…3f, device private key 60…7f, random a0…af.

from support import unhex

POP = b"abcd1234"
CLIENT_PRIVATE = bytes(range(0x20, 0x40))
DEVICE_PRIVATE = bytes(range(0x60, 0x80))
DEVICE_RANDOM = bytes(range(0xA0, 0xB0))

CLIENT_PUBLIC = unhex("358072d6365880d1aeea329adf9121383851ed21a28e3b75e965d0d2cd166254")
DEVICE_PUBLIC = unhex("675dd574ed7789310b3d2e7681f3790b466c773b1521fecf36577958371ea52f")
SHARED = unhex("7c79d7b5f31b9aac367477f5f7c7a68b5c44cac28ed5c902a59ec48c02956a6a")
AES_KEY = unhex("95b730af4a2967445547fafd498a4f54bfda6a8b337a7a406bfb5a49479e03c4")

COMMAND0 = unhex(
    "10015a25a201220a20358072d6365880d1aeea329adf9121383851ed21a28e3b75e965d0d2cd166254"
)
RESPONSE0 = unhex(
    "10015a390801aa01341220675dd574ed7789310b3d2e7681f3790b466c773b1521fecf36577958371ea52f"
    "1a10a0a1a2a3a4a5a6a7a8a9aaabacadaeaf"
)
COMMAND1 = unhex(
    "10015a270802b201221220aada0fd0379e807c83a53f3fe21d0e60fc3b5283c0670800cd3b75356828df2e"
)
RESPONSE1 = unhex(
    "10015a270803ba01221a20037d6c6758c1af9275430f258ff6e22f81d3ffe14183d11cc2a8eceedd5f0716"
)
# The same keys with an empty PoP, or none: the AES key is the shared secret itself.
COMMAND1_NO_POP = unhex(
    "10015a270802b201221220a3c7f707a4a3137b001456418a407ba7a206004a5fcdb916ad91238d673c3c1a"
)
RESPONSE1_NO_POP = unhex(
    "10015a270803ba01221a20cea99c50420ee4d0e1e33428babe34851b750e5d560040ac0a5951bdf77ec626"
)

# (step, endpoint, request plain, request cipher, reply plain, reply cipher), in this order.
TRAFFIC = (
    (
        "set",
        "prov-config",
        "080262140a066d7973736964120a6d7970617373776f7264",
        "78b3b0bfa5192011629d60be2a00378269cb634f94c508ab",
        "08036a00",
        "38b24bf9",
    ),
    ("apply", "prov-config", "0804", "c5f7", "08057a00", "c5ce1536"),
    ("status-connecting", "prov-config", "5200", "4ca4", "08015a021001", "b7edd74dcb86"),
    (
        "status-attempt",
        "prov-config",
        "5200",
        "366f",
        "08015a06100162020802",
        "3b60beca2a1fc708b894",
    ),
    (
        "status-connected",
        "prov-config",
        "5200",
        "a2ed",
        "08015a245a220a0c3139322e3136382e312e323310031a066d79737369642206a0b1c2d3e4f52806",
        "3906223c3fc3697ed6f84183fd7cfcc58093f4a9aa53f2c30e17958757af7d22d88a1818c518c185",
    ),
    ("status-autherr", "prov-config", "5200", "826d", "08015a0410035000", "05a8fa3599f57be2"),
    ("status-notfound", "prov-config", "5200", "3cd7", "08015a0410035001", "d117a78f4835e324"),
    ("scan-start", "prov-scan", "5206080118052078", "71bfe3934fa3e420", "08015a00", "0975194a"),
    ("scan-status", "prov-scan", "0802", "3239", "08036a0408011002", "46134e4cedf06661"),
    (
        "scan-result",
        "prov-scan",
        "080472021002",
        "30081be60d15",
        "08057a3f0a1f0a066d7973736964100618d1ffffffffffffffff012206a0b1c2d3e4f528030a1c0a056775"
        "657374100b18b0ffffffffffffffff012206a0b1c2d3e4f6",
        "823919021b142048dde000ab302fd7139be774f02645dc0358302b0aaf764f43b71e0cf43fdf59c4d85e2f"
        "a7143b6b8110553487bc4a11c627712bac1906476b36f977",
    ),
    ("ctrl-reset", "prov-ctrl", "0801", "6b97", "08026200", "5770d143"),
    ("ctrl-reprov", "prov-ctrl", "0803", "a5c4", "08047200", "fc9dbf74"),
)
