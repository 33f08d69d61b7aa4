// One step of a script: call an unmodified client as its users do, keep what the callback got.
"use strict";

const TIMEOUT_MS = 10000;

exports.options = JSON.parse(process.argv[2]);

// Resolves to {error, code, value}: what an error-first callback was called with.
exports.call = function (client, method, ...args) {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error(method + " never called back")), TIMEOUT_MS);
    client[method](...args, (error, value) => {
      clearTimeout(timer);
      resolve({
        error: error ? error.message || String(error) : null,
        code: error && error.code,
        value: value === undefined ? null : value,
      });
    });
  });
};

exports.next = function (emitter, event) {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error("no event " + event)), TIMEOUT_MS);
    emitter.once(event, (value) => {
      clearTimeout(timer);
      resolve(value);
    });
  });
};

exports.finish = function (run) {
  run().then(
    (result) => {
      process.stdout.write(JSON.stringify(result), () => process.exit(0));
    },
    (error) => {
      console.error(error);
      process.exit(1);
    },
  );
};
