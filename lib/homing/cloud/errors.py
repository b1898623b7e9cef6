# What a request can end in, other than an answer.


class CloudError(Exception):
    """No usable answer. kind: "dns", "connect", "timeout", "certificate", "clock not set",
    "cut" (connection lost in the middle), "tls", "memory", "too long" or "protocol".

    detail is made here, never taken from what the other side sent or from the request.
    """

    def __init__(self, kind, detail=""):
        super().__init__(kind, detail)
        self.kind = kind
        self.detail = detail

    def __str__(self):
        return self.kind + ": " + self.detail if self.detail else self.kind


class Transient(Exception):
    """Try again later. fault: words for the state line; retry_after_s: what the cloud asked for."""

    def __init__(self, fault, retry_after_s=0):
        super().__init__(fault)
        self.fault = fault
        self.retry_after_s = retry_after_s
