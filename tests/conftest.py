from hypothesis import HealthCheck, settings

pytest_plugins = ["scheduling", "servers", "browsing", "on_cluster"]

# A slow machine is no bug: nothing here is refused for the time it took.
settings.register_profile("tamiz", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("tamiz")
