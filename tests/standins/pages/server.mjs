// A site as a web server sends it: with types, gzip, the `index.html` of a folder, and `404.html`
// for what does not exist.
import { readFileSync, statSync } from 'node:fs';
import { createServer } from 'node:http';
import { extname, join } from 'node:path';
import { gzipSync } from 'node:zlib';

const TYPES = {
  '.css': 'text/css',
  '.html': 'text/html',
  '.ico': 'image/x-icon',
  '.jpg': 'image/jpeg',
  '.js': 'text/javascript',
  '.json': 'application/json',
  '.png': 'image/png',
  '.svg': 'image/svg+xml',
  '.txt': 'text/plain',
  '.webmanifest': 'application/manifest+json',
  '.webp': 'image/webp',
  '.xml': 'application/xml',
};
const BINARY = ['.ico', '.jpg', '.png', '.webp'];

const read = (path) => {
  try {
    return readFileSync(path);
  } catch {
    return null;
  }
};
const isFolder = (path) => statSync(path, { throwIfNoEntry: false })?.isDirectory() ?? false;

// Serves a folder at a free port of this machine; returns its origin and what stops it.
export const serve = async (folder) => {
  const server = createServer((request, response) => {
    const { pathname } = new URL(request.url, 'http://localhost');
    let path = decodeURIComponent(pathname);
    if (!path.endsWith('/') && isFolder(join(folder, path))) {
      response.writeHead(301, { location: `${pathname}/` }).end();
      return;
    }
    if (path.endsWith('/')) path += 'index.html';
    let body = read(join(folder, path));
    const status = body ? 200 : 404;
    if (!body) {
      path = '404.html';
      body = read(join(folder, path)) ?? Buffer.from('');
    }
    const extension = extname(path);
    const headers = { 'content-type': TYPES[extension] ?? 'application/octet-stream' };
    const zips = (request.headers['accept-encoding'] ?? '').includes('gzip');
    if (zips && !BINARY.includes(extension)) {
      headers['content-encoding'] = 'gzip';
      body = gzipSync(body);
    }
    response.writeHead(status, headers).end(request.method === 'HEAD' ? undefined : body);
  });
  await new Promise((listening) => server.listen(0, '127.0.0.1', listening));
  const close = () => {
    server.close();
    server.closeAllConnections();
  };
  return { origin: `http://127.0.0.1:${server.address().port}`, close };
};

// The address of a page, a path with `/`.
export const address = (origin, page) =>
  `${origin}/${page.split('/').map(encodeURIComponent).join('/')}`;
