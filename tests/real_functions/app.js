// Says what its event asks for, in each way that a Node.js function can.
"use strict";

function write(stream, text, encoding = "utf8") {
  stream.write(Buffer.from(`${text}\n`, encoding));
}

// A full pipe makes Node.js write later: without this the end of a long line could follow the response.
function written(stream) {
  return new Promise((resolve) => stream.write("", resolve));
}

const ways = {
  print: (text) => write(process.stdout, text),
  stderr: (text) => write(process.stderr, text),
  log: (text) => console.info(text),
  latin1: (text) => write(process.stdout, text, "latin1"),
};

write(process.stdout, "the function is loaded");

exports.handler = async (event, context) => {
  for (const [how, text] of event.says) {
    ways[how](text.replaceAll("REQUEST_ID", context.awsRequestId));
  }
  await written(process.stdout);
  await written(process.stderr);
  if (event.fails !== null) {
    throw new RangeError(event.fails.replaceAll("REQUEST_ID", context.awsRequestId));
  }
  return { said: event.says.length };
};
