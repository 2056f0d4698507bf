// Asks a server as OpenAI's JavaScript client does, and prints every answer as one JSON object.
// node client.mjs BASE_URL RECORDING NO_RECORDING
import fs from "node:fs";
import OpenAI, { toFile } from "openai";

const [baseURL, recording, noRecording] = process.argv.slice(2);
const client = new OpenAI({ baseURL, apiKey: "key", maxRetries: 0 });
const ask = (fields = {}, path = recording) =>
  client.audio.transcriptions.create({ file: fs.createReadStream(path), model: "tiny", ...fields });

async function failure(promise) {
  try { return { answer: await promise }; } catch (error) {
    return { class: error.constructor.name, status: error.status, code: error.code, param: error.param, message: error.message };
  }
}

const events = [];
for await (const event of await ask({ stream: true })) events.push(event);
const models = [];
for await (const model of client.models.list()) models.push(model.id);
console.log(JSON.stringify({
  json: await ask(),
  text: await ask({ response_format: "text" }),
  srt: await ask({ response_format: "srt" }),
  verbose: await ask({ response_format: "verbose_json", timestamp_granularities: ["word", "segment"] }),
  bytes: await ask({ file: await toFile(fs.readFileSync(recording), "from memory.wav") }),
  events,
  models,
  no_sound: await failure(ask({}, noRecording)),
  no_model: await failure(ask({ model: "gpt-9" })),
  no_key: await failure(new OpenAI({ baseURL, apiKey: "other", maxRetries: 0 }).models.list()),
}));
