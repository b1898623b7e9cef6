"""Crypto kernels in RV32IMC assembler: generated, compiled by mpy-cross, and run in emulation.

docs/native.md tells how it hangs together.
"""
