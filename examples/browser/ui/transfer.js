// One stretch of a download: from where the file ends to where the line does.
const MEGABYTE = 1_000_000;
const SILENCE = 30_000; // ms after which a line counts as cut
// A file is whole on the disk only when its stream closes, and opening it again copies what is there.
// So stretches grow with the file: nothing is copied often, and a crash costs a third at most.
const stretchAfter = (bytes) => Math.max(64 * MEGABYTE, bytes / 2);

/** The address no longer serves: it has expired, or the file has moved. */
export class AddressRefused extends Error {}

/**
 * Write to `file` (`{ url, handle, received, etag }`) what it lacks; `received` grows with it.
 * `told` is called after each piece, `saved` whenever the disk has all that was received.
 */
export async function transfer(file, { signal, told, saved }) {
  const line = watched(signal);
  try {
    const request = { headers: wanted(file), signal: line.signal, credentials: "omit" };
    const response = await fetch(file.url, request);
    if (!response.ok) throw new AddressRefused(response.status);
    if (response.status !== 206) file.received = 0; // another file than was begun, so all of it
    file.etag = response.headers.get("ETag") ?? file.etag;
    await write(file, response.body, { alive: line.alive, told, saved });
  } finally {
    line.end();
  }
}

function wanted({ received, etag }) {
  if (received === 0) return {};
  return { Range: `bytes=${received}-`, ...(etag ? { "If-Range": etag } : {}) };
}

async function write(file, body, { alive, told, saved }) {
  let stretch = await open(file);
  let end = file.received + stretchAfter(file.received);
  const close = () => stretch.close().then(saved);
  try {
    for await (const piece of body) {
      alive();
      await stretch.write(piece);
      file.received += piece.length;
      told();
      if (file.received < end) continue;
      await close();
      stretch = await open(file);
      end = file.received + stretchAfter(file.received);
    }
  } catch (error) {
    await close().catch(() => {}); // a full disk can't be closed either, and is what one must hear of
    throw error;
  }
  await close();
}

async function open({ handle, received }) {
  const stream = await handle.createWritable({ keepExistingData: true });
  await stream.truncate(received);
  await stream.seek(received);
  return stream;
}

/** A signal that aborts with the reader's, or when nothing has come for a while. */
function watched(signal) {
  const silence = new AbortController();
  let timer;
  const alive = () => {
    clearTimeout(timer);
    timer = setTimeout(() => silence.abort(), SILENCE);
  };
  alive();
  return { signal: AbortSignal.any([signal, silence.signal]), alive, end: () => clearTimeout(timer) };
}
