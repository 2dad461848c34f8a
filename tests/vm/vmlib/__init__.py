# SPDX-License-Identifier: MIT
"""Real guests for virtio-gpud's tests and its demo; see tests/vm/README.md."""
