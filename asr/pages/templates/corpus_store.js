// What this browser keeps until the server has it: texts as they are typed, and what was saved but not sent yet.

const kept = (() => {
  const memory = new Map(), full = (name) => `asr-corpus ${name}`; // `memory`: where the browser stores nothing
  return {
    read(name) {
      try { return JSON.parse(memory.get(name) ?? localStorage.getItem(full(name))); } catch { return null; }
    },
    write(name, value) {
      const text = JSON.stringify(value);
      memory.delete(name);
      try { localStorage.setItem(full(name), text); } catch {
        memory.set(name, text);
        say("This browser stores nothing for this page (its storage is full or switched off): do not close it before everything is sent.");
      }
    },
    drop(name) { memory.delete(name); try { localStorage.removeItem(full(name)); } catch { /* nothing is stored */ } },
    names(start) {
      let all = [...memory.keys()];
      try { all = [...all, ...Object.keys(localStorage).filter((one) => one.startsWith(full(start))).map((one) => one.slice(full("").length))]; } catch { /* as above */ }
      return [...new Set(all.filter((one) => one.startsWith(start)))];
    },
  };
})();

// The answer of `corpus/PATH`: JSON, or a Blob of sound. Throws {message, status, current}, without a status where there was no answer.
let away = null; // why nothing can be sent at present
const onAway = []; // called after each change of `away`

async function ask(path, body = null, method = body ? "PUT" : "GET") {
  let answer, found;
  try {
    const headers = { ...authorization(), ...(body && { "Content-Type": "application/json" }) };
    answer = await fetch(`corpus/${path}`, { method, headers, body: body && JSON.stringify(body), signal: AbortSignal.timeout(20000) });
    const sound = answer.headers.get("content-type")?.startsWith("audio/");
    found = sound ? await answer.blob() : await answer.json();
  } catch (error) {
    setAway("The server does not answer.");
    throw { message: "The server does not answer." };
  }
  const message = answer.ok ? null : found?.error?.message || `The server answered with status ${answer.status}.`;
  if (answer.status === 401 && byId("key-field").hidden) { byId("key-field").hidden = false; byId("key").focus(); }
  const later = answer.status === 401 || answer.status === 429 || answer.status >= 500;
  if (later) setAway(message); else if (away) setAway(null);
  if (!answer.ok) throw { message, status: later ? undefined : answer.status, current: found?.current, code: found?.error?.code };
  return found;
}

function setAway(why) {
  if (why === away) return;
  away = why;
  onAway.forEach((act) => act());
}

// Changes on their way to the server, at most one for each segment: {text, by, version, seconds, status, at, sent}.
// `sent`: texts that went before it without an answer. They stay in the browser until the server has confirmed them.
const outbox = (() => {
  const waiting = new Set(); // ids that wait for a decision, after a conflict or a refusal
  const name = (id) => `out ${id}`, get = (id) => kept.read(name(id));
  const ids = () => kept.names("out ").map((one) => one.slice(4));
  let busy = false, delay_ms = 1000, timer = 0;

  function put(id, change) {
    const before = get(id), seconds = change.seconds + (before?.seconds || 0);
    const rest = before ? { version: before.version, sent: before.sent, seconds } : { sent: [] };
    waiting.delete(id);
    kept.write(name(id), { ...change, at: Date.now(), ...rest });
    deliver();
  }
  function drop(id) { waiting.delete(id); kept.drop(name(id)); }

  async function deliver() {
    clearTimeout(timer);
    if (busy) return;
    busy = true;
    try {
      for (let id; (id = first()) !== undefined;) await deliverOne(id);
      delay_ms = 1000;
    } catch {
      timer = setTimeout(deliver, delay_ms);
      delay_ms = Math.min(2 * delay_ms, 10000);
    } finally { busy = false; }
  }
  const first = () => ids().filter((id) => !waiting.has(id)).sort((a, b) => get(a).at - get(b).at)[0];

  async function deliverOne(id) {
    const change = get(id), { text, by, version, seconds, status } = change;
    kept.write(name(id), { ...change, sent: [...new Set([...change.sent, text])] });
    let state;
    try {
      state = await ask(`segments/${id}`, { text, by, version, seconds, status });
    } catch (error) {
      if (!error.status) throw error;
      const now = error.current, newest = get(id);
      const own = now && now.history.at(-1)?.by === by && newest.sent.includes(now.text); // saved, but its answer was lost
      if (!own) {
        waiting.add(id);
        outbox.onRefused(id, newest, error);
        return;
      }
      if (now.text !== text || now.status !== status) {
        kept.write(name(id), { ...newest, version: now.version });
        return;
      }
      state = now;
    }
    const newer = get(id);
    if (newer.at === change.at) drop(id);
    else kept.write(name(id), { ...newer, version: state.version, sent: [], seconds: Math.max(0, newer.seconds - seconds) });
    outbox.onSaved(id, { warnings: [], ...state });
  }
  addEventListener("online", () => { delay_ms = 1000; deliver(); });
  return { put, get, drop, ids, deliver, isBusy: () => busy, onSaved: null, onRefused: null };
})();
