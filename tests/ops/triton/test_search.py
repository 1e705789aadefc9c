"""Pairs found by sets of bits: the same as by the searches of the CPU, bit for bit."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import gattn

triton = pytest.importorskip("triton")
