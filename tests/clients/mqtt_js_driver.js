// MQTT.js, told what to do by lines of JSON on stdin; what it saw goes to stdout the same way.
"use strict";

const fs = require("fs");
const readline = require("readline");
const mqtt = require("mqtt");

let client;

function say(word) {
  process.stdout.write(JSON.stringify(word) + "\n");
}

function pairs(properties) {
  const found = [];
  for (const [name, value] of Object.entries(properties || {}))
    for (const each of Array.isArray(value) ? value : [value]) found.push([name, each]);
  return found;
}

function told(topic, payload, packet) {
  const p = packet.properties || {};
  const ids = p.subscriptionIdentifier;
  say({
    event: "message",
    topic,
    payload: payload.toString("base64"),
    qos: packet.qos,
    retain: packet.retain,
    alias: p.topicAlias || 0,
    user: pairs(p.userProperties),
    content_type: p.contentType,
    response_topic: p.responseTopic,
    correlation: p.correlationData && Buffer.from(p.correlationData).toString("base64"),
    expiry_s: p.messageExpiryInterval,
    identifiers: ids === undefined ? [] : [].concat(ids),
  });
}

const verbs = {
  open(word, done) {
    const options = word.options;
    if (word.ca) options.ca = fs.readFileSync(word.ca);
    if (word.will) options.will = Object.assign(word.will, { payload: Buffer.from(word.will.payload, "base64") });
    client = mqtt.connect(word.url, options);
    client.on("packetreceive", (packet) => {
      if (packet.cmd === "disconnect") say({ event: "disconnect", code: packet.reasonCode });
    });
    client.on("packetsend", (packet) => {
      const p = packet.properties || {};
      if (packet.cmd === "publish" && p.topicAlias) say({ event: "alias", topic: packet.topic, alias: p.topicAlias });
    });
    client.on("message", told);
    client.on("close", () => say({ event: "closed" }));
    client.once("connect", (connack) => done({ present: connack.sessionPresent, properties: connack.properties || {} }));
    client.once("error", (error) => done({ refused: error.code || 0, error: error.message }));
  },
  subscribe(word, done) {
    client.subscribe(word.pattern, word.options, (error, granted) =>
      done({ code: granted && granted.length ? granted[0].qos : (error && error.code) || 128 }),
    );
  },
  publish(word, done) {
    const failed = [];
    let left = word.messages.length;
    for (const each of word.messages)
      client.publish(each.topic, Buffer.from(each.payload, "base64"), properties(each), (error) => {
        if (error) failed.push(error.message);
        if (--left === 0) done({ failed });
      });
  },
  close(word, done) {
    client.end(false, {}, () => done({}));
  },
  cut(word, done) {
    client.stream.destroy();
    done({});
  },
};

function properties(each) {
  const p = {};
  if (each.user.length) {
    p.userProperties = {};
    for (const [name, value] of each.user) (p.userProperties[name] = p.userProperties[name] || []).push(value);
  }
  if (each.content_type) p.contentType = each.content_type;
  if (each.response_topic) p.responseTopic = each.response_topic;
  if (each.correlation) p.correlationData = Buffer.from(each.correlation, "base64");
  if (each.expiry_s) p.messageExpiryInterval = each.expiry_s;
  return { qos: each.qos, retain: each.retain, properties: Object.keys(p).length ? p : undefined };
}

readline
  .createInterface({ input: process.stdin })
  .on("line", (line) => {
    const word = JSON.parse(line);
    verbs[word.verb](word, (answer) => say(Object.assign({ event: "done", number: word.number }, answer)));
  })
  .on("close", () => process.exit(0));
