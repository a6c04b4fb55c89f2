"""The differential suite: one configuration, one request, two gateways, and what each of them made of it."""
