import type { Communication, Provenance, Task } from '@medplum/fhirtypes';
import { afterEach, beforeAll, beforeEach, describe, expect, test, vi } from 'vitest';
import { type Member, useClinic } from '../../test/support/clinic.ts';
import { Case } from '../../test/support/commands.ts';
import { Inside } from '../../test/support/crash.ts';
import { handler } from './approval-queue.ts';

const HOUR_MS = 3_600_000;

describe('Approval Queue Bot, as time goes by', () => {
  const clinic = useClinic(['command-processor', 'approval-queue']);
  let about: Case;
  let physician: Member;
  let pharmacist: Member;
  let queue: Inside;

  beforeAll(async () => {
    physician = await clinic.member('doctor');
    pharmacist = await clinic.member('pharmacist');
    queue = await Inside.of(clinic, 'approval-queue', handler);
  });

  beforeEach(async () => {
    about = await Case.open(clinic);
  });

  afterEach(() => {
    vi.useRealTimers();
  });

  const later = async <T>(hours: number, work: () => Promise<T>): Promise<T> => {
    vi.useFakeTimers({ toFake: ['Date'], now: Date.now() + hours * HOUR_MS });
    try {
      return await work();
    } finally {
      vi.useRealTimers();
    }
  };

  const sweep = () => queue.run({ action: 'sweep' }, physician);

  test('a sweep ends what was not approved in time, and nothing else', async () => {
    const { taskId } = await about.note();
    const { taskId: longer } = await about.billing();
    expect(await later(23, sweep)).toMatchObject({ success: true, expired: 0 });
    expect(await later(25, sweep)).toMatchObject({ success: true, expired: 1, failed: 0, remaining: 0 });
    const task = await about.task(taskId as string);
    expect(task).toMatchObject({ status: 'failed', businessStatus: { coding: [{ code: 'expired' }] } });
    expect((await about.task(longer as string)).status).toBe('requested');
    expect(await about.written()).toEqual({ Task: 2 });
    const [message] = await clinic.find<Communication>('Communication', `subject=Patient/${about.patient.id}`);
    expect(message?.payload?.[0]?.contentString).toContain('not approved in time');
    expect(await clinic.audits('command_expired', `&patient=Patient/${about.patient.id}`)).toHaveLength(1);
    expect(await later(26, sweep)).toMatchObject({ expired: 0 });
  });

  test('a cron job sweeps', async () => {
    const { taskId } = await about.note();
    expect(await later(25, () => queue.runByCron())).toMatchObject({ success: true, expired: 1 });
    expect((await about.task(taskId as string)).status).toBe('failed');
  });

  test('whoever approves too late is refused, and it ends', async () => {
    const { taskId } = await about.note();
    const output = await later(25, () => queue.run({ taskId: taskId as string, decision: 'approve' }, physician));
    expect(output).toMatchObject({ success: false, errorCode: 'SAFETY_BLOCKED', details: { reason: 'EXPIRED' } });
    expect(await about.task(taskId as string)).toMatchObject({ status: 'failed' });
    expect(await about.written()).toEqual({ Task: 1 });
  });

  test('the second of two people may be too late as well', async () => {
    const { taskId } = await about.medication();
    await about.decide(taskId, 'approve', physician.client);
    const output = await later(25, () => queue.run({ taskId: taskId as string, decision: 'approve' }, pharmacist));
    expect(output).toMatchObject({ details: { reason: 'EXPIRED' } });
    expect(await about.written()).toEqual({ Task: 1 });
  });

  test('who approves while another modifies approves nothing that they have not seen', async () => {
    const { taskId } = await about.medication({ dosage: '500 mg' });
    let modified = false;
    const meanwhile: typeof fetch = async (url, init) => {
      if (!modified && String(init?.body).includes('"method":"PUT"')) {
        modified = true;
        await about.decide(taskId, 'approve', physician.client, { modifications: { dosage: '250 mg' } });
      }
      return fetch(url, init);
    };
    const output = await queue.run({ taskId: taskId as string, decision: 'approve' }, pharmacist, { fetch: meanwhile });
    expect(output).toMatchObject({ success: false, details: { reason: 'COMMAND_DIFFERS' } });
    expect(modified).toBe(true);
    expect(await about.task(taskId as string)).toMatchObject({ businessStatus: { coding: [{ code: 'awaiting-second' }] } });
    expect(await about.written()).toEqual({ Task: 1 });
    expect(await about.decide(taskId, 'reject', pharmacist.client)).toMatchObject({ status: 'rejected' });
  });

  const messages = async (): Promise<unknown[]> => {
    const found = await clinic.find<Communication>('Communication', `subject=Patient/${about.patient.id}`);
    return found.map(({ payload }) => payload?.[0]?.contentString);
  };

  test('nobody is told that it is over by a run that comes too late to end it', async () => {
    const { taskId } = await about.note();
    let approved = false;
    const meanwhile: typeof fetch = async (url, init) => {
      if (!approved && /"POST"|"PUT"/.test(String(init?.body))) {
        approved = true;
        await about.decide(taskId, 'approve', physician.client);
      }
      return fetch(url, init);
    };
    const input = { resourceType: 'Task', id: taskId as string, meta: {} };
    const output = await later(25, () => queue.run(input, pharmacist, { fetch: meanwhile }));
    expect(output).toMatchObject({ success: false, details: { reason: 'WRONG_STATUS' } });
    expect((await about.task(taskId as string)).status).toBe('completed');
    expect(await messages()).toEqual(['A command that you handed in was approved and carried out.']);
  });

  test('who was not told of the end, because the run was gone, is told at the next touch', async () => {
    const { taskId } = await about.note();
    const mute: typeof fetch = async (url, init) => {
      if (String(init?.body).includes('"resourceType":"Communication"')) {
        throw new Error('the process is gone');
      }
      return fetch(url, init);
    };
    const input = { taskId: taskId as string, decision: 'approve' };
    await later(25, () => queue.run(input, physician, { fetch: mute }));
    expect((await about.task(taskId as string)).status).toBe('failed');
    expect(await messages()).toEqual([]);
    await queue.run(input, physician);
    await queue.run(input, physician);
    expect(await messages()).toEqual(['A command that you handed in was not approved in time, and was not carried out.']);
  });

  test('any touch ends it', async () => {
    const { taskId } = await about.note();
    const event = { resourceType: 'Task', id: taskId as string, meta: {} };
    const output = await later(25, () => queue.run(event, physician));
    expect(output).toMatchObject({ status: 'failed', businessStatus: 'expired' });
  });

  test('an acceptance that nobody heard of is taken up by the sweep', async () => {
    const { taskId } = await about.note();
    await physician.client.updateResource<Task>({ ...(await about.task(taskId as string)), status: 'accepted' });
    expect(await sweep()).toMatchObject({ accepted: 1 });
    expect((await about.task(taskId as string)).status).toBe('completed');
    expect(await about.written()).toEqual({ Task: 1, DocumentReference: 1 });
  });

  test('what a sweep refuses or does not believe is noted in the audit trail, each with whom it concerns', async () => {
    const { taskId } = await about.note();
    const clerk = await clinic.member();
    await clerk.client.updateResource<Task>({ ...(await about.task(taskId as string)), status: 'accepted' });
    const other = await Case.open(clinic);
    const { id: _, meta: __, ...copy } = await about.task(taskId as string);
    const forged = await clinic.create<Task>({ ...copy, for: other.subject } as Task);
    expect(await sweep()).toMatchObject({ accepted: 0, failed: 2 });
    for (const [id, { patient }] of [[taskId, about], [forged.id, other]] as const) {
      const noted = await clinic.audits('approval_refused', `&entity=Task/${id as string}`);
      expect(noted).toHaveLength(1);
      expect(JSON.stringify(noted[0]?.entity)).toContain(`Patient/${patient.id}`);
    }
    expect((await about.task(taskId as string)).status).toBe('requested');
    expect((await about.task(forged.id)).status).toBe('failed');
    expect(await about.decide(taskId, 'reject', physician.client)).toMatchObject({ status: 'rejected' });
  });

  test('a sweep looks no more into what was ended by hand once that is written down', async () => {
    const { taskId } = await about.note();
    await physician.client.updateResource<Task>({ ...(await about.task(taskId as string)), status: 'cancelled' });
    const read: string[] = [];
    const watched: typeof fetch = async (url, init) => {
      read.push(String(url));
      return fetch(url, init);
    };
    const histories = () => read.filter((url) => url.includes(`Task/${taskId as string}/_history`)).length;
    expect(await queue.run({ action: 'sweep' }, physician, { fetch: watched })).toMatchObject({ completed: 1 });
    expect(histories()).toBe(1);
    expect(await queue.run({ action: 'sweep' }, physician, { fetch: watched })).toMatchObject({ completed: 0 });
    expect(histories()).toBe(1);
  });

  test('a decision whose run was gone is carried out though somebody set the Task to completed meanwhile', async () => {
    const { taskId } = await about.note();
    const gone: typeof fetch = async (url, init) => {
      if (/"url":"DocumentReference"/.test(String(init?.body))) {
        throw new Error('the process is gone');
      }
      return fetch(url, init);
    };
    await queue.run({ taskId: taskId as string, decision: 'approve' }, physician, { fetch: gone });
    const task = await about.task(taskId as string);
    expect(task.status).toBe('in-progress');
    await physician.client.updateResource<Task>({ ...task, status: 'completed' });
    expect(await later(0.2, sweep)).toMatchObject({ recovered: 1 });
    expect(await about.task(taskId as string)).toMatchObject({ status: 'completed', businessStatus: { coding: [{ code: 'executed' }] } });
    expect(await about.written()).toEqual({ Task: 1, DocumentReference: 1 });
  });

  test('in a queue longer than one sweep reads, a decision comes before what waits', async () => {
    const { taskId } = await about.note();
    await physician.client.updateResource<Task>({ ...(await about.task(taskId as string)), status: 'accepted' });
    const long: typeof fetch = async (url, init) => {
      const { pathname, searchParams } = new URL(String(url));
      if (!pathname.endsWith('/Task') || !searchParams.get('status')?.includes('requested')) {
        return fetch(url, init);
      }
      const resource = { resourceType: 'Task', id: taskId, status: 'requested', restriction: { period: { end: '2999-01-01' } } };
      return Response.json({ resourceType: 'Bundle', type: 'searchset', entry: Array.from({ length: 200 }, () => ({ resource })) });
    };
    expect(await queue.run({ action: 'sweep' }, physician, { fetch: long })).toMatchObject({ checked: 2001, accepted: 1 });
    expect((await about.task(taskId as string)).status).toBe('completed');
  });

  test('what somebody ended while its run was gone stays ended, though who takes over comes to no end either', async () => {
    const { taskId } = await about.note();
    const without =
      (part: RegExp): typeof fetch =>
      async (url, init) => {
        if (part.test(String(init?.body))) {
          throw new Error('the process is gone');
        }
        return fetch(url, init);
      };
    const input = { taskId: taskId as string, decision: 'approve' };
    await queue.run(input, physician, { fetch: without(/"url":"DocumentReference"/) });
    const clerk = await clinic.member();
    await clerk.client.updateResource<Task>({ ...(await about.task(taskId as string)), status: 'cancelled' });
    await later(0.2, () => queue.run({ action: 'sweep' }, physician, { fetch: without(/"resourceType":"AuditEvent"/) }));
    expect((await about.task(taskId as string)).status).toBe('in-progress');
    await later(0.4, sweep);
    expect((await about.task(taskId as string)).status).toBe('cancelled');
    expect(await about.written()).toEqual({ Task: 1 });
    const [origin] = await clinic.find<Provenance>('Provenance', `target=Task/${taskId as string}`);
    expect(origin?.agent.at(-1)?.who.reference).toBe(`Practitioner/${clerk.profile.id}`);
  });

  test('two sweeps at once end it once', async () => {
    await about.note();
    const outputs = await later(25, () => Promise.all([sweep(), sweep(), sweep()]));
    expect(outputs.reduce((sum, { expired }) => sum + (expired as number), 0)).toBe(1);
    expect(await clinic.find('Communication', `subject=Patient/${about.patient.id}`)).toHaveLength(1);
  });

  test('whoever moves the expiry in the Task moves nothing', async () => {
    const { taskId } = await about.note();
    const task = await about.task(taskId as string);
    await clinic.doctor.client.updateResource<Task>({ ...task, restriction: { period: { end: '2999-01-01T00:00:00Z' } } });
    const output = await later(25, () => queue.run({ taskId: taskId as string, decision: 'approve' }, physician));
    expect(output).toMatchObject({ success: false, details: { reason: 'TAMPERED' } });
    expect(await about.written()).toEqual({ Task: 1 });
  });

  test('a sweep is no business of patients', async () => {
    const output = await clinic.execute('approval-queue', { action: 'sweep' }, await clinic.person('Patient'));
    expect(output).toMatchObject({ success: false, errorCode: 'UNAUTHORIZED' });
  });
});
