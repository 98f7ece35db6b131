import type { AuditEvent, Subscription, Task } from '@medplum/fhirtypes';
import type { Clinic, Member } from './clinic.ts';
import type { Case } from './commands.ts';
import { readManifest } from './manifest.ts';

const SUBSCRIPTION = 'approval-queue-task';

/** Makes the subscription that ships, by which the Approval Queue Bot hears of Tasks. */
export async function subscribe(clinic: Clinic): Promise<void> {
  const { criteria, name } = readManifest().subscriptions[SUBSCRIPTION] as { criteria: string; name: string };
  await clinic.create({
    resourceType: 'Subscription',
    status: 'active',
    reason: name,
    criteria,
    channel: { type: 'rest-hook', endpoint: `Bot/${clinic.botId('approval-queue')}` },
  });
}

/** Asks again and again, for three seconds at least. */
export async function until<T>(look: () => Promise<T | undefined | false>): Promise<T> {
  for (let attempt = 0; ; attempt++) {
    const found = await look();
    if (found) {
      return found;
    }
    if (attempt === 100) {
      throw new Error('it did not come');
    }
    await new Promise((resolve) => setTimeout(resolve, 30));
  }
}

/** Writes Tasks as anybody may, and waits for what the subscription sets off. */
export interface QueueEvents {
  /** The runs of the bot for a Task so far, oldest first: the server's own events of them. */
  runs(taskId: string): Promise<AuditEvent[]>;
  /** Waits until a Task has a status, and the business status if one is given. */
  reaches(taskId: unknown, status: Task['status'], businessStatus?: string): Promise<Task>;
  /** Waits until nothing runs any more for a Task, and tells how often the bot ran. */
  settled(taskId: unknown): Promise<number>;
  /** Lets the subscription fire, or not. */
  listen(on: boolean): Promise<void>;
  edit(taskId: unknown, by: Member, change: Partial<Task>): Promise<Task>;
  /** Makes a Task that looks as if a command waited. */
  forge(by: Member, task?: Partial<Task>): Promise<Task & { id: string }>;
  refusals(taskId: unknown): Promise<AuditEvent[]>;
}

/** @param about - The case of the test that runs. */
export function queueEvents(clinic: Clinic, about: () => Case): QueueEvents {
  const runs = async (taskId: string): Promise<AuditEvent[]> => {
    const found = await clinic.find<AuditEvent>('AuditEvent', `source=Bot/${clinic.botId('approval-queue')}&entity=Task/${taskId}`);
    return found.filter(({ type }) => type.code === 'execute');
  };
  return {
    runs,
    reaches: (taskId, status, businessStatus) =>
      until(async () => {
        const task = await about().task(taskId as string);
        const code = task.businessStatus?.coding?.[0]?.code;
        return task.status === status && (businessStatus === undefined || code === businessStatus) && task;
      }),
    settled: async (taskId) => {
      let before = -1;
      return until(async () => {
        await new Promise((resolve) => setTimeout(resolve, 150));
        const { length } = await runs(taskId as string);
        const same = length === before && length > 0;
        before = length;
        return same && length;
      });
    },
    listen: async (on) => {
      const [subscription] = await clinic.find<Subscription>('Subscription', '');
      await clinic.admin.updateResource<Subscription>({ ...(subscription as Subscription), status: on ? 'active' : 'off' });
    },
    edit: async (taskId, by, change) =>
      by.client.updateResource<Task>({ ...(await about().task(taskId as string)), ...change }),
    forge: (by, task = {}) =>
      by.client.createResource<Task>({
        resourceType: 'Task',
        status: 'requested',
        intent: 'proposal',
        code: {
          coding: [
            { system: 'http://medplum.com/ai-command', code: 'ai-approval' },
            { system: 'http://medplum.com/ai-command', code: 'CreateEncounterNoteDraft' },
          ],
        },
        for: about().subject,
        ...task,
      }),
    refusals: (taskId) => clinic.audits('approval_refused', `&entity=Task/${taskId as string}`),
  };
}
