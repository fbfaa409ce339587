// Loads a file of the page once: with progress, and into the browser's cache, where the page finds it the next time.
// The name of the file's version is behind its path (files.js), so an older one is never taken for it.

/** @returns the file's bytes @param on_progress gets the share that is there, 0 to 1 */
export async function load({path, size}, on_progress = () => {}) {
  const url = new URL(path, import.meta.url);
  const cache = await own_cache();
  const kept = await cache?.match(url);
  const response = kept ?? await fetch(url);
  if (!response.ok) throw new Error(`${url.pathname} cannot be loaded: the server says ${response.status}`);
  const bytes = new Uint8Array(size);
  let at = 0;
  for (const reader = response.body.getReader();;) {
    const {done, value} = await reader.read();
    if (done) break;
    if (at + value.length > size) throw new Error(`${url.pathname} is not the file of this page: it is too long`);
    bytes.set(value, at);
    at += value.length;
    on_progress(at / size);
  }
  if (at !== size) throw new Error(`${url.pathname} came incomplete: ${at} of ${size} bytes; load the page again`);
  if (!kept && cache) {
    for (const old of await cache.keys()) {
      if (new URL(old.url).pathname === url.pathname) await cache.delete(old);
    }
    await cache.put(url, new Response(bytes)).catch(() => {});  // where there is no room, it is loaded again next time
  }
  return bytes.buffer;
}

/** Browsers have it on https and on localhost alone; elsewhere their HTTP cache has to do. */
async function own_cache() {
  try {
    return await globalThis.caches?.open("kind");
  } catch {
    return null;
  }
}
