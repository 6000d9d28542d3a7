// Says what its event asks for, in each way that a Node.js function can.
"use strict";

const { writeSync } = require("node:fs");

const STDOUT = 1;
const STDERR = 2;

// Pipes are written to at once, as the runtime's own console does: what is said before the response arrives before it.
function write(fd, text, encoding = "utf8") {
  let rest = Buffer.from(`${text}\n`, encoding);
  while (rest.length > 0) {
    rest = rest.subarray(writeSync(fd, rest));
  }
}

const ways = {
  print: (text) => write(STDOUT, text),
  stderr: (text) => write(STDERR, text),
  log: (text) => console.info(text),
  latin1: (text) => write(STDOUT, text, "latin1"),
};

write(STDOUT, "the function is loaded");

exports.handler = async (event, context) => {
  for (const [how, text] of event.says) {
    ways[how](text.replaceAll("REQUEST_ID", context.awsRequestId));
  }
  if (event.fails !== null) {
    throw new RangeError(event.fails.replaceAll("REQUEST_ID", context.awsRequestId));
  }
  return { said: event.says.length };
};
