import { randomUUID } from 'node:crypto';
import type { Task } from '@medplum/fhirtypes';
import { type Standing, standingOf, type Untrusted } from '../../src/lib/approval/standing.ts';
import { nextVersion } from '../../src/lib/approval/versions.ts';
import { identify } from '../../src/lib/commands/command.ts';
import type { Version } from '../../src/lib/commands/history.ts';
import { queueTask } from '../../src/lib/commands/task.ts';

export const NS = 'urn:medbots';
export const PROCESSOR = 'Bot/processor';
export const QUEUE = 'Bot/queue';
export const DOCTOR = 'Practitioner/doctor';
export const CLERK = 'Practitioner/clerk';
export const AUTHORS = { namespace: NS, processor: PROCESSOR, queue: QUEUE };

/** What the Task of a history holds. */
export const COMMAND = {
  name: 'CreateEncounterNoteDraft',
  patientId: randomUUID(),
  encounterId: randomUUID(),
  parameters: { noteType: 'progress', content: 'Well.', format: 'markdown', sections: undefined },
} as const;

/** A history that is written version by version, the oldest first. */
export class History {
  readonly versions: Version<Task>[] = [];

  constructor(author = PROCESSOR, more: Partial<Task> = {}) {
    const { text, commandId } = identify(COMMAND);
    const { resource } = queueTask({
      namespace: NS,
      commandId,
      text,
      name: COMMAND.name,
      patientId: COMMAND.patientId,
      encounterId: COMMAND.encounterId,
      focus: `Encounter/${COMMAND.encounterId}`,
      requester: DOCTOR,
      rule: { reasons: ['ALWAYS'], roles: ['practitioner', 'nurse'], dual: false, hours: 24, urgent: false },
      priority: 'routine',
      confidence: 0.9,
      aiModel: undefined,
      promptTemplate: undefined,
      sources: [],
      targetVersion: undefined,
      now: new Date(),
    });
    this.write(author, { ...(resource as Task), ...more });
  }

  get last(): Task {
    return this.versions.at(-1)?.resource as Task;
  }

  write(author: string, task: Partial<Task>, onBehalfOf?: string): this {
    const meta = { versionId: randomUUID(), lastUpdated: new Date().toISOString() };
    const resource = { ...this.versions.at(-1)?.resource, ...task, id: 'task', meta } as Task;
    this.versions.push({ resource, author, onBehalfOf });
    return this;
  }

  /** A version as the Approval Queue Bot writes it. */
  own(change: Parameters<typeof nextVersion>[2]): this {
    const { resource } = nextVersion(NS, { current: this.last, original: this.versions[0]?.resource }, change);
    return this.write(QUEUE, { output: undefined, ...(resource as Task) } as Partial<Task>);
  }

  delete(): this {
    this.versions.push({ resource: undefined, author: undefined, onBehalfOf: undefined });
    return this;
  }

  get newestFirst(): Version<Task>[] {
    return [...this.versions].reverse();
  }

  get standing(): Standing | Untrusted {
    return standingOf(this.newestFirst, AUTHORS);
  }
}
