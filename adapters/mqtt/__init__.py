"""MQTT site gateways: our subscriber (`link`); `simulated` holds the device side.

One gateway a site speaks for its devices over whatever broker the operator runs (MQTT 3.1.1)::

    vpp/v1/sites/{site}/telemetry   gateway -> us   QoS 0, replaced by the next
    vpp/v1/sites/{site}/command     us -> gateway   QoS 1, batched a site
    vpp/v1/sites/{site}/outcome     gateway -> us   QoS 1, each command answered once
    vpp/v1/sites/{site}/status      gateway -> us   QoS 1, retained; the last will says offline

The messages are described in `payload`. `Resource.address` is ``site/device``.
"""
