// Reads what quantised() in gate_viewer.py packed: base64 of a deflate stream of differences along rows -> 8-bit levels.

async function unpack(packed) {
  const stream = new Blob([bytes(packed.data)]).stream().pipeThrough(new DecompressionStream("deflate"));
  const levels = new Uint8Array(await new Response(stream).arrayBuffer());
  for (let row = 0; row < packed.h; row += 1) {
    for (let n = row * packed.w + 1; n < (row + 1) * packed.w; n += 1) levels[n] = (levels[n] + levels[n - 1]) & 255;
  }
  const base = Float32Array.from({ length: 256 }, (_, level) => {
    if (packed.bounds) return (level - 128) / 127;
    return packed.root ? (level / 255) ** 2 : level / 255;
  });
  const scale = packed.bounds || new Float32Array(packed.h).fill(1);
  return { w: packed.w, h: packed.h, root: packed.root, at: (row, column) => scale[row] * base[levels[row * packed.w + column]] };
}
