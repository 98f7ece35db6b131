/** What can be asked without logging in. */
import { SERVER_NAME, STANDS_IN_FOR, sendJson, sendStatus, sendText } from './http/reply.ts';
import type { Routes } from './http/routes.ts';

export function addHealthRoutes(routes: Routes): void {
  routes
    .add('GET', '/', (x) => sendStatus(x, 200))
    .add('GET', '/robots.txt', (x) => sendText(x, 200, 'User-agent: *\nDisallow: /', 'text/plain; charset=utf-8'))
    .add('GET', '/healthcheck', (x) =>
      sendJson(x, 200, {
        ok: true,
        server: SERVER_NAME,
        version: STANDS_IN_FOR,
        platform: process.platform,
        runtime: process.version,
        // Neither is used here. They are named because clients look for them.
        postgres: true,
        redis: true,
      })
    );
}
