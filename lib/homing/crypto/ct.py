def equal(a, b):
    """Whether two byte strings are equal, in a time that depends on their length only."""
    if len(a) != len(b):
        return False
    difference = 0
    for i in range(len(a)):
        difference |= a[i] ^ b[i]
    return difference == 0
