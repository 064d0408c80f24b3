// What this browser remembers of downloads that are not done: where they are written, and how far.
const DATABASE = "downloads";
const STORE = "files";

/** What is kept of a download; undefined if nothing is, or this browser keeps nothing. */
export const kept = (key) => within("readonly", (store) => store.get(key)).catch(() => undefined);

export const keep = (key, record) => within("readwrite", (store) => store.put(record, key)).catch(() => {});

export const forget = (key) => within("readwrite", (store) => store.delete(key)).catch(() => {});

export const forgetAll = () => within("readwrite", (store) => store.clear()).catch(() => {});

async function within(mode, work) {
  const database = await opened();
  try {
    return await settled(work(database.transaction(STORE, mode).objectStore(STORE)));
  } finally {
    database.close();
  }
}

function opened() {
  const request = indexedDB.open(DATABASE, 1);
  request.onupgradeneeded = () => request.result.createObjectStore(STORE);
  return settled(request);
}

const settled = (request) =>
  new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });
