/** The HTTP server: headers, limits, login, body, route, and errors as outcomes. */
import { isOperationOutcome, normalizeOperationOutcome, OperationOutcomeError } from '@medplum/core';
import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import { createServer } from 'node:http';
import type { App } from '../app.ts';
import { authenticate } from '../auth/authenticate.ts';
import { isBinaryPath } from '../fhir/binary.ts';
import { parseBody } from './body.ts';
import { Exchange, traces } from './exchange.ts';
import { exceeded, rateLimitHeader, tooMany } from './rateLimits.ts';
import { sendJson, sendOutcome, sendText, setStandardHeaders } from './reply.ts';
import type { Routes } from './routes.ts';

export function httpServer(app: App, routes: Routes): Server {
  const server = createServer((req, res) => {
    void handle(app, routes, req, res);
  });
  server.keepAliveTimeout = 65_000;
  return server;
}

async function handle(app: App, routes: Routes, req: IncomingMessage, res: ServerResponse): Promise<void> {
  const started = performance.now();
  let x: Exchange;
  try {
    x = new Exchange(app, req, res);
  } catch {
    res.writeHead(400).end();
    return;
  }
  setStandardHeaders(x);
  await traces.run(x.trace, async () => {
    try {
      await dispatch(x, routes);
    } catch (err) {
      sendError(x, err);
    }
  });
  app.log.debug('Request served', {
    method: x.method,
    path: x.url.pathname,
    status: res.statusCode,
    durationMs: Math.round(performance.now() - started),
  });
}

async function dispatch(x: Exchange, routes: Routes): Promise<void> {
  x.traced = false;
  await authenticate(x);
  x.traced = true;
  const path = x.url.pathname.replace(/^\/api(?=\/)/, '');
  const spent = x.app.limits.request(x.ip, isAuthPath(path));
  if (spent) {
    x.res.appendHeader('RateLimit', rateLimitHeader('requests', spent));
    if (exceeded(spent)) {
      sendJson(x, 429, tooMany(spent));
      return;
    }
  }
  if (!isBinaryPath(path)) {
    await parseBody(x);
  }
  const handler = routes.find(x, path);
  if (!handler) {
    sendText(x, 404, notFoundPage(x));
    return;
  }
  await handler(x);
}

function isAuthPath(path: string): boolean {
  return path !== '/auth/me' && (path.startsWith('/auth/') || path.startsWith('/oauth2/'));
}

function notFoundPage(x: Exchange): string {
  const path = x.url.pathname.replaceAll('<', '&lt;');
  return `<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n<title>Error</title>\n</head>\n<body>\n<pre>Cannot ${x.method} ${path}</pre>\n</body>\n</html>\n`;
}

/** Outcomes are answered as they are; anything else is a fault of the server, told to the log only. */
function sendError(x: Exchange, err: unknown): void {
  if (x.res.headersSent) {
    x.res.end();
    return;
  }
  if (err instanceof OperationOutcomeError || isOperationOutcome(err)) {
    sendOutcome(x, normalizeOperationOutcome(err));
    return;
  }
  x.app.log.error('Unhandled error', { error: (err as Error)?.message, stack: (err as Error)?.stack });
  sendJson(x, 500, { msg: 'Internal Server Error' });
}
