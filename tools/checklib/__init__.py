# SPDX-License-Identifier: MIT
"""What ./check is made of: counting.py (results), runner.py (parts and time), parts.py (which)."""
