"""A client for our boards: the phone's side of provisioning and of both clouds."""
