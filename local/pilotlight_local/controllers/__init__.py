"""The controllers of workloads and endpoints: each reconciles one key at a time from what is."""
