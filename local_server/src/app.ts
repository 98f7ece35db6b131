/** What the parts of the server share: made once in main.ts, handed to each, never global. */
import type { Config } from './config.ts';
import type { Repository } from './fhir/repository.ts';
import type { Log } from './log.ts';
import type { Signer } from './auth/signer.ts';
import type { RateLimits } from './http/rateLimits.ts';
import type { Binaries } from './store/binaries.ts';
import type { Database } from './store/database.ts';
import type { Mutex } from './store/mutex.ts';
import type { Store } from './store/store.ts';
import type { SubscriptionQueue } from './subscriptions/queue.ts';

export interface App {
  readonly config: Config;
  /** `http://localhost:<port>/`; known once the server listens. */
  baseUrl: string;
  readonly log: Log;
  readonly database: Database;
  readonly store: Store;
  /** Held by whoever writes, and by a transaction from start to end. */
  readonly writing: Mutex;
  readonly binaries: Binaries;
  readonly signer: Signer;
  readonly limits: RateLimits;
  readonly subscriptions: SubscriptionQueue;
  /** Acts as the server itself: every project, every right. */
  readonly system: Repository;
}
