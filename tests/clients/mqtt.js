// npm's meshblu-mqtt through everything it can do, with two devices and a third session.
"use strict";

const Meshblu = require("meshblu-mqtt");
const { call, finish, next, options } = require("./steps");

function connected(credentials) {
  const client = new Meshblu(
    Object.assign({ hostname: "127.0.0.1", port: options.port }, credentials),
  );
  return new Promise((resolve, reject) => {
    client.once("error", reject);
    client.connect((response) => resolve({ client, response }));
  });
}

// The client calls back at CONNACK; its own subscription is granted when a broker has answered a second one.
function subscribed(client, topic) {
  return new Promise((resolve, reject) => {
    client.client.subscribe(topic, { qos: 0 }, (error, granted) =>
      error ? reject(error) : resolve(granted.map((each) => each.qos)),
    );
  });
}

finish(async () => {
  const result = {};
  const a = await connected(options.a);
  const b = await connected(options.b);
  result.connected = a.response;
  result.ownTopic = await subscribed(b.client, options.b.uuid);
  result.openTopic = await subscribed(b.client, options.a.uuid);
  result.closedTopic = await subscribed(b.client, options.closed.uuid);
  result.missingTopic = await subscribed(b.client, "00000000-0000-4000-8000-000000000000");

  result.whoami = await call(a.client, "whoami");
  result.update = await call(a.client, "update", { color: "red" });
  result.after = await call(a.client, "whoami");
  result.updateForbidden = await call(a.client, "update", { uuid: options.closed.uuid, a: 1 });

  const received = next(b.client, "message");
  a.client.message({ devices: [options.b.uuid], payload: "hello" });
  result.received = await received;
  const heard = next(b.client, "message");
  a.client.message({ devices: "*", payload: "all" });
  result.heard = await heard;
  const config = next(b.client, "config");
  result.updateSelf = await call(b.client, "update", { name: "b" });
  result.config = await config;

  result.token = await call(a.client, "generateAndStoreToken", { tag: "x" });
  const session = await connected({ uuid: options.a.uuid, token: result.token.value.token });
  result.bySession = await call(session.client, "whoami");
  result.publicKey = await call(a.client, "getPublicKey", { uuid: options.b.uuid });
  result.reset = await call(a.client, "resetToken", {});
  result.afterReset = await call(a.client, "whoami");
  const topicError = next(a.client, "error");
  a.client.client.publish("nonsense", "{}");
  result.wrongTopic = await topicError;
  result.wrongToken = await connected({ uuid: options.a.uuid, token: "wrong" }).then(
    () => "connected",
    (error) => error.message,
  );
  return result;
});
