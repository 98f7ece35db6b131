import type { AuditEvent, Communication, MedicationRequest, Provenance, Task } from '@medplum/fhirtypes';
import { beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { approvers } from '../../test/support/approving.ts';
import { type Member, type Output, useClinic } from '../../test/support/clinic.ts';
import { Case } from '../../test/support/commands.ts';
import { queueEvents, subscribe, until } from '../../test/support/queue-events.ts';

describe('Approval Queue Bot, by its subscription', () => {
  const clinic = useClinic(['command-processor', 'approval-queue']);
  let about: Case;
  let physician: Member;
  let nurse: Member;
  let pharmacist: Member;
  /** May do anything with Tasks; approves nothing. */
  let clerk: Member;

  beforeAll(async () => {
    ({ physician, nurse, pharmacist } = await approvers(clinic));
    clerk = await clinic.member();
    await subscribe(clinic);
  });

  beforeEach(async () => {
    await clinic.setSecrets({});
    about = await Case.open(clinic);
  });

  const { runs, reaches, settled, listen, edit, refusals } = queueEvents(clinic, () => about);

  test('a queued command is looked at once, and left as it is', async () => {
    const { taskId } = await about.note();
    expect(await settled(taskId)).toBe(1);
    expect((await about.task(taskId as string)).meta?.versionId).toBeDefined();
    expect(await clinic.find('Task', `_id=${taskId as string}`)).toMatchObject([{ status: 'requested' }]);
  });

  test('what the bot writes itself sets nothing off: two versions, three runs', async () => {
    const { taskId } = await about.note();
    await about.decide(taskId, 'approve', physician.client);
    // One for the queued Task, one for the claim, one for the end; and the decision, which no subscription ran.
    const bySubscription = async () =>
      (await runs(taskId as string)).filter(({ entity }) => JSON.stringify(entity).includes('Subscription/'));
    await settled(taskId);
    expect(await bySubscription()).toHaveLength(3);
    expect((await clinic.admin.readHistory('Task', taskId as string)).entry).toHaveLength(3);
  });

  describe('set to accepted', () => {
    test('by a physician, it is carried out', async () => {
      const { taskId } = await about.note();
      await edit(taskId, physician, { status: 'accepted' });
      const task = await reaches(taskId, 'completed', 'executed');
      expect(Case.values(task.output, 'approval')).toEqual([{ reference: `Practitioner/${physician.profile.id}` }]);
      expect(await about.written()).toEqual({ Task: 1, DocumentReference: 1 });
      expect(await settled(taskId)).toBeLessThanOrEqual(4);
    });

    test('by whoever may not, it goes back, and nothing runs', async () => {
      const { taskId } = await about.note();
      for (const by of [clinic.doctor, clerk, pharmacist]) {
        await settled(taskId);
        await edit(taskId, by, { status: 'accepted' });
        await reaches(taskId, 'requested');
      }
      await settled(taskId);
      expect(await about.written()).toEqual({ Task: 1 });
      expect(await refusals(taskId)).toHaveLength(3);
      expect((await runs(taskId as string)).filter(({ outcome }) => outcome === '4')).toHaveLength(3);
    });

    test('by an application, or by an admin on behalf of a physician, it goes back', async () => {
      const { taskId } = await about.note();
      const application = await clinic.application();
      await application.updateResource<Task>({ ...(await about.task(taskId as string)), status: 'accepted' });
      await reaches(taskId, 'requested', 'awaiting-approval');
      await until(async () => (await refusals(taskId)).length === 1);
      const task = await about.task(taskId as string);
      const headers = { 'X-Medplum-On-Behalf-Of': `Practitioner/${physician.profile.id}` };
      await clinic.admin.updateResource<Task>({ ...task, status: 'accepted' }, { headers });
      await until(async () => (await refusals(taskId)).length === 2);
      await reaches(taskId, 'requested');
      expect(await about.written()).toEqual({ Task: 1 });
    });

    test('by a physician and edited by a clerk afterwards, it is the physician who approved', async () => {
      const { taskId } = await about.note();
      await settled(taskId);
      await listen(false);
      await edit(taskId, physician, { status: 'accepted' });
      await edit(taskId, clerk, { description: 'for the meeting' });
      await listen(true);
      expect(await clinic.execute('approval-queue', { action: 'sweep' })).toMatchObject({ accepted: 1 });
      const task = await about.task(taskId as string);
      expect(task.status).toBe('completed');
      expect(Case.values(task.output, 'approval')).toEqual([{ reference: `Practitioner/${physician.profile.id}` }]);
    });

    test('by a clerk and edited by a physician afterwards, nobody approved', async () => {
      const { taskId } = await about.note();
      await settled(taskId);
      await listen(false);
      await edit(taskId, clerk, { status: 'accepted' });
      await edit(taskId, physician, { description: 'I have read it' });
      await listen(true);
      await clinic.execute('approval-queue', { action: 'sweep' });
      expect((await about.task(taskId as string)).status).toBe('requested');
      expect(await about.written()).toEqual({ Task: 1 });
    });

    test('by both of two, each counts', async () => {
      const { taskId } = await about.medication();
      await settled(taskId);
      await edit(taskId, pharmacist, { status: 'accepted' });
      await reaches(taskId, 'requested', 'awaiting-second');
      await settled(taskId);
      // The same person again changes nothing, and the Task waits for the other as before.
      await edit(taskId, pharmacist, { status: 'accepted' });
      await reaches(taskId, 'requested', 'awaiting-second');
      expect(await clinic.audits('approval_granted', `&entity=Task/${taskId as string}`)).toHaveLength(1);
      await edit(taskId, physician, { status: 'accepted' });
      await reaches(taskId, 'completed');
      expect(await about.written()).toEqual({ Task: 1, MedicationRequest: 1 });
    });

    test('by the second of two, it counts only if the accepted version shows what the first made of it', async () => {
      const { taskId } = await about.medication({ dosage: '500 mg' });
      await about.decide(taskId, 'approve', physician.client, { modifications: { dosage: '250 mg' } });
      await settled(taskId);
      // As an application writes it that had read the Task before the first approval.
      await edit(taskId, pharmacist, { status: 'accepted', output: [] });
      await until(async () => (await refusals(taskId)).length === 1);
      const task = await reaches(taskId, 'requested', 'awaiting-second');
      expect(Case.values(task.output, 'modified-command-sha256')).toHaveLength(1);
      expect(await about.written()).toEqual({ Task: 1 });
      await edit(taskId, pharmacist, { status: 'accepted' });
      await reaches(taskId, 'completed');
      const [order] = await clinic.find<MedicationRequest>('MedicationRequest', `patient=Patient/${about.patient.id}`);
      expect(order?.dosageInstruction).toEqual([{ text: '250 mg' }]);
    });

    test('and approved at the same time, it is carried out once', async () => {
      const { taskId } = await about.note();
      await Promise.allSettled([
        edit(taskId, physician, { status: 'accepted' }),
        about.decide(taskId, 'approve', nurse.client),
        about.decide(taskId, 'approve', physician.client),
      ]);
      await settled(taskId);
      // An acceptance that was written over the claim comes too late to change anything; the sweep tidies up.
      await clinic.execute('approval-queue', { action: 'sweep' });
      expect(await about.written()).toEqual({ Task: 1, DocumentReference: 1 });
    });
  });

  describe('ended by hand', () => {
    test.each(['cancelled', 'rejected', 'failed', 'entered-in-error'] as const)('as %s, it stays so', async (status) => {
      const { taskId } = await about.note();
      await settled(taskId);
      await edit(taskId, clerk, { status });
      await until(async () => (await clinic.audits('approval_denied', `&entity=Task/${taskId as string}`)).length === 1);
      expect((await about.task(taskId as string)).status).toBe(status);
      expect(await about.decide(taskId, 'approve', physician.client)).toMatchObject({
        success: false,
        details: { reason: 'WRONG_STATUS', status },
      });
    });

    const ends = async (taskId: unknown) => ({
      origins: await clinic.find<Provenance>('Provenance', `target=Task/${taskId as string}`),
      messages: await clinic.find<Communication>('Communication', `subject=Patient/${about.patient.id}`),
    });

    test.each([
      ['rejected', 'A command that you handed in was rejected.'],
      ['cancelled', 'A command that you handed in was ended by hand, and was not carried out.'],
      ['entered-in-error', 'A command that you handed in was ended by hand, and was not carried out.'],
    ] as const)('as %s, that is written down like a rejection, once, of who did it', async (status, words) => {
      const { taskId } = await about.note('Suicidal thoughts.');
      await settled(taskId);
      await edit(taskId, nurse, { status });
      await until(async () => (await ends(taskId)).origins.length === 1);
      await settled(taskId);
      await edit(taskId, clerk, { description: 'seen' });
      await settled(taskId);
      await clinic.execute('approval-queue', { action: 'sweep' });
      const { origins, messages } = await ends(taskId);
      expect(origins).toHaveLength(1);
      expect(origins[0]?.agent.at(-1)).toMatchObject({
        type: { coding: [{ code: 'verifier' }] },
        who: { reference: `Practitioner/${nurse.profile.id}` },
      });
      expect(messages).toMatchObject([
        { recipient: [{ reference: `Practitioner/${clinic.doctor.profile.id}` }], payload: [{ contentString: words }] },
      ]);
      const denials = await clinic.audits('approval_denied', `&entity=Task/${taskId as string}`);
      expect(denials).toHaveLength(1);
      expect(JSON.stringify([messages, origins, denials])).not.toContain('uicid');
      expect((await about.task(taskId as string)).status).toBe(status);
    });

    test('by an application, which no Provenance can refer to, it is named all the same', async () => {
      const { taskId } = await about.note();
      await settled(taskId);
      const application = await clinic.application();
      await application.updateResource<Task>({ ...(await about.task(taskId as string)), status: 'cancelled' });
      const [origin] = await until(async () => {
        const { origins } = await ends(taskId);
        return origins.length > 0 && origins;
      });
      expect(origin?.agent.at(-1)?.who).toEqual({ display: expect.stringMatching(/^ClientApplication\//) as unknown });
    });

    test('while nobody listened, the next sweep writes it down, and the one after that nothing', async () => {
      const { taskId } = await about.note();
      await settled(taskId);
      await listen(false);
      await edit(taskId, nurse, { status: 'rejected' });
      await listen(true);
      expect((await ends(taskId)).origins).toEqual([]);
      expect(await clinic.execute('approval-queue', { action: 'sweep' })).toMatchObject({ completed: 1 });
      expect(await clinic.execute('approval-queue', { action: 'sweep' })).toMatchObject({ completed: 0 });
      const { origins, messages } = await ends(taskId);
      expect([origins.length, messages.length]).toEqual([1, 1]);
    });

    test('it sets off no run beyond that of the edit itself', async () => {
      const { taskId } = await about.note();
      const before = await settled(taskId);
      await edit(taskId, nurse, { status: 'rejected' });
      await until(async () => (await ends(taskId)).origins.length === 1);
      expect(await settled(taskId)).toBe(before + 1);
    });

    test.each(['requested', 'on-hold', 'accepted'] as const)('it is not revived as %s', async (status) => {
      const { taskId } = await about.note();
      await settled(taskId);
      await edit(taskId, physician, { status: 'cancelled' });
      await edit(taskId, clerk, { status });
      expect(await about.decide(taskId, 'approve', physician.client)).toMatchObject({
        success: false,
        details: { reason: 'WRONG_STATUS' },
      });
      await until(async () => (await about.task(taskId as string)).status === 'cancelled');
      expect(await about.written()).toEqual({ Task: 1 });
    });
  });

  test('a delivered Task is read again: what a caller claims of it changes nothing', async () => {
    const { taskId } = await about.note();
    const task = await about.task(taskId as string);
    const claimed = {
      ...task,
      status: 'accepted',
      meta: { ...task.meta, author: { reference: `Practitioner/${physician.profile.id}` } },
    };
    const output: Output = await clinic.execute('approval-queue', claimed, clerk.client);
    expect(output).toMatchObject({ success: true, ignored: true, status: 'requested' });
    expect(await about.written()).toEqual({ Task: 1 });
  });

  test('a deleted Task is let go', async () => {
    const { taskId } = await about.note();
    await settled(taskId);
    // The server's event of such a run does not name the Task.
    const all = () => clinic.find<AuditEvent>('AuditEvent', `source=Bot/${clinic.botId('approval-queue')}&_sort=-_lastUpdated`);
    const [last] = await all();
    await clinic.admin.deleteResource('Task', taskId as string);
    const [run] = await until(async () => {
      const found = await all();
      return found[0]?.id !== last?.id && found;
    });
    expect(run).toMatchObject({ type: { code: 'execute' }, outcome: '0' });
  });
});
