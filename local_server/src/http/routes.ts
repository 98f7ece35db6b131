/** A table of routes: method, path with `:name` parts, handler. */
import type { Exchange, Handler } from './exchange.ts';

interface Route {
  readonly method: string;
  readonly pattern: RegExp;
  readonly handler: Handler;
}

export class Routes {
  private readonly routes: Route[] = [];

  /** @param path - `:name` matches one part, `*` at the end the rest. `$` may come as `%24`. */
  add(method: string, path: string, handler: Handler): this {
    const source = path
      .replace(/[.]/g, '\\.')
      .replaceAll('$', '(?:\\$|%24)')
      .replace(/:(\w+)/g, '(?<$1>[^/]+)')
      .replace(/\/\*$/, '(?:/.*)?');
    this.routes.push({ method, pattern: new RegExp(`^${source}/?$`), handler });
    return this;
  }

  find(x: Exchange, path: string): Handler | undefined {
    for (const route of this.routes) {
      const match = route.method === x.method || route.method === '*' ? route.pattern.exec(path) : null;
      if (match) {
        x.params = Object.fromEntries(Object.entries(match.groups ?? {}).map(([k, v]) => [k, decodeURIComponent(v)]));
        return route.handler;
      }
    }
    return undefined;
  }
}
