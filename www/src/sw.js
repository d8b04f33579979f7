/* SPDX-License-Identifier: ISC */
/*
 * Keeps the page's own files, so that it opens without a network. The network comes first:
 * an update is seen at once. Runs never pass through here, and no answer to one is kept.
 */
const CACHE = `sandpool-page-${PAGE_VERSION}`;
const FILES = PAGE_FILES;

self.addEventListener("install", (event) => {
	event.waitUntil(caches.open(CACHE).then((cache) => cache.addAll(FILES)).then(() => self.skipWaiting()));
});

self.addEventListener("activate", (event) => {
	event.waitUntil(caches.keys()
		.then((names) => Promise.all(names
			.filter((name) => name.startsWith("sandpool-page-") && name !== CACHE)
			.map((name) => caches.delete(name))))
		.then(() => self.clients.claim()));
});

const OURS = /^(index\.html|[\w-]+\.(js|css|svg)|lang\/\w+\.txt|editor\/[\w-]+\.js)$/;
const scope = new URL("./", self.location.href);

/* Whether a file of ours: what the program runner answers is not. */
function isKept(url) {
	if (url.origin !== scope.origin || !url.pathname.startsWith(scope.pathname))
		return false;
	const path = url.pathname.slice(scope.pathname.length);
	return path === "" || path === "api/languages" || OURS.test(path);
}

async function answer(request) {
	const cache = await caches.open(CACHE);
	const url = new URL(request.url);
	url.hash = "";
	try {
		const fresh = await fetch(request);
		if (fresh.ok)
			await cache.put(url.href, fresh.clone());
		return fresh;
	} catch (error) {
		const kept = await cache.match(url.href) || (request.mode === "navigate" && await cache.match(scope.href));
		if (kept)
			return kept;
		throw error;
	}
}

self.addEventListener("fetch", (event) => {
	if (event.request.method === "GET" && isKept(new URL(event.request.url)))
		event.respondWith(answer(event.request));
});
