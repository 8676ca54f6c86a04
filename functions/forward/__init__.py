"""Tells tenants' Brokers of uploads, where one webhook of a store serves all buckets."""
