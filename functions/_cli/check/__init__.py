"""`polyglot check`: decides from a bundle, files and a trust file, with no network, whether an asset is what it says.

bundle   the bundle as a bucket that can be read; nothing in it may be idle
files    files against an inventory, digested while everything else is checked
trust    what the auditor trusts, and whether the bundle's ledger is it
verdict  all of it, in order
claims   what is known of each claim, and how
report   the same for a person
"""
