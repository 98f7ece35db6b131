/** Subscriptions: which fire for a change, and the queue that runs what they call. */
import type { BackgroundJobInteraction, WithId } from '@medplum/core';
import { getExtension, isNotFound, isGone, normalizeOperationOutcome, resourceMatchesSubscriptionCriteria } from '@medplum/core';
import type { Project, Resource, Subscription } from '@medplum/fhirtypes';
import type { App } from '../app.ts';
import type { Trace } from '../http/exchange.ts';
import { traces } from '../http/exchange.ts';
import { deliver } from './deliver.ts';

export interface Job {
  readonly subscriptionId: string;
  readonly resourceType: string;
  readonly id: string;
  readonly versionId: string;
  readonly interaction: BackgroundJobInteraction;
  readonly requestTime: string;
  readonly trace?: Trace;
  /** How often it was tried before. */
  attempts: number;
}

const CONCURRENCY = 20;
const DEFAULT_RETRIES = 4;
const FIRST_RETRY_MS = 1000;
const MAX_ATTEMPTS_URL = 'https://medplum.com/fhir/StructureDefinition/subscription-max-attempts';
const INTERACTION_URL = 'https://medplum.com/fhir/StructureDefinition/subscription-supported-interaction';
const PRE_COMMIT_URL = 'https://medplum.com/fhir/StructureDefinition/pre-commit-bot';

/**
 * Of several supported-interaction extensions the first alone counts, as in the release that this server
 * stands in for; the matcher of @medplum/core has since learnt to take any of them.
 */
function honours(subscription: Subscription, interaction: BackgroundJobInteraction): boolean {
  const first = getExtension(subscription, INTERACTION_URL);
  return !first || first.valueCode === interaction;
}

export class SubscriptionQueue {
  private readonly waiting: Job[] = [];
  private running = 0;
  private closed = false;
  private app: App | undefined;

  /** The queue is one of the parts that make up the application. */
  attach(app: App): void {
    this.app = app;
  }

  /**
   * Queues a job for each active Subscription of the resource's own project whose criteria match.
   * @param only - `Subscription/<id>`: no other is considered.
   */
  async consider(
    resource: WithId<Resource>,
    previous: Resource | undefined,
    interaction: BackgroundJobInteraction,
    only?: string
  ): Promise<void> {
    const app = this.app as App;
    const projectId = resource.meta?.project;
    if (resource.resourceType === 'AuditEvent' || !projectId) {
      return;
    }
    const project = app.system.tryRead(`Project/${projectId}`);
    if (project instanceof Error) {
      return;
    }
    const context = { project: project as WithId<Project>, interaction };
    for (const subscription of this.activeIn(projectId)) {
      if (only && only !== `Subscription/${subscription.id}`) {
        continue;
      }
      let matches = false;
      try {
        matches =
          honours(subscription, interaction) &&
          (await resourceMatchesSubscriptionCriteria({
            resource,
            subscription,
            context,
            getPreviousResource: async () => previous,
          }));
      } catch (err) {
        app.log.debug('Subscription criteria failed', { subscription: subscription.id, error: (err as Error).message });
      }
      if (matches && subscription.channel.type === 'rest-hook') {
        this.add({
          subscriptionId: subscription.id,
          resourceType: resource.resourceType,
          id: resource.id,
          versionId: resource.meta?.versionId as string,
          interaction,
          requestTime: new Date().toISOString(),
          trace: traces.getStore(),
          attempts: 0,
        });
      }
    }
  }

  private activeIn(projectId: string): WithId<Subscription>[] {
    return (this.app as App).system
      .searchNow<Subscription>({
        resourceType: 'Subscription',
        count: 1000,
        filters: [
          { code: 'status', operator: 'eq', value: 'active' },
          { code: '_project', operator: 'eq', value: projectId },
        ],
      })
      .filter((s) => getExtension(s, PRE_COMMIT_URL)?.valueBoolean !== true);
  }

  private add(job: Job): void {
    if (!this.closed) {
      this.waiting.push(job);
      setImmediate(() => this.next());
    }
  }

  private next(): void {
    while (!this.closed && this.running < CONCURRENCY) {
      const job = this.waiting.shift();
      if (!job) {
        return;
      }
      this.running++;
      void this.run(job).finally(() => {
        this.running--;
        this.next();
      });
    }
  }

  private async run(job: Job): Promise<void> {
    const app = this.app as App;
    let subscription: WithId<Subscription> | undefined;
    try {
      subscription = app.system.readNow<Subscription>('Subscription', job.subscriptionId);
      const found = subscription;
      await (job.trace ? traces.run(job.trace, () => deliver(app, job, found)) : deliver(app, job, found));
    } catch (err) {
      const outcome = normalizeOperationOutcome(err);
      if (!subscription && (isGone(outcome) || isNotFound(outcome))) {
        return;
      }
      app.log.warn('Subscription failed', {
        subscription: job.subscriptionId,
        attempt: job.attempts,
        error: (err as Error).message,
      });
      this.retry(job, subscription);
    }
  }

  /** Later and later: 1, 2, 4, 8 seconds. A bot that fails is no failure here and does not come back. */
  private retry(job: Job, subscription: Subscription | undefined): void {
    const extension = subscription && getExtension(subscription, MAX_ATTEMPTS_URL);
    if (this.closed || job.attempts >= (extension?.valueInteger ?? DEFAULT_RETRIES)) {
      return;
    }
    const delay = FIRST_RETRY_MS * 2 ** job.attempts;
    job.attempts++;
    setTimeout(() => this.add(job), delay).unref();
  }

  /** Lets go of what waits; what runs is not awaited. */
  close(): void {
    this.closed = true;
    this.waiting.length = 0;
  }
}
