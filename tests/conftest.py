pytest_plugins = ["tools.harness.suite", "tools.harness.private_network"]
