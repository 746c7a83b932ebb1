"""OCPP 1.6 frames of swarm stations, ready but for the figures."""

BOOT = (
    b'"BootNotification",{"chargePointVendor":"VPP","chargePointModel":"Swarm","chargePointSerialNumber":"%b",'
    b'"firmwareVersion":"1.0"}]'
)
STATUS = b'"StatusNotification",{"connectorId":1,"errorCode":"NoError","status":"Charging","timestamp":"%b"}]'
METER_VALUES = (
    b'"MeterValues",{"connectorId":1,"meterValue":[{"timestamp":"%b","sampledValue":['
    b'{"value":"%d","context":"Sample.Periodic","format":"Raw","measurand":"Energy.Active.Import.Register",'
    b'"location":"Outlet","unit":"Wh"},'
    b'{"value":"%d.0","context":"Sample.Periodic","format":"Raw","measurand":"Power.Active.Import",'
    b'"location":"Outlet","unit":"W"},'
    b'{"value":"%d.4","context":"Sample.Periodic","format":"Raw","measurand":"Current.Import","phase":"L1",'
    b'"location":"Outlet","unit":"A"},'
    b'{"value":"221.7","context":"Sample.Periodic","format":"Raw","measurand":"Voltage","phase":"L1-N",'
    b'"location":"Outlet","unit":"V"}]}]}]'
)
_CONFIGURATION = (
    b'{"configurationKey":[{"key":"ChargingScheduleAllowedChargingRateUnit","readonly":true,"value":"Current,Power"},'
    b'{"key":"ChargeProfileMaxStackLevel","readonly":true,"value":"8"}%b]}'
)


def configuration(*, configured: bool) -> bytes:
    """Return the answer to GetConfiguration, with the settings of a station that has taken them before."""
    return _CONFIGURATION % (_settings() if configured else b"")


def _settings() -> bytes:
    """Return the settings that a central system of ours makes."""
    wanted = "Power.Active.Import,Energy.Active.Import.Register,SoC"
    values = {"MeterValueSampleInterval": "60", "ClockAlignedDataInterval": "60"}
    values |= {"MeterValuesSampledData": wanted, "MeterValuesAlignedData": wanted}
    entries = (f',{{"key":"{key}","readonly":false,"value":"{value}"}}' for key, value in values.items())
    return "".join(entries).encode()
