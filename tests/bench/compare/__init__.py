# SPDX-License-Identifier: BSD-2-Clause
"""Umbra beside KVM: the same guest on both, on the same emulated machine. tools/bench is the command."""
