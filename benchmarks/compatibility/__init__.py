"""The compatibility table: which architectures translate, how equal they are, how long it takes.

architectures   what is swept, as data
making          makes one model with random weights, in a process of its own
table           docs/compatibility.md
"""
