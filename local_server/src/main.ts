/** Starts the local server: `node server.mjs CONFIG.json`. */
import type { AddressInfo } from 'node:net';
import { addAdminRoutes } from './admin/routes.ts';
import type { App } from './app.ts';
import { addLoginRoutes } from './auth/login.ts';
import { addSessionRoutes } from './auth/session.ts';
import { Signer } from './auth/signer.ts';
import { ConfigError, readConfig } from './config.ts';
import { loadDefinitions } from './fhir/definitions.ts';
import { Repository } from './fhir/repository.ts';
import { addFhirRoutes } from './fhir/routes.ts';
import { addHealthRoutes } from './health.ts';
import { RateLimits } from './http/rateLimits.ts';
import { Routes } from './http/routes.ts';
import { httpServer } from './http/server.ts';
import { Log } from './log.ts';
import { seed } from './seed.ts';
import { Binaries } from './store/binaries.ts';
import { Database } from './store/database.ts';
import { Mutex } from './store/mutex.ts';
import { Store } from './store/store.ts';
import { SubscriptionQueue } from './subscriptions/queue.ts';

function assemble(path: string): App {
  // Whatever is written is the owner's alone.
  process.umask(0o077);
  const config = readConfig(path);
  loadDefinitions();
  const database = new Database(config.dataDir);
  const parts = {
    config,
    baseUrl: '',
    log: new Log(config.logLevel),
    database,
    store: new Store(database),
    writing: new Mutex(),
    binaries: new Binaries(config.dataDir),
    signer: new Signer(database),
    limits: new RateLimits(config.rateLimits),
    subscriptions: new SubscriptionQueue(),
  };
  const app = parts as unknown as App & { system: Repository };
  app.system = new Repository(app, {
    author: { reference: 'system' },
    superAdmin: true,
    strictMode: true,
    extendedMode: true,
  });
  app.subscriptions.attach(app);
  return app;
}

function routes(): Routes {
  const table = new Routes();
  addHealthRoutes(table);
  addLoginRoutes(table);
  addSessionRoutes(table);
  addAdminRoutes(table);
  addFhirRoutes(table);
  return table;
}

async function start(path: string): Promise<void> {
  const app = assemble(path);
  watch(app.log);
  const server = httpServer(app, routes());
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(app.config.port, '127.0.0.1', resolve);
  });
  const { port } = server.address() as AddressInfo;
  app.baseUrl = `http://localhost:${port}/`;
  app.signer.issuer = app.baseUrl;
  await seed(app);
  const stop = (): void => {
    app.subscriptions.close();
    server.close();
    server.closeAllConnections();
    // A write in flight ends before the database is closed: each is one synchronous step.
    void app.writing.run(async () => {
      app.database.close();
      process.exit(0);
    });
  };
  process.once('SIGTERM', stop);
  process.once('SIGINT', stop);
  process.stdout.write(`${JSON.stringify({ ready: true, port, pid: process.pid, baseUrl: app.baseUrl })}\n`);
}

/**
 * What a bot leaves behind (a timer that throws, a promise nobody awaits) meets the server as it meets
 * the real one: a rejection is logged, an exception ends the process. Messages may hold patients' data
 * and stay out of the log. A log that nobody reads any more is no reason to end.
 */
function watch(log: Log): void {
  process.on('unhandledRejection', (err) => {
    log.error('Unhandled promise rejection', { error: (err as Error | undefined)?.name });
  });
  process.on('uncaughtException', (err) => {
    log.error('Uncaught exception', { error: err.name });
    if (!err.message?.includes('Connection terminated unexpectedly')) {
      process.exit(1);
    }
  });
  for (const stream of [process.stdout, process.stderr]) {
    stream.on('error', () => undefined);
  }
}

function explain(err: unknown): string {
  const { code, message } = err as NodeJS.ErrnoException;
  if (code === 'EADDRINUSE') {
    return 'the port is taken by another program';
  }
  if (message === 'database is locked') {
    return 'the data folder is in use by another server';
  }
  return err instanceof ConfigError ? `configuration: ${message}` : (message ?? String(err));
}

const [, , configPath] = process.argv;
if (!configPath) {
  process.stderr.write('usage: node server.mjs CONFIG.json\n');
  process.exit(64);
}
start(configPath).catch((err: unknown) => {
  process.stderr.write(`medbots local server: ${explain(err)}\n`);
  process.exit(1);
});
