// aedes with both of its hooks on: a keyed hash of the password, and one rule for topics.
// Started as `node aedes_server.cjs PORT USERS`, with aedes in NODE_PATH.
"use strict";
const { createHmac, timingSafeEqual } = require("node:crypto");
const { createServer } = require("node:net");
const { Aedes } = require("aedes");

const KEY = "bench";
const hash = (text) => createHmac("sha256", KEY).update(text).digest();

async function main(port, count) {
  const users = new Map();
  for (let i = 0; i < count; i += 1) users.set(`bench-${i}`, hash(`secret-${i}`));
  const broker = await Aedes.createBroker();
  broker.authenticate = (client, name, password, done) => {
    const known = users.get(name);
    done(null, known !== undefined && password !== undefined && timingSafeEqual(known, hash(password)));
  };
  broker.authorizePublish = (client, packet, done) =>
    done(packet.topic.startsWith("load/") ? null : new Error("no rule opens it"));
  broker.authorizeSubscribe = (client, subscription, done) =>
    done(null, subscription.topic.startsWith("load/") ? subscription : null);
  createServer(broker.handle).listen(port, "127.0.0.1", 1024);
}

main(Number(process.argv[2]), Number(process.argv[3]));
