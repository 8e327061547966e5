// The service's HTTP interface: requests, its errors, its events, and waiting while it cannot answer yet.
const KEPT = "api-key";
const MAX_BUSY_TRIES = 4;

export class ApiError extends Error {
  constructor(status, error, retryAfterS) {
    super(error.message ?? "");
    Object.assign(this, { status, code: error.code ?? "", field: error.param ?? null, retryAfterS });
  }

  // The route itself, rather than what was asked of it.
  get isMissingRoute() {
    return this.status === 405 || (this.status === 404 && this.code === "not_found");
  }

  get isLoading() {
    return this.status === 503 && this.code === "unavailable";
  }
}

export const apiKey = {
  get: () => sessionStorage.getItem(KEPT) ?? "",
  set: (key) => (key ? sessionStorage.setItem(KEPT, key) : sessionStorage.removeItem(KEPT)),
};

export const address = (path) => new URL(path, document.baseURI).href;

// A response that succeeded. Throws ApiError; status 0 is no answer at all.
export async function request(path, { method = "GET", json, form, signal } = {}) {
  const headers = {};
  if (apiKey.get()) headers.authorization = `Bearer ${apiKey.get()}`;
  if (json !== undefined) headers["content-type"] = "application/json";
  const body = json !== undefined ? JSON.stringify(json) : form;
  let response;
  try {
    response = await fetch(address(path), { method, headers, body, signal, redirect: "error", cache: "no-store" });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new ApiError(0, { code: "offline" });
  }
  if (response.ok) return response;
  throw await failure(response);
}

async function failure(response) {
  const retryAfterS = Number(response.headers.get("retry-after")) || null;
  try {
    return new ApiError(response.status, (await response.json()).error, retryAfterS);
  } catch {
    return new ApiError(response.status, { message: response.statusText }, retryAfterS);
  }
}

export async function getJson(path) {
  return (await request(path)).json();
}

// Asks again while the model loads, and a few times while the service is full. `onWait(error, s)` each second.
export async function patiently(ask, { signal, onWait }) {
  for (let busy = 0; ; ) {
    try {
      return await ask();
    } catch (error) {
      const isBusy = error.status === 429 && ++busy < MAX_BUSY_TRIES;
      if (!(error instanceof ApiError) || !(error.isLoading || isBusy)) throw error;
      for (let s = error.retryAfterS ?? 3; s > 0; s--) {
        onWait(error, s);
        await pause(1000, signal);
      }
    }
  }
}

function pause(ms, signal) {
  return new Promise((resolve, reject) => {
    const give = () => reject(new DOMException("stopped", "AbortError"));
    if (signal.aborted) give();
    signal.addEventListener("abort", give, { once: true });
    setTimeout(resolve, ms);
  });
}

// The events of a stream of speech; an `error` event is thrown, and so is a stream that ends without its last one.
export async function* events(response) {
  let rest = "";
  for await (const text of blocks(response.body.pipeThrough(new TextDecoderStream()))) {
    const parts = (rest + text).split("\n\n");
    rest = parts.pop();
    for (const part of parts) {
      const event = JSON.parse(part.slice("data:".length));
      if (event.type === "error") throw new ApiError(500, event.error);
      yield event;
      if (event.type === "speech.audio.done") return;
    }
  }
  throw new ApiError(0, { code: "cut" });
}

// What a stream brings. Leaving the loop early cancels it; a connection that breaks is a stream that was cut.
export async function* blocks(stream) {
  const reader = stream.getReader();
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      yield value;
    }
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new ApiError(0, { code: "cut" });
  } finally {
    await reader.cancel().catch(() => undefined);
  }
}
