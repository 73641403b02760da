# SPDX-License-Identifier: Apache-2.0
"""version.py - the version of this package: that of the skep it speaks to."""

__version__ = "0.1.0"
