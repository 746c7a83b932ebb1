// A charging station on npm's ocpp-rpc, unchanged and strict: boots, starts a transaction, and takes what power its
// charging profiles allow. What happens goes to standard output, one JSON object a line.
//
// node station.js ENDPOINT IDENTITY PROTOCOL
'use strict';

const {RPCClient} = require('ocpp-rpc');

const [endpoint, identity, protocol] = process.argv.slice(2);
const old = protocol === 'ocpp1.6';
const client = new RPCClient({endpoint, identity, protocols: [protocol], strictMode: true, reconnect: false});
const tell = (what) => console.log(JSON.stringify(what));
const now = () => new Date().toISOString();

let transaction = old ? undefined : 'npm-1';  // 1.6: given by the central system, perhaps after the first profile
let limit = 11000;

function sampled() {
    const measurand = 'Power.Active.Import';
    const value = old ? {value: String(limit), measurand, unit: 'W'} : {value: limit, measurand, unitOfMeasure: {unit: 'W'}};
    return [{timestamp: now(), sampledValue: [value]}];
}

async function meter() {
    if (old) {
        await client.call('MeterValues', {
            connectorId: 1, meterValue: sampled(), ...(transaction === undefined ? {} : {transactionId: transaction}),
        });
    } else {
        await event('Updated', 'MeterValuePeriodic', 1);
    }
}

async function event(eventType, triggerReason, seqNo) {
    await client.call('TransactionEvent', {
        eventType,
        triggerReason,
        seqNo,
        timestamp: now(),
        transactionInfo: {transactionId: transaction},
        evse: {id: 1, connectorId: 1},
        meterValue: sampled(),
    });
}

client.handle('GetConfiguration', () => ({
    configurationKey: [{key: 'ChargingScheduleAllowedChargingRateUnit', readonly: true, value: 'Power'}],
}));
client.handle('ChangeConfiguration', () => ({status: 'Accepted'}));
client.handle('TriggerMessage', () => ({status: 'NotImplemented'}));
client.handle('GetVariables', ({params}) => ({
    getVariableResult: params.getVariableData.map((one) => ({...one, attributeStatus: 'UnknownVariable'})),
}));
client.handle('SetVariables', ({params}) => ({
    setVariableResult: params.setVariableData.map(({component, variable}) => ({
        component, variable, attributeStatus: 'Accepted',
    })),
}));
client.handle('SetChargingProfile', ({params}) => {
    const profile = old ? params.csChargingProfiles : params.chargingProfile;
    const schedule = old ? profile.chargingSchedule : profile.chargingSchedule[0];
    limit = schedule.chargingSchedulePeriod[0].limit;
    tell({profile: profile.chargingProfilePurpose, limit});
    setImmediate(meter);
    return {status: 'Accepted'};
});
client.handle('ClearChargingProfile', () => {
    limit = 11000;
    tell({cleared: true});
    return {status: 'Accepted'};
});

async function main() {
    await client.connect();
    const boot = old
        ? {chargePointVendor: 'npm', chargePointModel: 'ocpp-rpc'}
        : {reason: 'PowerUp', chargingStation: {vendorName: 'npm', model: 'ocpp-rpc'}};
    const {status} = await client.call('BootNotification', boot);
    tell({status});
    if (old) {
        const start = {connectorId: 1, idTag: 'NPM', meterStart: 1000, timestamp: now()};
        transaction = (await client.call('StartTransaction', start)).transactionId;
    } else {
        await event('Started', 'CablePluggedIn', 0);
    }
    tell({transaction});
    await meter();
}

client.on('close', () => process.exit(0));
main().catch((error) => {
    console.error(error);
    process.exit(1);
});
