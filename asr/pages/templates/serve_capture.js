// Runs in the browser's audio thread: sound of the microphone, mixed to one channel, as blocks of PCM16.

class Capture extends AudioWorkletProcessor {
  constructor() {
    super();
    this.block = new Int16Array(Math.round(sampleRate / 10));
    this.filled = this.peak = 0;
  }

  process([channels]) {
    for (let n = 0; n < (channels[0]?.length || 0); n += 1) {
      const value = channels.reduce((sum, one) => sum + one[n], 0) / channels.length;
      this.peak = Math.max(this.peak, Math.abs(value));
      this.block[this.filled] = Math.max(-1, Math.min(1, value)) * 32767;
      this.filled += 1;
      if (this.filled === this.block.length) {
        this.port.postMessage({ block: this.block, peak: this.peak }); // copied
        this.filled = this.peak = 0;
      }
    }
    return true;
  }
}

registerProcessor("capture", Capture);
