import { afterAll, beforeAll, beforeEach } from 'vitest';
import { TestDatabase } from './database.ts';
import { PROJECT } from './events.ts';
import { TestFhirServer } from './fhir-server.ts';
import { TestRouter } from './router.ts';

/** All that a bot talks to. */
export class Surroundings {
  readonly router = new TestRouter();
  readonly server = new TestFhirServer();
  /** The project secrets; made anew before each test. */
  values: Record<string, string> = {};
  #database: TestDatabase | undefined;

  get database(): TestDatabase {
    if (!this.#database) {
      throw new Error('the database is made before the first test');
    }
    return this.#database;
  }

  async start(): Promise<void> {
    await this.router.start();
    await this.server.start();
    this.#database = await TestDatabase.create();
  }

  async stop(): Promise<void> {
    await this.router.stop();
    await this.server.stop();
    await this.#database?.drop();
  }

  async reset(): Promise<void> {
    this.router.reset();
    this.server.reset();
    await this.database.clear();
    this.values = {
      LLM_ROUTER_URL: this.router.url,
      LLM_API_KEY: 'sk-test',
      DATABASE_URL: this.database.url(),
      MEDBOTS_PROJECT_ID: PROJECT,
      EMBED_TIMEOUT_MS: '400',
    };
  }
}

/** Starts the surroundings for the tests of a block, and empties them before each. */
export function useSurroundings(): Surroundings {
  const surroundings = new Surroundings();
  beforeAll(() => surroundings.start());
  afterAll(() => surroundings.stop());
  beforeEach(() => surroundings.reset());
  return surroundings;
}
