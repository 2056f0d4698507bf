// What the server's pages share: messages, the key, buttons, how sure a word is, and times.

function say(text) { byId("trouble").textContent = text; }

const authorization = () => (byId("key").value ? { Authorization: `Bearer ${byId("key").value}` } : {});

async function messageOf(answer) {
  try { return (await answer.json()).error.message; } catch { return `The server answered with status ${answer.status}.`; }
}

const button = (text, act) => el("button", { type: "button", on: { click: act } }, text);

const sureness = (confidence) => (confidence >= 0.8 ? "" : confidence >= 0.5 ? "some" : "low");

function clock(seconds, digits = 2) { // 75.5 -> 1:15.50, and 3675 with no digits -> 1:01:15
  const whole = Math.round(seconds * 10 ** digits) / 10 ** digits, minutes = Math.floor(whole / 60) % 60, hours = Math.floor(whole / 3600);
  const tail = `:${(whole % 60).toFixed(digits).padStart(digits ? 3 + digits : 2, "0")}`;
  return hours ? `${hours}:${String(minutes).padStart(2, "0")}${tail}` : minutes + tail;
}
