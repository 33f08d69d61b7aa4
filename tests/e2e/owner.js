// The owner of a device at the parent, with npm's unmodified clients: reads its document, then hears it speak.
"use strict";

const MeshbluHttp = require("meshblu-http");
const Meshblu = require("meshblu-mqtt");
const { call, finish, next, options } = require("../clients/steps");

finish(async () => {
  const result = {};
  const http = new MeshbluHttp({
    protocol: "http",
    hostname: "127.0.0.1",
    port: options.httpPort,
    uuid: options.owner.uuid,
    token: options.owner.token,
  });
  result.whoami = await call(http, "whoami");
  result.device = await call(http, "device", options.device);

  const mqtt = new Meshblu(
    Object.assign({ hostname: "127.0.0.1", port: options.mqttPort }, options.owner),
  );
  await new Promise((resolve, reject) => {
    mqtt.once("error", reject);
    mqtt.connect(resolve);
  });
  result.granted = await new Promise((resolve, reject) => {
    mqtt.client.subscribe(options.device, { qos: 0 }, (error, granted) =>
      error ? reject(error) : resolve(granted.map((each) => each.qos)),
    );
  });
  result.heard = await next(mqtt, "message");
  return result;
});
