"""OCPP 1.6J, 2.0.1 and 2.1 over WebSocket: the central system, and simulated charging stations.

Rooms, each importing only those below it::

    central_system/      the ``DeviceLink``: connections, sessions, delivery of instructions
      server             OcppLink: composition, what the service asks
      sessions           one open session a station: liveness, takeover, the kit's ``Host``
      session            one connection: which script speaks next
      delivery           instructions: one waiting per connector and layer, outcomes exactly once
      setup_queue        set-up after a boot, at a rate
      known_stations, security, session_policy, capability_card
    dialects/            v16, v20: meaning of actions, wording of calls
    control/             instructions (profile forms tried in turn), learning from their fate, pacing, waking,
                         control_test, the scripts they are; device_model, charging_needs, composite_schedule
    telemetry/           sampled_values, readings, fast_path (frequent messages), connector_status, measurands
    station/             state of one station across connections: station_state, transactions, installed_profiles,
                         limit_compliance, connector_state, energy_register, derived_power, station_clock,
                         station_troubles, grid_functions, capability_cards
    profiles/            charging profiles as data: nameplates, power_units (kW to W and A), setpoint_forms,
                         profile_ids, profile_policy
    messages/            OCPP-J: rpc (calls and answers), envelope, schemas (official), healing, ocpp_j (constants)
    simulated/           the device side, for the laboratory alone: stations with physics, swarms of ten thousands

A setpoint's way: ``OcppLink.send`` → ``InstructionDelivery.queue`` (pacing) → ``Session.pump`` →
``control.instructions`` (a script, in the station's dialect) → ``rpc.Endpoint.call`` → the kit's
``WebSocketConnection``. A meter value's way back: ``WebSocketConnection`` → ``rpc.Endpoint`` →
``telemetry.fast_path`` → the kit's ``Batcher``.

Signs: net power is load-positive here; OCPP's import is our plus, its export and a negative setpoint our minus.
"""

from adapters.ocpp.central_system.server import OcppLink

__all__ = ["OcppLink"]
