import type { Communication, DocumentReference, Provenance, Resource, Task } from '@medplum/fhirtypes';
import { afterEach, beforeAll, describe, expect, test, vi } from 'vitest';
import { type Member, type Output, useClinic } from '../../test/support/clinic.ts';
import { Case } from '../../test/support/commands.ts';
import { Inside, MortalFetch } from '../../test/support/crash.ts';
import { handler } from './approval-queue.ts';

/** Later than any claim is believed. */
const LATER_MS = 6 * 60_000;

/** When a request is lost, whether the process lives on, and how often its client sends again. */
const LOSSES = [['before', false, 0], ['after', false, 0], ['after', true, 0], ['after', true, 2]] as const;

describe('after a crash at any request', () => {
  const clinic = useClinic(['command-processor', 'approval-queue']);
  let physician: Member;
  let pharmacist: Member;
  let queue: Inside;

  beforeAll(async () => {
    physician = await clinic.member('doctor');
    pharmacist = await clinic.member('pharmacist');
    queue = await Inside.of(clinic, 'approval-queue', handler);
  });

  afterEach(() => {
    vi.useRealTimers();
  });

  const later = (milliseconds: number): void => {
    vi.useFakeTimers({ toFake: ['Date'], now: Date.now() + milliseconds });
  };

  interface Scenario {
    /** Hands something in that waits for one last decision. */
    open: (about: Case) => Promise<Output>;
    decision: 'approve' | 'reject';
    by: () => Member;
    /** Types and numbers of what must be there at the end, besides the Task. */
    makes: Record<string, number>;
  }

  const SCENARIOS: Record<string, Scenario> = {
    'a note': { open: (about) => about.note(), decision: 'approve', by: () => physician, makes: { DocumentReference: 1 } },
    'a referral, which has two effects': {
      open: (about) => about.referral(),
      decision: 'approve',
      by: () => physician,
      makes: { DocumentReference: 1, ServiceRequest: 1 },
    },
    'a problem that is resolved, which is a change': {
      open: async (about) => about.problem({ action: 'resolve', conditionId: (await about.condition()).id }),
      decision: 'approve',
      by: () => physician,
      makes: { Condition: 1 },
    },
    'the second of two approvals': {
      open: async (about) => {
        const output = await about.medication();
        await about.decide(output.taskId, 'approve', physician.client);
        return output;
      },
      decision: 'approve',
      by: () => pharmacist,
      makes: { MedicationRequest: 1 },
    },
    'a rejection': { open: (about) => about.note(), decision: 'reject', by: () => physician, makes: {} },
  };

  async function outcome(about: Case, taskId: string): Promise<Record<string, unknown>> {
    const task = await about.task(taskId);
    const origins = await clinic.find<Provenance>('Provenance', `entity=Task/${taskId}`);
    const targets = new Set(origins.map(({ target }) => target.at(-1)?.reference));
    const provenances = [...origins, ...(await clinic.find<Provenance>('Provenance', `target=Task/${taskId}`))];
    const messages = await clinic.find<Communication>('Communication', `subject=Patient/${about.patient.id}`);
    const results = Case.values(task.output, 'result') as { reference: string }[];
    return {
      status: task.status,
      written: await about.written(),
      provenances: provenances.length,
      messages: messages.length,
      // The Task names what there is.
      results: await Promise.all(results.map(async ({ reference }) => existing(reference))),
      targeted: [...targets].every((target) => results.some(({ reference }) => reference === target)),
      claims: Case.values(task.output, 'claim').length,
      // Each origin of an effect says which versions it is about.
      versions: origins.every(({ target, entity = [] }) => entity.filter((each) => each.role === 'derivation').length === target.length),
    };
  }

  async function existing(reference: string): Promise<boolean> {
    const [type, id] = reference.split('/') as [Resource['resourceType'], string];
    return clinic.admin.readResource(type as never, id, { cache: 'reload' }).then(
      () => true,
      () => false
    );
  }

  describe.each([
    [
      'with transactions',
      ['bots', 'transaction-bundles'],
      ['a note', 'a problem that is resolved, which is a change', 'the second of two approvals'],
    ],
    [
      'without transactions',
      ['bots'],
      ['a note', 'a referral, which has two effects', 'a problem that is resolved, which is a change', 'a rejection'],
    ],
  ])('%s', (_name, features, names) => {
    beforeAll(() => clinic.setFeatures(...features));

    test.each(names)('%s is carried out once', async (name) => {
      const { open, decision, by, makes } = SCENARIOS[name] as Scenario;
      const whole = {
        status: decision === 'approve' ? 'completed' : 'rejected',
        written: { Task: 1, ...makes },
        provenances: 1,
        messages: 1,
        results: Object.values(makes).map(() => true),
        targeted: true,
        claims: 0,
        versions: true,
      };
      for (let at = 1, requests = Infinity; at <= requests; at++) {
        for (const [moment, lives, retries] of LOSSES) {
          const about = await Case.open(clinic);
          const { taskId } = await open(about);
          const input = { taskId: taskId as string, decision };
          const mortal = new MortalFetch(at, moment, lives, retries);
          const first = await queue.run(input, by(), mortal);
          if (retries > 0) {
            // An answer that was lost alone is made up for, and nobody is told otherwise.
            expect({ at, ...first }).toMatchObject({ success: true });
          }
          if (first.success) {
            expect((await about.task(taskId as string)).status).toBe(whole.status);
          }
          if (mortal.count < at) {
            // Nothing is left at which it could crash.
            requests = at;
          }
          later(LATER_MS);
          // By turns the sweep comes first, and the person who was given no answer.
          if (at % 2 === 0) {
            await queue.run({ action: 'sweep' }, by());
          }
          const again = await queue.run(input, by());
          vi.useRealTimers();
          const found = await outcome(about, taskId as string);
          expect({ at, moment, lives, retries, ...found }).toEqual({ at, moment, lives, retries, ...whole });
          expect(again).toMatchObject(again.alreadyDone ? { success: true } : { status: whole.status });
        }
      }
    }, 300_000);
  });

  test('a fresh claim is left alone; a stale one is taken over, and several that do so at once do it once', async () => {
    await clinic.setFeatures('bots');
    const about = await Case.open(clinic);
    const { taskId } = await about.note();
    await die(about, taskId as string);
    const input = { taskId: taskId as string, decision: 'approve' };
    expect(await queue.run(input, physician)).toMatchObject({ success: true, alreadyDone: true, status: 'in-progress' });
    expect(await queue.run({ action: 'sweep' }, physician)).toMatchObject({ recovered: 0 });
    expect(await about.written()).toEqual({ Task: 1 });
    later(LATER_MS);
    const outputs = await Promise.all(Array.from({ length: 4 }, () => queue.run({ action: 'sweep' }, physician)));
    vi.useRealTimers();
    // The clock of this process is ahead of the server's, so that each may take over from the other.
    expect(outputs.reduce((sum, { recovered }) => sum + (recovered as number), 0)).toBeGreaterThan(0);
    expect(await outcome(about, taskId as string)).toMatchObject({
      status: 'completed',
      written: { Task: 1, DocumentReference: 1 },
      provenances: 1,
      messages: 1,
      results: [true],
      claims: 0,
    });
  });

  test('whoever cancelled it meanwhile is heeded, if nothing was written', async () => {
    await clinic.setFeatures('bots');
    const about = await Case.open(clinic);
    const { taskId } = await about.note();
    await die(about, taskId as string);
    const task = await about.task(taskId as string);
    await clinic.doctor.client.updateResource<Task>({ ...task, status: 'cancelled' });
    later(LATER_MS);
    const { taskId: other } = await about.note('Another');
    await queue.run({ taskId: taskId as string, decision: 'approve' }, physician);
    vi.useRealTimers();
    expect(await about.task(taskId as string)).toMatchObject({ status: 'cancelled' });
    expect((await about.task(other as string)).status).toBe('requested');
    expect(await about.written()).toEqual({ Task: 2 });
  });

  test('a letter whose referral may not be made any more is taken back, and who has worked on it keeps it', async () => {
    await clinic.setFeatures('bots');
    for (const edited of [false, true]) {
      const about = await Case.open(clinic);
      const { taskId } = await about.referral();
      await dieWith(about, taskId as string, { DocumentReference: 1, Task: 1 });
      const [letter] = await clinic.find<DocumentReference>('DocumentReference', `patient=Patient/${about.patient.id}`);
      if (edited) {
        await clinic.doctor.client.updateResource<DocumentReference>({ ...(letter as DocumentReference), description: 'mine' });
      }
      await clinic.admin.deleteResource('Encounter', about.encounter.id);
      later(LATER_MS);
      expect(await queue.run({ action: 'sweep' }, physician)).toMatchObject({ recovered: 0, failed: 1 });
      expect(await queue.run({ action: 'sweep' }, physician)).toMatchObject({ recovered: 0, failed: 0 });
      vi.useRealTimers();
      const task = await about.task(taskId as string);
      expect(task).toMatchObject({ status: 'failed', businessStatus: { coding: [{ code: 'target-changed' }] } });
      expect(await clinic.admin.readResource('DocumentReference', letter?.id as string, { cache: 'reload' })).toMatchObject(
        edited ? { status: 'current' } : { status: 'entered-in-error', docStatus: 'entered-in-error' }
      );
      const origins = await clinic.find<Provenance>('Provenance', `target=DocumentReference/${letter?.id as string}`);
      expect(origins.map(({ activity }) => activity?.coding?.[0]?.code)).toEqual(edited ? [] : ['CANCEL']);
    }
  });

  test('a letter whose referral somebody cancelled in the middle is taken back', async () => {
    await clinic.setFeatures('bots');
    const about = await Case.open(clinic);
    const { taskId } = await about.referral();
    await dieWith(about, taskId as string, { DocumentReference: 1, Task: 1 });
    await clinic.doctor.client.updateResource<Task>({ ...(await about.task(taskId as string)), status: 'cancelled' });
    later(LATER_MS);
    await queue.run({ taskId: taskId as string, decision: 'approve' }, physician);
    vi.useRealTimers();
    expect(await about.task(taskId as string)).toMatchObject({ status: 'cancelled' });
    const letters = await clinic.find<DocumentReference>('DocumentReference', `patient=Patient/${about.patient.id}`);
    expect(letters.map(({ status }) => status)).toEqual(['entered-in-error']);
    expect(await clinic.find('ServiceRequest', `patient=Patient/${about.patient.id}`)).toEqual([]);
    expect(await clinic.find('Provenance', `target=Task/${taskId as string}`)).toHaveLength(1);
  });

  test('what may not be done any more fails, instead of being tried for ever', async () => {
    await clinic.setFeatures('bots');
    const about = await Case.open(clinic);
    const condition = await about.condition();
    const { taskId } = await about.problem({ action: 'resolve', conditionId: condition.id });
    await die(about, taskId as string);
    await clinic.admin.updateResource({ ...condition, note: [{ text: 'worse' }] });
    later(LATER_MS);
    expect(await queue.run({ action: 'sweep' }, physician)).toMatchObject({ recovered: 0, failed: 1 });
    vi.useRealTimers();
    expect(await about.task(taskId as string)).toMatchObject({
      status: 'failed',
      businessStatus: { coding: [{ code: 'target-changed' }] },
    });
  });

  /** Leaves a claim behind when just so much is written. */
  async function dieWith(about: Case, taskId: string, written: Record<string, number>): Promise<void> {
    for (let at = 1; JSON.stringify(await about.written()) !== JSON.stringify(written); at++) {
      await queue.run({ taskId, decision: 'approve' }, physician, new MortalFetch(at, 'after'));
      expect((await about.task(taskId)).status).not.toBe('completed');
      if ((await about.task(taskId)).status === 'in-progress') {
        later(LATER_MS);
      }
    }
    vi.useRealTimers();
    expect((await about.task(taskId)).status).toBe('in-progress');
  }

  /** Leaves a claim behind, with nothing written. */
  async function die(about: Case, taskId: string): Promise<void> {
    for (let at = 1; (await about.task(taskId)).status === 'requested'; at++) {
      await queue.run({ taskId, decision: 'approve' }, physician, new MortalFetch(at, 'after'));
    }
    expect((await about.task(taskId)).status).toBe('in-progress');
  }
});
