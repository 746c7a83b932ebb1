"""OCPP 1.6J, 2.0.1 and 2.1 over WebSocket: the central system and simulated charging stations.

Read top-down::

    server.OcppLink          central system: accepts stations, hands out instructions (a ``vpp.ports.DeviceLink``)
      handshake, roster      whose path, which password, which version; whose row is whose
      session.Session        one connection: which script speaks next, silence, loss
        rpc.Endpoint         OCPP-J frames: one outstanding CALL, message ids, repeated messages, malformed frames
        schemas, healing     the official JSON schemas, compiled on first use; what is cosmetic is repaired
      charger.Charger        what is known of one station across its connections
        post, station_clock  one of its connectors: meter, state, car; its clock, measured
        energy_register, derived_power  one register out of whatever it states, and power from its rises
      v16, v2x               what an action means and how a setpoint is written in that version
        transactions, states, metering  what begins and ends one; a car is there, paused, in order; readings in order
      instructions           how one instruction is carried out: ways that are tried, what is recorded
        ways, learning       purpose, unit, step and end of a profile; what their fate teaches of a station
        commands             scripts, verdicts, profiles: what they are made of
      measurands, variables  which readings are asked for; the device model of 2.x
      pacing, waking         which instructions wait; which cars are woken
      troubles               what is the matter with a row
      samples, units         metered values to kW, kWh, 0-1; kW to W or A
      promises, composite    a driver's wish and the schedule in force, as they travel
      coalescer.Coalescer    samples and outcomes in batches to the sink
    stations.OcppStations    device side: thousands of stations in one process (a ``vpp.ports.DeviceSimulator``)
      station.Station        one station: a connection that comes and goes, a queue that survives it
      connector, profile_stack  its cars, its profiles, and what they add up to
      station_v16, station_v2x  its words

Signs: inside net power is load-positive; OCPP's import is our plus, its export and a negative setpoint our minus.
"""

from adapters.ocpp.central_system.server import OcppLink

__all__ = ["OcppLink"]
