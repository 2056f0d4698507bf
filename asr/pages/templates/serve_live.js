// The microphone: recorded and then transcribed.

async function microphone() {
  say("");
  try { return await navigator.mediaDevices.getUserMedia({ audio: true }); } catch (error) {
    say(`The microphone cannot be used: ${error.message}`);
    return null;
  }
}

const record = byId("record");
let recorder = null;

function toggled(button, on, text) {
  button.textContent = text;
  button.classList.toggle("on", on);
}

const timeName = (began) => began.toTimeString().slice(0, 8).replaceAll(":", ".");

if (!navigator.mediaDevices || !window.MediaRecorder) {
  record.disabled = true;
  record.title = "This browser uses the microphone only on localhost and over https";
}

record.addEventListener("click", async () => {
  if (recorder) return recorder.stop();
  const sound = await microphone();
  if (!sound) return;
  const kind = ["audio/ogg;codecs=opus", "audio/webm;codecs=opus", "audio/mp4"].find((one) => MediaRecorder.isTypeSupported(one));
  const parts = [], began = new Date();
  recorder = new MediaRecorder(sound, kind ? { mimeType: kind } : {});
  recorder.ondataavailable = (event) => parts.push(event.data);
  recorder.onstop = () => {
    sound.getTracks().forEach((track) => track.stop());
    const type = recorder.mimeType, ending = type.includes("ogg") ? "ogg" : type.includes("mp4") ? "mp4" : "webm";
    recorder = null;
    toggled(record, false, "● Record");
    add([new File(parts, `recording ${timeName(began)}.${ending}`, { type })]);
  };
  recorder.start(1000);
  toggled(record, true, "■ Stop recording");
});
