// npm's meshblu-http through everything that the mesh serves today: success and refusal of each call.
"use strict";

const MeshbluHttp = require("meshblu-http");
const { call, finish, options } = require("./steps");

function client(credentials, more) {
  return new MeshbluHttp(
    Object.assign({ protocol: "http", hostname: "127.0.0.1", port: options.port }, credentials, more),
  );
}

finish(async () => {
  const result = {};
  const anybody = client({});
  const properties = Object.assign({ type: "test" }, options.properties);
  result.healthcheck = await call(anybody, "healthcheck");
  result.registered = await call(anybody, "register", properties);
  if (result.registered.error) return result;
  const { uuid, token } = result.registered.value;
  const device = client({ uuid, token });
  const stranger = client({ uuid, token: "wrong" });
  const bearer = client({}, { bearerToken: Buffer.from(uuid + ":" + token).toString("base64") });

  result.authenticate = await call(device, "authenticate");
  result.authenticateWrong = await call(stranger, "authenticate");
  result.whoami = await call(device, "whoami");
  result.whoamiBearer = await call(bearer, "whoami");
  result.whoamiWrong = await call(stranger, "whoami");
  result.device = await call(device, "device", uuid);
  result.deviceMissing = await call(device, "device", "00000000-0000-4000-8000-000000000000");
  result.update = await call(device, "update", uuid, { color: "red" });
  result.updateDangerously = await call(device, "updateDangerously", uuid, { $inc: { count: 2 } });
  result.updateInvalid = await call(device, "updateDangerously", uuid, { color: "red" });
  result.updateEmpty = await call(device, "update", uuid, {});
  result.hook = await call(device, "createHook", uuid, "received", "http://127.0.0.1:1/");
  result.after = await call(device, "whoami");

  // A second device that is owned, so that strangers are refused: registered by the first one.
  const owned = Object.assign({ owner: uuid }, options.ownedProperties);
  result.owned = await call(device, "register", owned);
  const other = client({ uuid: result.owned.value.uuid, token: result.owned.value.token });
  const closed = { meshblu: { version: "2.0.0" } };
  result.closedDevice = await call(device, "register", Object.assign(closed, options.ownedProperties));
  result.ownedByOwner = await call(device, "device", result.owned.value.uuid);
  result.closedByOther = await call(other, "device", result.closedDevice.value.uuid);
  result.updateForbidden = await call(other, "update", result.closedDevice.value.uuid, { a: 1 });
  result.asForbidden = await call(other, "device", uuid, { as: result.closedDevice.value.uuid });

  result.message = await call(device, "message", { devices: [result.owned.value.uuid], payload: 1 });
  result.broadcast = await call(device, "message", { devices: ["*"], payload: 1 });
  result.messageNobody = await call(device, "message", { payload: 1 });
  result.messageWrong = await call(stranger, "message", { devices: ["*"] });

  result.token = await call(device, "generateAndStoreToken", uuid);
  result.tagged = await call(device, "generateAndStoreTokenWithOptions", uuid, { tag: "x" });
  const bySession = client({ uuid, token: result.token.value.token });
  const byTag = client({ uuid, token: result.tagged.value.token });
  result.sessionToken = await call(bySession, "whoami");
  result.revokeToken = await call(device, "revokeToken", uuid, result.token.value.token);
  result.sessionTokenRevoked = await call(bySession, "whoami");
  result.taggedToken = await call(byTag, "whoami");
  result.revokeTokenByQuery = await call(device, "revokeTokenByQuery", uuid, { tag: "x" });
  result.taggedTokenRevoked = await call(byTag, "whoami");

  result.publicKey = await call(anybody, "publicKey", uuid);
  result.serverPublicKey = await call(anybody, "getServerPublicKey");
  result.reset = await call(device, "resetToken", uuid);
  result.afterReset = await call(device, "whoami");
  const again = client({ uuid, token: result.reset.value.token });
  result.unregister = await call(again, "unregister", { uuid });
  result.afterUnregister = await call(again, "whoami");
  return result;
});
